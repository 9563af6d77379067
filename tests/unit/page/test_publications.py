"""Who changed the routing table, and why, whatever interrupts it; and drafts that are kept."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from daemon.core.accounts import ChangeSource
from daemon.store import Intent, Store
from tests.unit.by_hand import by_hand
from tests.unit.conftest import NOW, TABLE

pytestmark = pytest.mark.both_databases

INTENT = Intent(
    version="2" * 64,
    version_before=TABLE.version,
    text="# two\n",
    by="kari",
    reason="ny avdeling",
    counts={"letters": 9, "moved": 2},
)


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """A store that has never had a table."""
    for table in ("routing_changes", "routing_versions"):
        by_hand(database_url, f"DELETE FROM {table}")
    with closing(Store(database_url)) as opened:
        yield opened


def _history(store: Store) -> list[tuple[str, str | None, str, str, ChangeSource]]:
    return [
        (each.version, each.version_before, each.by, each.reason, each.source)
        for each in store.routing_changes.page()
    ]


def test_a_table_of_the_file_is_in_the_history_once(store: Store) -> None:
    """The service says when a table came by the file; that it starts again is no change."""
    store.letters.note_table("1" * 64, "# one\n", NOW)
    store.letters.note_table("1" * 64, "# one\n", NOW)
    store.letters.note_table("2" * 64, "# two\n", NOW + timedelta(hours=1))
    store.letters.note_table("1" * 64, "# one\n", NOW + timedelta(hours=2))
    assert _history(store) == [
        ("1" * 64, "2" * 64, "", "", ChangeSource.FILE),
        ("2" * 64, "1" * 64, "", "", ChangeSource.FILE),
        ("1" * 64, None, "", "", ChangeSource.FILE),
    ]


def test_a_publication_is_in_the_history_once(store: Store) -> None:
    """The service activates what the page published; it was not the file that changed it."""
    number = store.publications.begin(INTENT, NOW)
    assert _history(store) == []
    store.publications.finish(number)
    store.publications.finish(number)
    store.publications.drop(number)
    store.letters.note_table(INTENT.version, INTENT.text, NOW)
    assert _history(store) == [
        (INTENT.version, TABLE.version, "kari", "ny avdeling", ChangeSource.PAGE)
    ]
    assert store.routing_changes.page()[0].counts == {"letters": 9, "moved": 2}
    assert store.publications.text(INTENT.version) == INTENT.text


def test_the_service_completes_what_a_crash_interrupted(store: Store) -> None:
    """Whoever sees the new table first says who published it."""
    number = store.publications.begin(INTENT, NOW)
    store.letters.note_table(INTENT.version, INTENT.text, NOW + timedelta(seconds=1))
    store.publications.finish(number)
    store.publications.settle(INTENT.version)
    assert [each[2] for each in _history(store)] == ["kari"]


@pytest.mark.parametrize(("file", "changes"), [(INTENT.version, ["kari"]), (TABLE.version, [])])
def test_the_file_says_whether_a_crash_came_before_or_after(
    store: Store, file: str, changes: list[str]
) -> None:
    """If the file is the new one, it was published, and else it was not."""
    store.publications.begin(INTENT, NOW)
    store.publications.settle(file)
    store.publications.settle(INTENT.version)
    assert [each[2] for each in _history(store)] == changes


def test_another_page_takes_nothing_from_who_publishes(store: Store) -> None:
    """The page of another node, whose file is still the old one, looks while somebody publishes: in
    the history that one stands all the same, once."""
    number = store.publications.begin(INTENT, NOW)
    store.publications.settle(TABLE.version)
    for _ in range(2):
        store.publications.finish(number)
    assert [each[2] for each in _history(store)] == ["kari"]


def test_a_draft_is_kept_until_it_is_published(store: Store) -> None:
    """A draft belongs to one user, and ends with its publication only if that is what it says."""
    store.drafts.put("kari", base="# one\n", text="# three\n", now=NOW)
    store.drafts.put("ola", base="# one\n", text="# two\n", now=NOW)
    store.publications.finish(store.publications.begin(INTENT, NOW))
    assert store.drafts.find("kari")
    store.drafts.put("kari", base="# one\n", text="# two\n", now=NOW)
    store.publications.finish(store.publications.begin(INTENT, NOW))
    assert store.drafts.find("kari") is None
    assert store.drafts.find("ola")
    store.drafts.remove("ola")
    store.drafts.remove("ola")
    assert store.drafts.find("ola") is None


def test_the_history_begins_with_the_tables_of_an_earlier_release(tmp_path: Path) -> None:
    """After an upgrade one can roll back to what was in force before it."""
    path = tmp_path / "old.db"
    config = Config()
    config.set_main_option("script_location", "daemon.store:migrations")
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0007")
    engine.dispose()
    with closing(sqlite3.connect(path)) as old, old:
        old.executemany(
            "INSERT INTO routing_versions VALUES (?, ?, ?)",
            [
                ("2" * 64, "# two", "2026-11-02 08:00:00.000000"),
                ("1" * 64, "# one", "2026-11-01 08:00:00.000000"),
            ],
        )
    store = Store(f"sqlite:///{path}")
    assert [(each.version, each.version_before) for each in store.routing_changes.page()] == [
        ("2" * 64, "1" * 64),
        ("1" * 64, None),
    ]
    assert store.routing_changes.page()[0].source is ChangeSource.FILE
    store.close()
