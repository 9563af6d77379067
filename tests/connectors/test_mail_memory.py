"""Room for mail: many large mails at a time must not need memory for all of them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from connectors.mail.smtp_server import MemoryBudget

SOON = 10  # seconds


def test_large_ones_wait_for_each_other() -> None:
    """What is inside at a time is never more than the room, or one alone that is larger than that;
    and everybody gets in."""
    room, lock, inside, most = MemoryBudget(10), threading.Lock(), [0], [0]

    def go(size: int) -> None:
        with room.taken(size):
            with lock:
                inside[0] += size
                most[0] = max(most[0], inside[0] if inside[0] != size else 0)
            with lock:
                inside[0] -= size

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(go, [12, 6, 4, 1] * 100))
    assert most[0] <= 10


def test_small_ones_go_past() -> None:
    """While a large one waits, a small one is let in; what fails inside gives its room back."""
    room, entered = MemoryBudget(10), threading.Event()

    def large() -> None:
        with room.taken(9):
            entered.set()

    with room.taken(5):
        thread = threading.Thread(target=large)
        thread.start()
        with room.taken(5):
            assert not entered.is_set()
    assert entered.wait(SOON)
    thread.join()
    with pytest.raises(KeyError), room.taken(10):
        raise KeyError
    with room.taken(10):
        pass
