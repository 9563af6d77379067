"""The clock that wakes others, and the bell that it rings."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.runtime.schedule import Scheduler, WakeEvent, _Every

SOON = timedelta(milliseconds=20)
_UTC, _LATEST = st.just(UTC), datetime(9000, 1, 1)  # noqa: DTZ001  # hypothesis wants it without


@pytest.fixture
def schedule() -> Iterator[Scheduler]:
    """A schedule that is stopped in the end."""
    schedule = Scheduler()
    schedule.start()
    yield schedule
    schedule.stop()


def test_each_is_woken_again_and_again(schedule: Scheduler) -> None:
    """What is scheduled is woken at its interval, each by itself, and not before the first has
    passed."""
    woken = {name: threading.Semaphore(0) for name in ("one", "two")}
    for name, semaphore in woken.items():
        schedule.every(SOON, name, semaphore.release)
    never = threading.Event()
    schedule.every(timedelta(hours=1), "never", never.set)
    assert all(semaphore.acquire(timeout=30) for semaphore in woken.values() for _ in range(3))
    assert not never.is_set()


def test_one_that_fails_is_woken_again(schedule: Scheduler) -> None:
    """A wake that fails is neither the end of its own schedule nor of another's."""
    called = threading.Semaphore(0)

    def fail() -> None:
        called.release()
        raise KeyError

    schedule.every(SOON, "failing", fail)
    assert all(called.acquire(timeout=30) for _ in range(3))


def test_a_name_is_scheduled_once(schedule: Scheduler) -> None:
    """Scheduling a name again takes the place of what it was."""
    old, new = threading.Event(), threading.Semaphore(0)
    schedule.every(timedelta(hours=1), "name", old.set)
    schedule.every(SOON, "name", new.release)
    assert new.acquire(timeout=30)
    assert not old.is_set()


def test_a_clock_that_is_set_back_silences_nothing() -> None:
    """When the clock was set, everything ticks at once, and only once, and begins its interval
    again."""
    set_by = timedelta()
    schedule, woken = Scheduler(lambda: datetime.now(UTC) + set_by), threading.Semaphore(0)
    schedule.every(timedelta(hours=1), "name", woken.release)
    schedule.start()
    schedule.follow_clock()
    assert not woken.acquire(timeout=0.1)
    set_by = timedelta(days=-400)
    schedule.follow_clock()
    assert woken.acquire(timeout=30)
    schedule.follow_clock()
    assert not woken.acquire(timeout=0.1)
    schedule.stop()


@given(st.datetimes(timezones=_UTC), st.datetimes(max_value=_LATEST, timezones=_UTC))
def test_the_next_tick_is_one_interval_away(before: datetime, now: datetime) -> None:
    """Whenever the last tick was by a clock that has been set since, the next one comes an interval
    from now, give or take a tenth."""
    interval = timedelta(minutes=5)
    away = _Every(interval).get_next_fire_time(before, now) - now
    assert 0.9 * interval <= away <= 1.1 * interval


def test_nothing_is_woken_after_the_end() -> None:
    """Once the schedule has ended it wakes nobody."""
    schedule, woken = Scheduler(), threading.Semaphore(0)
    schedule.every(SOON, "name", woken.release)
    schedule.start()
    assert woken.acquire(timeout=30)
    schedule.stop()
    while woken.acquire(blocking=False):
        pass
    assert not woken.acquire(timeout=0.2)


def test_a_ring_while_nobody_waits_is_kept() -> None:
    """However often a bell rings while its worker works, the worker goes round once more, and then
    waits again."""
    bell = WakeEvent()
    bell.wake_up()
    bell.wake_up()
    bell.wait(60)
    bell.wait(0)
    rounds = threading.Semaphore(0)

    def work() -> None:
        bell.wait(60)
        rounds.release()

    worker = threading.Thread(target=work)
    worker.start()
    assert not rounds.acquire(blocking=False)
    bell.wake_up()
    assert rounds.acquire(timeout=30)
    worker.join()
