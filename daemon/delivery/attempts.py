"""Decides the result of a delivery attempt: delivered, to be tried again, or dead."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import structlog

from daemon.core.bookkeeping import COLLISION, Alert
from daemon.core.durations import duration_text
from daemon.core.errors import (
    ConnectorFault,
    ContentMissing,
    PermanentFailure,
    PostmottakError,
    TemporaryFailure,
)
from daemon.core.outside_values import text_from
from daemon.core.parcels import Receipt
from daemon.delivery import retry
from daemon.store import Claim, ClaimResult, results

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class AttemptResult:
    """The result of one attempt."""

    ending: ClaimResult
    detail: str
    """Where the letter is, or why it was not delivered."""
    destination_down: bool = False
    """The destination itself could not be used."""
    may_go_sooner: bool = False
    """It waits by its own back-off only, so it may go as soon as the destination works again."""


@dataclass(frozen=True, kw_only=True)
class AttemptJudge:
    """Decides the results of attempts that began at `started_at` and have ended now."""

    started_at: datetime
    now: datetime
    give_up_after: timedelta
    awaiting_pickup: bool
    """Whether the destination reports when the receiver has taken the letter."""
    may_give_up: bool = True
    """False while the clock cannot be trusted: a delivery's age is unknown then, and a receiver
    refuses what is signed at the wrong time.
    """

    def of(self, claim: Claim, outcome: Receipt | PostmottakError) -> AttemptResult:
        """Return the result of the attempt.

        Raises the outcome itself if it does not concern the delivery, such as StoreError.
        """
        if isinstance(outcome, Receipt):
            return self._delivered(claim, outcome)
        reason = text_from(str(outcome))  # it may have a file name, which need not be text
        match outcome:
            case PermanentFailure():
                return (
                    self._dead_letter(claim, reason)
                    if self.may_give_up
                    else self._deferred(claim, reason)
                )
            case ContentMissing() | ConnectorFault():
                return self._deferred(claim, reason)
            case TemporaryFailure():
                attempt = self._deferred(claim, reason, outcome.retry_after, outcome.progress)
                # a destination that has made progress is not down
                down = outcome.progress is None
                sooner = down and outcome.retry_after is None
                return replace(attempt, destination_down=down, may_go_sooner=sooner)
            case _:
                raise outcome

    def _delivered(self, claim: Claim, receipt: Receipt) -> AttemptResult:
        if receipt.collided:
            _log.warning(
                "something else has the letter's name",
                delivery=str(claim.id),
                destination=claim.delivery.destination,
                reference=receipt.reference,
            )
        ending = results.delivered(
            claim,
            receipt,
            self.started_at,
            self.now,
            awaiting_pickup=self.awaiting_pickup,
            alert=_collision(claim, self.now) if receipt.collided else None,
        )
        return AttemptResult(ending=ending, detail=text_from(receipt.reference))

    def _deferred(
        self,
        claim: Claim,
        reason: str,
        retry_after: timedelta | None = None,
        progress: Mapping[str, Any] | None = None,
    ) -> AttemptResult:
        created_at = claim.delivery.created_at
        if self.may_give_up and retry.is_too_old(
            created_at=created_at, now=self.now, give_up_after=self.give_up_after
        ):
            return self._dead_letter(
                claim, f"given up after {duration_text(self.give_up_after)}: {reason}", progress
            )
        due_at = retry.next_attempt(
            created_at=created_at,
            now=self.now,
            retry_after=retry_after,
            chance=random.random(),  # noqa: S311  # spreads load, guards nothing
        )
        return AttemptResult(
            ending=results.deferred(claim, reason, due_at, self.started_at, self.now, progress),
            detail=reason,
        )

    def _dead_letter(
        self, claim: Claim, reason: str, progress: Mapping[str, Any] | None = None
    ) -> AttemptResult:
        return AttemptResult(
            ending=results.dead(claim, reason, self.started_at, self.now, progress), detail=reason
        )


def _collision(claim: Claim, now: datetime) -> Alert:
    destination = claim.delivery.destination
    text = (
        f"Something else has a letter's name at {destination}, so the letter lies there under "
        "another name"
    )
    return Alert(
        key=f"{COLLISION} {claim.id}",
        kind=COLLISION,
        critical=False,
        text=(
            f"{text}; see `postmottak deliveries show {claim.id}`, and find out who else writes "
            "there"
        ),
        began_at=now,
    )
