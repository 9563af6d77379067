"""Changes of many deliveries beside a running service, which may change some meanwhile."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from uuid import UUID

from daemon.core.errors import OperatorError

TOGETHER = 100
"""Deliveries that are changed in one transaction."""
_PAUSE = 0.12
"""Seconds between two transactions in which others can commit: one that waits for a busy database
asks SQLite again every tenth of a second (`sqliteDefaultBusyCallback` in its main.c).
"""


def in_bulk(
    ids: Sequence[UUID], act: Callable[[Sequence[UUID]], object]
) -> Iterator[tuple[UUID, bool]]:
    """Do `act` to all of them, and yield each with whether it was done, in their order.

    `act`, a method of the outbox, changes all that it is given or none. So where one has changed
    its state meanwhile, its batch is halved until that one is alone. Between two batches it pauses,
    or the service could not commit until all is done. Raises StoreError; what was yielded before is
    done.
    """
    batches = deque(ids[start : start + TOGETHER] for start in range(0, len(ids), TOGETHER))
    while batches:
        some = batches.popleft()
        try:
            act(some)
        except OperatorError:  # one of them has changed its state, or is gone
            half = len(some) // 2
            batches.extendleft((some[half:], some[:half]) if half else ())
            yield from ((key, False) for key in some if not half)
            continue
        yield from ((key, True) for key in some)
        if batches:
            time.sleep(_PAUSE)
