"""Rows are seen in the order of their numbers, whichever node wrote them: a reader that asks for
what comes after the last number that it has seen misses none."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import Connection, Engine, event
from sqlmodel import Session

from daemon.core.accounts import ChangeSource, Event, RoutingChange
from daemon.core.bookkeeping import (
    Acknowledgement,
    AcknowledgementState,
    DeadlineAnswer,
    Deletion,
    LetterPart,
)
from daemon.core.deadlines import DeadlineState
from daemon.core.errors import NotStorable
from daemon.core.model import DecisionRow
from daemon.store import Store
from daemon.store.changes import FollowedTable, RowPlace
from daemon.store.content_folder import ContentFolder
from daemon.store.events import append
from daemon.store.stored_letter import insert_letters
from tests.processes.node_crew import wait_for
from tests.processes.postgresql import PostgresqlServer
from tests.unit.conftest import NOW, TABLE, Clock, stored_letter
from tests.unit.test_journal_of_letters import live

_WAITERS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


@pytest.fixture
def url(postgresql: PostgresqlServer, template: str) -> Iterator[str]:
    """The URL of a database of this test's own."""
    with postgresql.like(template) as url:
        yield url


def write_everything(session: Session, name: str) -> UUID:
    """Add a row to each table that somebody reads from the last row on that they have seen."""
    letter = stored_letter(name)
    insert_letters(session, [letter], {})
    key = letter.message.id
    session.add_all(
        [
            Acknowledgement(
                message_id=key, number=1, state=AcknowledgementState.ACKNOWLEDGED, by="a", at=NOW
            ),
            DeadlineAnswer(message_id=key, number=1, state=DeadlineState.HANDLED, by="a", at=NOW),
            Deletion(
                message_id=key, part=LetterPart.BODY, deleted_at=NOW, by="a", rule="r", what={}
            ),
            RoutingChange(
                at=NOW, version=TABLE.version, by="a", reason=name, source=ChangeSource.PAGE
            ),
        ]
    )
    append(
        session,
        Event(at=NOW, user="a", address="", kind="k", about=name, done=True, previous="", hash=""),
    )
    session.flush()
    return key


def seen(store: Store) -> dict[str, list[object]]:
    """What a reader finds in each of these tables, in the order of their numbers."""
    found: dict[str, list[object]] = {
        each.value: [step.letter for step in store.changes.after(each, RowPlace(), 9) or ()]
        for each in FollowedTable
    }
    found["events"] = [each.about for each in reversed(store.events.page())]
    changes = reversed(store.routing_changes.page())
    found["routing changes"] = [each.reason for each in changes if each.reason]
    with store.queries._database.read_one() as connection:
        journal = "SELECT subject FROM journal WHERE kind = 'stored' ORDER BY sequence"
        found["journal"] = [UUID(each) for (each,) in connection.exec_driver_sql(journal)]
    return found


def test_a_later_row_is_never_seen_before_an_earlier_one(url: str) -> None:
    """While one node is in the middle of a transaction that has its numbers, another gets none: it
    waits, a reader sees neither, and then both in the order of their numbers."""
    with closing(Store(url)) as one, closing(Store(url)) as other, closing(Store(url)) as reader:
        later: list[UUID] = []

        def write_later() -> None:
            with other.queries._database.write() as session:
                later.append(write_everything(session, "later"))

        second = threading.Thread(target=write_later)
        before = seen(reader)
        with one.queries._database.write() as session:
            first = write_everything(session, "first")
            second.start()
            with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
                assert wait_for(lambda: connection.execute(_WAITERS).fetchone() == (1,))
            assert seen(reader) == before
            assert not later
        second.join()
        for table, rows in seen(reader).items():
            expected = ["first", "later"] if isinstance(rows[0], str) else [first, *later]
            assert rows == expected, table
        for each in FollowedTable:
            place = reader.changes.newest(each)
            assert reader.changes.after(each, place, 9) == []
            assert reader.changes.after(each, RowPlace(number=place.number, key="x"), 9) is None


def test_what_adds_rows_has_the_lock_of_the_store(
    url: str, content: ContentFolder, clock: Clock
) -> None:
    """Whatever happens to letters, rows are added, changed and removed only in transactions that
    begin with the lock, so none overtakes another."""
    without: list[str] = []

    def look(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        writes = statement.lstrip().upper().startswith(("INSERT", "UPDATE", "DELETE"))
        if writes and not connection.get_execution_options().get("immediate", False):
            without.append(statement)

    event.listen(Engine, "before_cursor_execute", look)
    try:
        with closing(Store(url)) as store:
            live(store, content, clock)
    finally:
        event.remove(Engine, "before_cursor_execute", look)
    assert without == []


@pytest.mark.both_databases
def test_a_later_decision_is_noticed_after_one_that_failed(store: Store) -> None:
    """The number that says that a letter was decided again changes, also when a letter could not be
    stored in between, which uses a number on PostgreSQL; a letter that comes does not change it."""
    store.letters.add([stored_letter("old")])
    before = store.arrivals.decided_again()
    broken = stored_letter("broken")
    broken.decision.why = {"not JSON": object()}
    with pytest.raises(NotStorable):
        store.letters.add([broken])
    store.letters.add([stored_letter("new")])
    assert store.arrivals.decided_again() == before
    decision = DecisionRow(**{**stored_letter("old").decision.model_dump(), "route": "(operator)"})
    store.decisions.decide(decision, {"mail": ["post"]}, NOW, again=())
    assert store.arrivals.decided_again() != before
