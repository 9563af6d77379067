"""Turns: so many at a time, each over as soon as its holder says so."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from daemon.turns import Turns


def test_no_more_than_so_many_at_a_time() -> None:
    """However many threads ask, only so many have a turn."""
    turns, lock, now, most = Turns(3), threading.Lock(), [0], [0]

    def work(_: int) -> None:
        with turns.turn():
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            threading.Event().wait(0.005)
            with lock:
                now[0] -= 1

    with ThreadPoolExecutor(9) as pool:
        list(pool.map(work, range(27)))
    assert most == [3]


def test_a_turn_that_is_over_early_is_the_next_ones() -> None:
    """Whoever ends a turn and works on does not hold others up; ending it again gives nobody a second one."""
    turns, taken = Turns(1), threading.Event()

    def take() -> None:
        with turns.turn():
            taken.set()

    with turns.turn() as end, ThreadPoolExecutor(1) as pool:
        end()
        with turns.turn():
            end()
            pool.submit(take)
            assert not taken.wait(0.05)
        assert taken.wait(10)


def test_an_error_ends_a_turn() -> None:
    """A call that fails does not keep its turn."""
    turns = Turns(1)
    with pytest.raises(ValueError, match="broken"), turns.turn():
        raise ValueError("broken")
    with turns.turn():
        pass
