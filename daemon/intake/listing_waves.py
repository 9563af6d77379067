"""Lists channels at the same time, so that the letters of most do not wait for a slow list.

An organisation has at most half of the threads while there are others: what its lists cost, however
long or slow they are, costs others no more than that.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue

from daemon.core.bookkeeping import Bookmark
from daemon.core.ports import Channel
from daemon.intake.listing import ListedChannel

_TOGETHER = 2.0
"""Seconds for which channels that are listed wait for others: letters cost least together."""
_ListOne = Callable[[Channel, Bookmark], ListedChannel | None]
_Work = deque[tuple[int, Channel, Bookmark]]
_Result = tuple[int, ListedChannel | Exception | None]


def listed_in_waves(
    pool: ThreadPoolExecutor,
    list_one: _ListOne,
    channels: Iterable[tuple[Channel, Bookmark]],
    threads: int,
) -> Generator[list[ListedChannel], None, None]:
    """Yield the channels that are listed by then, in their order; the rest goes on meanwhile.

    `threads` is how many the pool has. There is one wave, unless that would take longer than
    `_TOGETHER`. Those for which `list_one` returns None are left out. Raises what it raises, and
    begins no more lists then.
    """
    waiting: defaultdict[str, _Work] = defaultdict(deque)
    for place, (channel, bookmark) in enumerate(channels):
        waiting[channel.party].append((place, channel, bookmark))
    left, found = sum(map(len, waiting.values())), SimpleQueue[_Result]()

    lanes = threads if len(waiting) == 1 else max(1, threads // 2)
    sizes = [(work, min(lanes, len(work))) for work in waiting.values()]
    for lane in range(lanes):
        for work, its_lanes in sizes:
            if lane < its_lanes:
                pool.submit(_list_each, work, list_one, found)
    try:
        while left:
            results = _together(found, left)
            left -= len(results)
            yield _listed(results)
    finally:
        for work in waiting.values():
            work.clear()


def _list_each(work: _Work, list_one: _ListOne, found: SimpleQueue[_Result]) -> None:
    """List what is left of the work, which other threads may share."""
    while work:
        try:
            place, channel, bookmark = work.popleft()
        except IndexError:  # another thread has taken the last
            return
        try:
            found.put((place, list_one(channel, bookmark)))
        except Exception as error:  # noqa: BLE001  # the thread that waits raises it
            found.put((place, error))


def _together(found: SimpleQueue[_Result], most: int) -> list[_Result]:
    """Return at least one result, and what comes soon after it."""
    ends = time.monotonic() + _TOGETHER
    results = [found.get()]
    while len(results) < most:
        try:
            results.append(found.get(timeout=max(0.0, ends - time.monotonic())))
        except Empty:
            break
    return sorted(results, key=lambda each: each[0])


def _listed(results: list[_Result]) -> list[ListedChannel]:
    listed = []
    for _, result in results:
        if isinstance(result, Exception):
            raise result
        if result is not None:
            listed.append(result)
    return listed
