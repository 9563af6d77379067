"""Evidence of stores that somebody edited, and evidence that the holder of the key made up."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from daemon.core.errors import ContentMissing, OperatorError
from daemon.core.model import message_id
from daemon.maintenance.evidence import exporting
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from daemon.store.journal import bound
from daemon.store.journal.bindings import BINDINGS
from tests.unit.conftest import Clock
from tests.unit.evidence import (
    Case,
    found,
    live,
    members,
    new_case,
    row_of,
    sealed_again,
    with_json,
)
from tests.unit.journal_edits import by_hand, edit_at_random, other_than
from tests.unit.office import TEXT

JUNK: tuple[Any, ...] = (
    *(None, 0, -1, 10**30, 1.5, True, "", "x", "\ud800", "\u202e", "0" * 64, [], {}, [[]]),
    *({"a": 1}, "9999-99-99", ["a"], -(10**18)),
)


@pytest.fixture(name="case")
def the_case(store: Store, content: ContentFolder, clock: Clock, database: Path) -> Case:
    """A letter to which everything has happened, and one with attachments."""
    case = new_case(store, content, clock, database)
    case.office.put_in_force(TEXT)
    case.office.mailbox.publish("b", b"a file", b"another")
    live(case)
    return case


def spots(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each place in a JSON document."""
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    for key, each in list(inside):
        yield value, key
        if isinstance(each, dict | list):
            yield from spots(each)


def mutated(text: bytes, by: random.Random) -> bytes:
    """The document with something else in one place."""
    document = json.loads(text)
    place, key = by.choice(list(spots(document)))
    if by.random() < 0.3:
        del place[key]
    elif isinstance(place[key], str) and by.random() < 0.5:
        place[key] = other_than(place[key], by)
    else:
        place[key] = by.choice(JUNK)
    return json.dumps(document).encode()


def test_signed_nonsense(case: Case, tmp_path: Path) -> None:
    """Whatever the holder of the key writes, verification ends, and with a sentence."""
    by, target = random.Random(24), tmp_path / "nonsense.zip"
    files = members(case.export("b"))
    for _ in range(120):
        name = by.choice(("evidence.json", "letter/message.json"))
        sealed_again(target, {**files, name: mutated(files[name], by)}, case.key)
        assert all(isinstance(each, str) for each in found(target))


def test_any_edit_of_a_store(case: Case, database: Path, tmp_path: Path) -> None:
    """An export from a store that was edited in any way ends with a file or with a sentence."""
    by = random.Random(24)
    case.store.close()
    shutil.copy(database, tmp_path / "before.db")
    for _ in range(15):
        shutil.copy(tmp_path / "before.db", database)
        edit = edit_at_random(database, by)
        for name in ("a", "b"):
            (tmp_path / "evidence.zip").unlink(missing_ok=True)
            try:
                case.export(name)
            except (OperatorError, ContentMissing):
                assert not (tmp_path / "evidence.zip").exists(), edit
        case.store.close()


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_value_that_is_bound(
    case: Case, database: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever bound value of the letter is edited in the store, its evidence says so."""
    monkeypatch.setattr(exporting, "render_evidence", lambda *_: b"")  # takes long
    by, letter = random.Random(24), message_id("altinn", name).hex
    case.store.close()
    shutil.copy(database, tmp_path / "before.db")
    unseen = []
    for table, column, rowid in by.sample(_bound(database, letter), 30):
        shutil.copy(tmp_path / "before.db", database)
        with by_hand(database) as connection:
            wanted = f'SELECT "{column}" FROM {table} WHERE rowid = ?'
            value = other_than(connection.execute(wanted, (rowid,)).fetchone()[0], by)
            connection.execute(f'UPDATE {table} SET "{column}" = ? WHERE rowid = ?', (value, rowid))
        (tmp_path / "evidence.zip").unlink(missing_ok=True)
        try:
            if not found(case.export(letter)):
                unseen.append((table, column, value))
        except (OperatorError, ContentMissing):
            pass  # such a value cannot be read
        case.store.close()
    assert unseen == []


def _bound(database: Path, letter: str) -> list[tuple[str, str, int]]:
    """The values that are bound, of the rows of a letter that have its id."""
    found = []
    with by_hand(database) as connection:
        for binding in BINDINGS:
            if binding.walked in {"id", "message_id"}:
                wanted = f'SELECT rowid FROM {binding.table} WHERE "{binding.walked}" = ?'
                rows = [each[0] for each in connection.execute(wanted, (letter,))]
                columns = (*binding.clear, *binding.private, *binding.body)
                found += [(binding.table, each, row) for row in rows for each in columns]
    return found


def _fewer_columns(evidence: Any) -> None:
    (columns,) = (each for each in evidence["columns"] if each["table"] == "messages")
    columns["private"].remove("title")
    del row_of(evidence, "messages")["title"]


def test_columns_of_another_version(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """An evidence is verified by the columns that were bound when it was made; to leave one out is
    found, because the hash was made of it."""
    path = case.export()
    files = members(path)
    newer = {each.table: replace(each, private=(*each.private, "later")) for each in BINDINGS}
    monkeypatch.setattr(bound, "_BY_TABLE", newer)
    assert found(path) == []
    sealed_again(path, with_json(files, _fewer_columns), case.key)
    assert "messages was changed: private_hash" in "\n".join(found(path))
