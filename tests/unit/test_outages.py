"""When a destination works again after an outage, everything that the outage put off goes at
once."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from datetime import timedelta
from itertools import repeat
from pathlib import Path
from uuid import uuid4

import pytest

from connectors.destinations import filedrop
from daemon.core.errors import TemporaryFailure
from daemon.core.model import Delivery, DeliveryState, Outcome
from daemon.core.ports import Destination
from daemon.delivery.dispatch import Dispatch
from daemon.delivery.outages import Outages
from daemon.monitoring.sending import of_deliveries
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from tests.unit.conftest import NOW, Clock, active_snapshot, stored_letter
from tests.unit.memory import MemoryDestination

pytestmark = pytest.mark.both_databases

AWAY = TemporaryFailure("the receiver does not answer")
BUSY = TemporaryFailure("the receiver is busy", retry_after=timedelta(hours=3))
LETTERS = 12
LONG = timedelta(hours=10)


def waiting_letters(store: Store) -> None:
    """Letters for `erp` that have waited for long, so that their own back-off is an hour."""
    letters = [
        stored_letter(f"letter-{number}", ["erp"], due_at=NOW - LONG) for number in range(LETTERS)
    ]
    store.letters.add(letters)


def dispatch_to(place: Destination, store: Store, content: ContentFolder, clock: Clock) -> Dispatch:
    """A dispatch to one destination, `erp`."""
    content.put([b"pdf"])
    return Dispatch(
        store=store,
        content=content,
        active=active_snapshot({"erp": place}),
        clock=clock,
        give_up_after=timedelta(days=5),
    )


def pending(store: Store) -> list[Delivery]:
    """The deliveries that wait."""
    return list(store.queries.deliveries(state=DeliveryState.PENDING))


def test_all_go_at_once_after_an_outage(
    store: Store, content: ContentFolder, clock: Clock, stopping: threading.Event
) -> None:
    """The first success after the pause makes due what has failed before, within its round, and not
    an hour later by each letter's own back-off."""
    place = MemoryDestination("erp", fails=repeat(AWAY))
    dispatch = dispatch_to(place, store, content, clock)
    waiting_letters(store)
    while any(each.attempts == 0 for each in pending(store)):
        dispatch.deliver_due(stopping)
        clock.advance(minutes=10)
    place.fails = iter(())
    longest = max(each.due_at for each in pending(store)) - clock()
    assert longest > timedelta(minutes=30)
    clock.now = dispatch.next_due() or clock.now
    assert dispatch.deliver_due(stopping) == {Outcome.DELIVERED: LETTERS}


def test_a_destination_is_tried_although_nothing_is_due(
    store: Store, content: ContentFolder, clock: Clock, stopping: threading.Event
) -> None:
    """Where all that waits has failed, and waits for an hour, one of it is tried after each pause,
    so that the end of the outage is noticed."""
    place = MemoryDestination("erp", fails=repeat(AWAY))
    dispatch = dispatch_to(place, store, content, clock)
    waiting_letters(store)
    for _ in range(LETTERS):
        dispatch.deliver_due(stopping)
        clock.advance(minutes=10)
    tried = len(place.handed)
    for _ in range(3):
        assert dispatch.deliver_due(stopping) == {Outcome.DEFERRED: 1}
        clock.advance(minutes=10)
    assert len(place.handed) == tried + 3
    place.fails = iter(())
    assert dispatch.deliver_due(stopping) == {Outcome.DELIVERED: LETTERS}


def test_what_the_receiver_asked_for_is_kept(
    store: Store, content: ContentFolder, clock: Clock, stopping: threading.Event
) -> None:
    """A delivery that its receiver wants later does not go sooner."""
    place = MemoryDestination("erp", fails=repeat(BUSY))
    dispatch = dispatch_to(place, store, content, clock)
    waiting_letters(store)
    dispatch.deliver_due(stopping)
    asked = sum(each.attempts for each in pending(store))
    assert 0 < asked < LETTERS
    place.fails = iter(())
    clock.advance(minutes=1)
    assert dispatch.deliver_due(stopping) == {Outcome.DELIVERED: LETTERS - asked}
    assert all(each.due_at >= NOW + timedelta(hours=3) for each in pending(store))


def test_a_letter_that_fails_by_itself_is_not_tried_for_ever() -> None:
    """One that fails again although its destination works waits by its own back-off."""
    outages, letter = Outages(), uuid4()
    outages.failed("erp", letter)
    assert outages.over("erp", was_paused=False) == ()
    outages.failed("erp", letter)
    assert set(outages.over("erp", was_paused=True)) == {letter}
    outages.failed("erp", letter)
    assert not outages.over("erp", was_paused=True)
    outages.failed("erp", letter)
    assert set(outages.over("erp", was_paused=True)) == {letter}
    outages.ended(letter)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A drop on a small disk of its own, which is full."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting needs root")
    status = os.statvfs(place)
    (place / "other").write_bytes(b"x" * (status.f_bavail * status.f_frsize))
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_drop(
    store: Store, content: ContentFolder, clock: Clock, stopping: threading.Event, small: Path
) -> None:
    """A drop without room is critical as `full` at once, and when there is room, all go."""
    settings = filedrop.Settings.model_validate({"path": str(small)})
    place = filedrop.connect("erp", settings)
    dispatch = dispatch_to(place, store, content, clock)
    waiting_letters(store)
    dispatch.deliver_due(stopping)
    found = [
        each
        for each in of_deliveries(active_snapshot({}).configuration(), store, clock())
        if each.kind in {"full", "failing"}
    ]
    assert {each.kind for each in found} == {"full"}
    assert all(each.critical and each.notify and not each.passing for each in found)
    assert "has no space left; make room on its disk" in found[0].text
    (small / "other").unlink()
    clock.advance(minutes=1)
    assert dispatch.deliver_due(stopping) == {Outcome.DELIVERED: LETTERS}
    place.close()
