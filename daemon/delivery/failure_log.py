"""The log of attempts: the first failure of a kind at a destination is a warning, repeats count."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from daemon.core.callbacks import do_nothing
from daemon.core.causes import incident_of
from daemon.core.model import Outcome
from daemon.delivery.attempts import AttemptResult

_log = structlog.get_logger(__name__)
_AGAIN_AFTER = timedelta(hours=1)
_KINDS = 20
"""Kinds of failure that are told apart at one destination; the others count as one more."""
_OTHERS = ""


@dataclass
class _Failure:
    """One kind of failure at one destination."""

    logged_at: datetime
    since_then: int = 0
    """How many failures have not been logged."""
    is_over: bool = False


class FailureLog:
    """Logs attempts. For one thread."""

    def __init__(self, on_change: Callable[[], None] = do_nothing) -> None:
        """`on_change` is called when a kind of failure begins or ends, and for a dead letter."""
        self._on_change = on_change
        self._failures: dict[str, dict[str, _Failure]] = {}
        """By destination, and then by incident."""

    def note(self, attempt: AttemptResult, *, ours: bool, now: datetime) -> None:
        """Log the attempt. `ours` unless something else has the delivery by now.

        `now` may be of any clock, but always of the same one.
        """
        outcome = attempt.ending.outcome
        if ours and outcome is Outcome.DEFERRED:
            self._deferred(attempt, now)
            return
        if ours and outcome is Outcome.DELIVERED:
            self.is_well(attempt.ending.claim.delivery.destination)
        if ours and outcome is Outcome.DEAD:
            self._on_change()
        level = "warning" if ours and outcome is Outcome.DEAD else "info"
        _write(attempt, level, outcome.value if ours else "superseded")

    def _deferred(self, attempt: AttemptResult, now: datetime) -> None:
        destination = attempt.ending.claim.delivery.destination
        kinds = self._failures.setdefault(destination, {})
        incident = incident_of(destination, attempt.detail)
        if incident not in kinds and len(kinds) >= _KINDS:
            _forget_old(kinds, now)
            incident = _OTHERS if len(kinds) >= _KINDS else incident
        known = kinds.get(incident)
        if known is None or known.is_over:
            self._on_change()
        if known and now - known.logged_at < _AGAIN_AFTER:
            known.since_then, known.is_over = known.since_then + 1, False
            _write(attempt, "debug", Outcome.DEFERRED.value)
            return
        kinds[incident] = _Failure(logged_at=now)
        repeats = {"repeats": known.since_then} if known and known.since_then else {}
        _write(attempt, "warning", Outcome.DEFERRED.value, **repeats)

    def is_well(self, destination: str) -> None:
        """A delivery has succeeded: what failed there is over, as far as is known."""
        kinds = self._failures.get(destination, {})
        over = [each for each in kinds.values() if not each.is_over]
        for each in over:
            each.is_over = True
        if over:
            _log.info(
                "a destination takes deliveries again",
                destination=destination,
                repeats=sum(each.since_then for each in over),
            )
            self._on_change()


def log_attempt(attempt: AttemptResult) -> None:
    """Log a delivery that was made. May be called from any thread."""
    _write(attempt, "info", attempt.ending.outcome.value)


def _forget_old(kinds: dict[str, _Failure], now: datetime) -> None:
    """Forget what is over, and would be logged again anyway."""
    for incident, each in list(kinds.items()):
        if each.is_over and now - each.logged_at >= _AGAIN_AFTER:
            del kinds[incident]


def _write(attempt: AttemptResult, level: str, outcome: str, **more: int) -> None:
    ending = attempt.ending
    getattr(_log, level)(
        "delivery attempted",
        delivery=str(ending.claim.id),
        message=str(ending.claim.delivery.message_id),
        destination=ending.claim.delivery.destination,
        outcome=outcome,
        reason=attempt.detail,
        attempt=ending.claim.delivery.attempts,
        seconds=round((ending.ended_at - ending.started_at).total_seconds(), 3),
        **more,
    )
