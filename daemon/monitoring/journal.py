"""That the journal was not signed for long: nothing fixes its newest rows against an edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from daemon.core.bookkeeping import UNSIGNED
from daemon.monitoring.problem import Problem, moment
from daemon.store import Store

KIND = "journal-behind"
_AFTER = timedelta(days=2)
"""A head is signed once a day."""
_PATIENCE = timedelta(hours=1)
"""A service that was stopped for days signs soon after its start."""


def of_journal(store: Store, of_service: Sequence[Problem], now: datetime) -> Iterator[Problem]:
    """Yield that rows are unsigned for more than two days. Raises StoreError.

    Not where `of_service`, what the service knows of itself, says already why.
    """
    since = store.journal.unsigned_since()
    if since is None or now - since <= _AFTER:
        return
    if any(each.kind == UNSIGNED for each in of_service):
        return
    yield Problem(
        kind=KIND,
        about="",
        since=since,
        text=(
            f"The newest rows of the journal are not signed, since {moment(since)}; the service "
            "signs them once a day, or `postmottak poll` does: let one of them run, and see its log"
        ),
        critical=False,
        patience=_PATIENCE,
    )
