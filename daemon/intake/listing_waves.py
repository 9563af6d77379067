"""Lists channels at the same time, so that the letters of most do not wait for a slow list."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from daemon.core.bookkeeping import Bookmark
from daemon.core.ports import Channel
from daemon.intake.listing import ListedChannel

_TOGETHER = 2.0
"""Seconds for which channels that are listed wait for others: letters cost least together."""


def listed_in_waves(
    pool: ThreadPoolExecutor,
    list_one: Callable[[Channel, Bookmark], ListedChannel | None],
    channels: Iterable[tuple[Channel, Bookmark]],
) -> Generator[list[ListedChannel], None, None]:
    """Yield the channels that are listed by then, in their order; the rest goes on meanwhile.

    There is one wave, unless that would take longer than `_TOGETHER`. Those for which `list_one`
    returns None are left out. Raises what it raises, and begins no more lists then.
    """
    left: list[Future[ListedChannel | None]] = [
        pool.submit(list_one, channel, bookmark) for channel, bookmark in channels
    ]
    try:
        while left:
            if not wait(left, timeout=_TOGETHER).done:
                wait(left, return_when=FIRST_COMPLETED)
            done = {each for each in left if each.done()}
            ended, left = (
                [each for each in left if each in done],
                [each for each in left if each not in done],
            )
            yield [found for each in ended if (found := each.result())]
    finally:
        for each in left:
            each.cancel()
