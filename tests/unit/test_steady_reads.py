"""What the service asks of the store all the time costs the same, however much waits."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlmodel import col, select

from daemon.core.model import DeliveryState, Mark, MarkKind, MarkState, Message, Policy
from daemon.store import Store, StoredLetter
from daemon.store.pages import pieces, row_number
from tests.unit.conftest import NOW, envelope, stored_letter

MANY, FEW = 2000, 20


def _letter(number: int) -> StoredLetter:
    at = NOW + timedelta(seconds=max(0, number - MANY // 2))
    letter = stored_letter(f"letter-{number}", ("archive", "mail"), due_at=at)
    letter.message.fetched_at = NOW + timedelta(seconds=number)
    return letter


@pytest.fixture(name="stores", scope="module")
def big_and_small(
    new_database: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Store, Store]]:
    """A store with thousands of letters that wait, and one with a few."""
    folder = tmp_path_factory.mktemp("steady")
    stores = []
    for count in (MANY, FEW):
        store = Store(f"sqlite:///{shutil.copy(new_database, folder / f'{count}.db')}")
        store.letters.add([_letter(number) for number in range(count)])
        _add_marks(store, count)
        older = [envelope(f"older-{number}").ref for number in range(10 * count)]
        store.letters.see_older(older, NOW)
        stores.append(store)
    yield stores[0], stores[1]
    for store in stores:
        store.close()


STEADY_READS: dict[str, Callable[[Store], object]] = {
    "when the next is due": lambda store: store.outbox.next_due(),
    "when the next is due, but for a paused destination": lambda store: store.outbox.next_due(
        ["archive"]
    ),
    "why some wait at a destination": lambda store: store.queries.last_errors(
        DeliveryState.PENDING, "mail", 9
    ),
    "letters that could not be fetched": lambda store: store.letters.failing("altinn"),
    "marks that are due": lambda store: store.marks.due("altinn", NOW + timedelta(days=1), 10),
    "a letter by its id in the mailbox": lambda store: store.queries.message("letter-3"),
    "a letter by the beginning of its id": lambda store: store.queries.message(
        str(_letter(3).message.id)[:13]
    ),
}
"""Reads that the service repeats all the time, and those of one letter."""


def _steps(store: Store, read: Callable[[Store], object]) -> int:
    """Count, in tens, the instructions of SQLite's machine that a read takes."""
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1

    def watch(connection: Any, *_: object) -> None:
        connection.connection.driver_connection.set_progress_handler(step, 10)

    for engine in (store.queries._database._engine.reader, store.queries._database._engine.single):
        event.listen(engine, "before_cursor_execute", watch)
    read(store)
    return steps


@pytest.mark.parametrize("read", STEADY_READS)
def test_what_is_asked_all_the_time_costs_the_same_at_any_size(
    stores: tuple[Store, Store], read: str
) -> None:
    """With two thousand that wait, the read takes no more steps than with twenty."""
    many, few = (_steps(store, STEADY_READS[read]) for store in stores)
    assert 0 < many <= 2 * few + 20


@pytest.mark.parametrize("newest_first", [False, True], ids=["oldest first", "newest first"])
def test_a_piece_of_a_walk_costs_the_same_at_any_size(
    stores: tuple[Store, Store], *, newest_first: bool
) -> None:
    """A walk that ends at some time reads each letter once, and not all of them for each piece."""

    def read(store: Store) -> None:
        database = store.queries._database
        order = (col(Message.fetched_at), row_number(Message))
        since, until = NOW - timedelta(days=1), NOW + timedelta(days=1)
        walk = pieces(database, order, since=since, until=until, size=5, newest_first=newest_first)
        for piece in islice(walk, 3):
            assert len(database.rows(select(Message.title).where(piece))) == 5

    many, few = (_steps(store, read) for store in stores)
    assert 0 < many <= 2 * few + 20


def _add_marks(store: Store, count: int) -> None:
    marks = [
        Mark(
            message_id=_letter(number).message.id,
            kind=MarkKind.READ,
            policy=Policy.STORED,
            state=MarkState.DUE,
            due_at=NOW + timedelta(seconds=number),
        )
        for number in range(count)
    ]
    with store.queries._database.write() as session:
        session.add_all(marks)


def test_marks_of_both_states_come_in_the_order_of_their_time(stores: tuple[Store, Store]) -> None:
    """Those that are due and those to be verified come by their times, Read before Confirmed."""
    few = stores[1]
    with few.queries._database.write() as session:
        session.add(
            Mark(
                message_id=_letter(3).message.id,
                kind=MarkKind.CONFIRMED,
                policy=Policy.STORED,
                state=MarkState.TOLD,
                due_at=NOW + timedelta(seconds=3),
            )
        )
    found = [
        (mark.due_at, mark.kind)
        for mark, _ in few.marks.due("altinn", NOW + timedelta(seconds=4), 9)
    ]
    assert [kind for _, kind in found] == [MarkKind.READ] * 4 + [MarkKind.CONFIRMED, MarkKind.READ]
    assert [at for at, _ in found] == sorted(at for at, _ in found)
