"""The log of events and the history of the routing table: complete, in order, and not rewritten."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from daemon.config.loader import RetentionSettings
from daemon.core.accounts import ChangeSource
from daemon.core.bookkeeping import LetterPart
from daemon.core.durations import FOREVER
from daemon.core.parcels import Receipt
from daemon.maintenance.housekeeping import Housekeeping
from daemon.maintenance.retention import Retention
from daemon.store import Store, events, results
from daemon.store.content_folder import ContentFolder
from daemon.store.events import REMOVED
from tests.unit.by_hand import by_hand
from tests.unit.conftest import NOW, TABLE, stored_letter

pytestmark = pytest.mark.both_databases

LETTER = UUID(int=7)


@pytest.fixture(name="eight")
def eight_events(store: Store) -> Store:
    """A store with eight events."""
    for number in range(8):
        store.events.add(
            NOW + timedelta(seconds=number),
            kind="letter-opened" if number % 2 else "login",
            user="anna" if number < 4 else "ola",
            address="10.0.0.1",
            message_id=LETTER if number % 2 else None,
            done=number != 6,
            details={"right": "open", "a": (number, "å")},
        )
    return store


def test_events_are_listed_newest_first(eight: Store) -> None:
    """Pages follow each other without a gap, and can be narrowed."""
    numbers = [each.number for each in eight.events.page(limit=3)]
    assert numbers == [8, 7, 6]
    assert [each.number for each in eight.events.page(before=6, limit=3)] == [5, 4, 3]
    assert [each.number for each in eight.events.page(message_id=LETTER, user="ola")] == [8, 6]
    assert [each.number for each in eight.events.page(kind="login", done=True)] == [5, 3, 1]
    (refused,) = eight.events.page(done=False)
    assert (refused.user, refused.address, refused.details) == (
        "ola",
        "10.0.0.1",
        {"right": "open", "a": [6, "å"]},
    )


def test_an_untouched_log_is_whole(eight: Store, database_url: str) -> None:
    """Nothing is reported of a log that was only added to, by two programs at once as well."""
    assert eight.events.verify() is None
    second = Store(database_url)

    def work(store: Store) -> None:
        for _ in range(20):
            store.events.add(NOW, kind="login", user="ø")

    threads = [threading.Thread(target=work, args=[each]) for each in (eight, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    second.close()
    assert len(eight.events.page()) == 48
    assert eight.events.verify() is None


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("UPDATE events SET \"user\" = 'kari' WHERE number = 3", 3),
        ("UPDATE events SET at = '2026-01-01 00:00:00' WHERE number = 1", 1),
        ("UPDATE events SET message_id = NULL WHERE number = 4", 4),
        ("UPDATE events SET done = true WHERE number = 7", 7),
        ("UPDATE events SET address = '' WHERE number = 7", 7),
        ("UPDATE events SET about = 'x' WHERE number = 7", 7),
        ("UPDATE events SET kind = 'x' WHERE number = 7", 7),
        ("UPDATE events SET details = '{}' WHERE number = 8", 8),
        ("UPDATE events SET hash = previous WHERE number = 5", 5),
        ("DELETE FROM events WHERE number = 1", 1),
        ("DELETE FROM events WHERE number = 4", 4),
        ("DELETE FROM events WHERE number > 6", 7),
        ("DELETE FROM events", 1),
    ],
)
def test_a_row_that_was_changed_by_hand_is_found(
    eight: Store, database_url: str, statement: str, broken: int
) -> None:
    """The first event that was changed or removed is named, also after others have been added."""
    by_hand(database_url, statement)
    assert eight.events.verify() == broken
    eight.events.add(NOW, kind="login", user="ola")
    assert eight.events.verify() == broken


def test_a_long_log_is_read_in_pieces(store: Store, database_url: str) -> None:
    """Between two pieces others can write, and a fault in a later piece is found."""
    for _ in range(5):
        store.events.add(NOW, kind="login", user="anna")
    from daemon.store import events

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(events, "_PIECE", 2)
        assert store.events.verify() is None
        by_hand(database_url, "UPDATE events SET \"user\" = 'kari' WHERE number = 5")
        assert store.events.verify() == 5


def test_the_history_of_the_routing_table(store: Store) -> None:
    """Each change says which table came after which, by whom, why and how, the newest first."""
    known = len(store.routing_changes.page())  # of the tables that the service had in force
    for number, source in enumerate(ChangeSource):
        store.routing_changes.add(
            NOW,
            version=f"v{number}",
            version_before=f"v{number - 1}" if number else None,
            by="anna",
            reason="ny avdeling",
            source=source,
            counts={"moved": number},
        )
    newest, *_ = store.routing_changes.page(limit=2)
    assert newest.model_dump(exclude={"at"}) == {
        "number": known + 4,
        "version": "v3",
        "version_before": "v2",
        "by": "anna",
        "reason": "ny avdeling",
        "source": ChangeSource.ROLLBACK,
        "approved_by": None,
        "counts": {"moved": 3},
    }
    older = store.routing_changes.page(before=known + 3, limit=2)
    assert [each.number for each in older] == [known + 2, known + 1]


def test_events_outlive_their_letter(store: Store) -> None:
    """Retention deletes a letter that was opened, and who opened it stays known."""
    letter = stored_letter("a")
    store.letters.add([letter])
    store.events.add(NOW, kind="letter-opened", user="anna", message_id=letter.message.id)
    claims = store.outbox.claim("x", NOW, timedelta(hours=1), 9)
    receipt = Receipt(reference="x", details={})
    store.outbox.end([results.delivered(each, receipt, NOW, NOW) for each in claims])
    parts = dict.fromkeys(LetterPart, "rule")
    assert len(store.retention.delete({letter.message.id: parts}, "service", NOW)) == 3
    assert store.queries.tombstone(str(letter.message.id))
    (event,) = store.events.page(message_id=letter.message.id)
    assert event.user == "anna"
    assert store.events.verify() is None


@pytest.mark.about_sqlite("the plan of a query")
@pytest.mark.parametrize("column", ["user", "kind", "message_id", "done"])
def test_a_page_of_a_long_log_needs_no_sort(database: Path, column: str) -> None:
    """However long the log is, a page of it is found by an index, so that no commit waits."""
    newest = f"SELECT * FROM events WHERE {column} = ? ORDER BY number DESC LIMIT 100"
    with closing(sqlite3.connect(database)) as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {newest}", (1,)).fetchall()
    assert [row[3].partition(" USING ")[2][:15] for row in plan] == ["INDEX events_by"]


def test_old_events_are_removed_and_the_rest_is_still_whole(
    eight: Store, database_url: str
) -> None:
    """What retention removes is in the log itself; what is removed otherwise is noticed still."""
    late = NOW + timedelta(days=30)
    assert eight.events.forget(NOW + timedelta(seconds=5), late) == 5
    left = eight.events.page()
    assert [each.number for each in left] == [9, 8, 7, 6]
    assert (left[0].kind, left[0].details["count"], left[0].details["last"]) == (REMOVED, 5, 5)
    assert eight.events.verify() is None
    assert eight.events.forget(NOW + timedelta(seconds=5), late) == 0
    by_hand(database_url, "DELETE FROM events WHERE number = 6")
    assert eight.events.verify() == 6


def test_all_events_can_go_in_pieces(
    eight: Store, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each piece is removed at once, however many there are; a log without users stays small."""
    monkeypatch.setattr(events, "_PIECE", 3)
    late = NOW + timedelta(days=30)
    assert eight.events.forget(late, late) == 8
    assert eight.events.verify() is None
    later = late + timedelta(days=30)
    assert eight.events.forget(later, later) == 0
    eight.events.add(later, kind="login", user="anna", address="")
    assert eight.events.verify() is None
    by_hand(database_url, "UPDATE events SET details = '{}' WHERE kind = 'events-removed'")
    assert eight.events.verify() is not None


@pytest.mark.parametrize("kept", [timedelta(days=10), FOREVER])
def test_housekeeping_keeps_events_as_long_as_it_is_told(
    eight: Store, tmp_path: Path, kept: timedelta
) -> None:
    """`events` of [retention] is the time; without it nothing is removed."""
    settings = RetentionSettings(events=kept)
    housekeeping = Housekeeping(
        store=eight,
        content=ContentFolder(tmp_path / "content"),
        retention=lambda: Retention(settings=settings, table=TABLE, past=lambda _: None),
        clock=lambda: NOW + timedelta(days=11),
    )
    removed = housekeeping.run("service", threading.Event()).events
    assert removed == (0 if kept == FOREVER else 8)
    assert len(eight.events.page()) == (8 if kept == FOREVER else 1)
