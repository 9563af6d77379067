"""Retention of a large store: what is due is printed as it is found; new letters cost nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import pytest

from daemon.cli.maintenance import _print_due
from daemon.config.loader import RetentionSettings
from daemon.core.bookkeeping import LetterPart
from daemon.maintenance.housekeeping import Due
from daemon.maintenance.retention import Retention
from daemon.store import Store
from daemon.store.retention import Candidate
from tests.unit.conftest import NOW, TABLE, TABLE_TEXT, TAX, table_of

pytestmark = pytest.mark.both_databases

KEEPING = TABLE_TEXT.replace('name = "Alt annet"', 'name = "Alt annet"\nkeep_body = "5d"')


def _due(number: int) -> Due:
    letter = Candidate(
        message_id=UUID(int=number),
        service=TAX.service,
        version="",
        route="Alt annet",
        fetched_at=NOW,
        body=True,
        attachments=True,
    )
    return Due(letter=letter, rules={LetterPart.BODY: "rule"})


@pytest.mark.parametrize("as_json", [False, True])
def test_what_is_due_is_printed_as_it_is_found(
    capsys: pytest.CaptureFixture[str], *, as_json: bool
) -> None:
    """Each letter is printed before the next one is sought, so that a million need no memory."""
    printed: list[str] = []

    def found() -> Iterator[Due]:
        for number in range(3):
            yield _due(number)
            printed.append(capsys.readouterr().out)

    _print_due(found(), json=as_json)
    whole = "".join(printed) + capsys.readouterr().out
    for number, text in enumerate(printed):
        assert str(UUID(int=number)) in text
    if as_json:
        assert [each["part"] for each in json.loads(whole)] == ["body"] * 3
    else:
        assert [line.split()[0] for line in whole.splitlines()[1:]] == [
            str(UUID(int=number)) for number in range(3)
        ]


@pytest.mark.parametrize(
    ("rules", "text", "days"),
    [
        ({}, TABLE_TEXT, None),
        ({"metadata": "30d"}, TABLE_TEXT, 30),
        ({"body": "30d", "service": {TAX.service: {"attachments": "7d"}}}, TABLE_TEXT, 7),
        ({"body": "30d"}, KEEPING, 5),
    ],
)
def test_no_rule_is_shorter_than_the_shortest(
    store: Store, rules: dict[str, object], text: str, days: int | None
) -> None:
    """Letters that came after the shortest time of all rules are not looked at, those of a route
    that was removed included."""
    old = table_of(text)
    store.letters.note_table(old.version, old.text, NOW)
    settings = RetentionSettings.model_validate(rules)
    retention = Retention(settings=settings, table=TABLE, past={old.version: old}.get)
    found = retention.shortest(store.retention.tables_with_rules())
    assert found == (timedelta(days=days) if days else timedelta.max)
    for route in ("Alt annet", "removed"):
        kept = retention.of(TAX.service, old.version, route)
        assert found <= min(each.time for each in kept.values())


def test_only_tables_with_rules_are_read(store: Store) -> None:
    """Of the earlier tables only those are parsed whose routes say how long letters stay."""
    keeping = table_of(KEEPING)
    store.letters.note_table(keeping.version, keeping.text, NOW)
    for number in range(30):
        store.letters.note_table(f"{number:064}", TABLE_TEXT, NOW)
    assert store.retention.tables_with_rules() == [keeping.version]
