"""Whether the service runs, for processes that only read the store."""

from __future__ import annotations

from collections.abc import Iterator

from daemon.core.model import DeliveryState
from daemon.monitoring.problem import Problem
from daemon.store import Store
from daemon.store.in_use import POLL, StoreUse

NOT_RUNNING, UNSEEN = "not-running", "unseen"
_START = "start it: `systemctl start postmottak`"


def of_running(store: Store, use: StoreUse, fault: str = "") -> Iterator[Problem]:
    """Yield that nothing works with the store, or that this cannot be seen. Raises StoreError.

    After a `poll`, that is how cron has it, and wrong only while deliveries wait. `fault` is why
    the last start of the service failed, if it did.
    """
    if fault and not use.in_use:
        yield Problem(
            kind=NOT_RUNNING,
            about="",
            text=f"The service does not start: {fault}",
            count=max(_waiting(store), 1),
        )
    elif use.in_use is None:
        yield Problem(
            kind=UNSEEN,
            about="",
            text=f"It cannot be seen whether the service runs: {use.why_unknown}",
            critical=False,
            passing=True,
        )
    elif not use.in_use:
        yield _not_running(_waiting(store), by_poll=use.holder == POLL)


def _not_running(waiting: int, *, by_poll: bool) -> Problem:
    text = "The service is not running"
    if waiting:
        text += f": {waiting} {'delivery waits' if waiting == 1 else 'deliveries wait'}"
    remedy = f"{_START}, or run `postmottak poll`" if waiting or by_poll else _START
    return Problem(
        kind=NOT_RUNNING,
        about="",
        text=f"{text}; {remedy}",
        count=max(waiting, 1),
        critical=False,
        passing=by_poll and not waiting,
    )


def _waiting(store: Store) -> int:
    """Count the deliveries that wait for a process, and not for an operator."""
    every = store.waiting.groups()
    return sum(each.count for each in every if each.state is not DeliveryState.HELD)
