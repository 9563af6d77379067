"""Corrections of the clock while worker processes may still go on with the wrong time."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlmodel import col, update

from daemon.core.model import Message, message_id
from daemon.service.upkeep import ClockCorrections
from daemon.store import Store
from tests.machine import Machine
from tests.unit.conftest import NOW, stored_letter

LATE = timedelta(seconds=5)
SECOND = timedelta(seconds=1)


def store_at(store: Store, external_id: str, when: datetime) -> None:
    """Store a letter that is said to have been fetched then."""
    store.letters.add([stored_letter(external_id)])
    with store.letters._database.write() as session:
        session.execute(
            update(Message)
            .where(col(Message.id) == message_id("altinn", external_id))
            .values(fetched_at=when)
        )


def test_what_a_worker_recorded_late(store: Store) -> None:
    """A correction is applied only when all workers have heard of it, and then also to what they
    recorded meanwhile; until then nothing is trusted."""
    machine = Machine(NOW, ahead=timedelta(hours=9))
    clock = machine.clock(NOW - timedelta(minutes=1), source=True)
    corrections = ClockCorrections(store, clock, LATE)
    machine.ask()
    wrong = NOW + machine.ahead
    assert abs(clock() - NOW) < timedelta(minutes=1)
    store_at(store, "a", wrong)
    corrections.apply()
    assert (len(clock.corrections()), clock.stretch()) == (1, None)
    machine.passes(2, every=1)
    store_at(store, "late", wrong + 2 * SECOND)
    machine.passes(4, every=1)
    corrections.apply()
    assert not clock.corrections()
    for each in ("a", "late"):
        assert abs(store.queries.message(each).fetched_at - machine.truth) < timedelta(hours=1)
