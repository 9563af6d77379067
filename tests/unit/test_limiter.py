"""Turns: so many at a time, each over as soon as its holder says so."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from daemon.runtime.limiter import ConcurrencyLimiter
from tests.at_a_time import AtATime


def test_no_more_than_so_many_at_a_time() -> None:
    """However many threads ask, only so many have a turn."""
    turns, at_a_time = ConcurrencyLimiter(3), AtATime()

    def work(_: int) -> None:
        with turns.slot(), at_a_time.counted():
            pass

    with ThreadPoolExecutor(9) as pool:
        list(pool.map(work, range(27)))
    assert at_a_time.most == 3


def test_fewer_while_others_come_first() -> None:
    """While others need the processor more there are few turns at a time, at least one of them goes
    on, and afterwards many again."""
    busy = threading.Event()
    busy.set()
    turns, taken = (
        ConcurrencyLimiter(4, reduced_limit=2, yield_priority=busy.is_set),
        threading.Semaphore(0),
    )
    ends = [threading.Event() for _ in range(5)]

    def take(end: threading.Event) -> None:
        with turns.slot():
            taken.release()
            assert end.wait(10)

    with ThreadPoolExecutor(5) as pool:
        for end in ends:
            pool.submit(take, end)
        assert [taken.acquire(timeout=wait) for wait in (10, 10, 0.05)] == [True, True, False]
        busy.clear()
        ends[0].set()
        ends[1].set()
        assert [taken.acquire(timeout=10) for _ in range(3)] == [True] * 3
        for end in ends:
            end.set()


def test_few_are_never_more_than_many() -> None:
    """Where there is one turn at a time there are no two because others come first."""
    turns, taken = (
        ConcurrencyLimiter(1, reduced_limit=2, yield_priority=lambda: True),
        threading.Event(),
    )

    def take() -> None:
        with turns.slot():
            taken.set()

    with ThreadPoolExecutor(1) as pool:
        with turns.slot():
            pool.submit(take)
            assert not taken.wait(0.05)
        assert taken.wait(10)


def test_an_error_ends_a_turn() -> None:
    """A call that fails does not keep its turn."""
    turns = ConcurrencyLimiter(1)
    with pytest.raises(ValueError, match="broken"), turns.slot():
        raise ValueError("broken")
    with turns.slot():
        pass
