"""Deliveries to destinations on this machine by the worker process that stores their letters.

They are claimed by the commit that stores their letter, attempted from memory right after it, and
ended in one commit: no claim of their own, and nothing is read back. What does not end there, after
a failure or a crash, is in the outbox like everything else: a claim is a claim, however made.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple
from uuid import UUID

import structlog

from daemon.core.callbacks import do_nothing
from daemon.core.connector_calls import call_connector
from daemon.core.errors import PostmottakError
from daemon.core.model import DeliveryState, DeliveryValues, Outcome
from daemon.core.ports import Destination, KeepsDedupRecords, LocalDestination
from daemon.delivery.attempts import AttemptJudge, AttemptResult
from daemon.delivery.failure_log import log_attempt
from daemon.delivery.handover import Handover
from daemon.delivery.snapshot import Snapshot
from daemon.runtime.heartbeat import Heartbeat
from daemon.store import Claim, Store, StoredLetter
from daemon.store.content import ContentStore
from daemon.store.stored_letter import Added

LEASE = timedelta(minutes=15)
"""How long a claim lasts, unless it is renewed."""
_log = structlog.get_logger(__name__)


class Delivered(NamedTuple):
    """How long one delivery took, in seconds."""

    attempt: float
    since_fetched: float
    since_published: float


@dataclass(frozen=True, kw_only=True)
class LocalReport:
    """The results of some deliveries, for the process that counts them and watches destinations."""

    delivered: Mapping[str, Sequence[Delivered]] = field(default_factory=dict)
    """By destination."""
    failed: Sequence[tuple[AttemptResult, bool]] = ()
    """Other results, without the letters' texts, and whether each could be recorded."""
    untidy: Collection[str] = ()
    """Destinations where deduplication records may be left."""


def shared_by_processes(destination: Destination) -> bool:
    """Whether it is on this machine, and several processes may deliver to it at once."""
    return isinstance(destination, LocalDestination) and not destination.one_process


@dataclass(frozen=True, kw_only=True)
class LocalDeliveries:
    """Makes the local deliveries of letters that are just being stored.

    `owner` is the name of this process in claims. `may_give_up` says whether the clock is certain
    enough for a delivery to be dead. For several threads.
    """

    store: Store
    content: ContentStore
    owner: str
    clock: Callable[[], datetime]
    steady: Callable[[], datetime]
    may_give_up: Callable[[], bool]
    confirm: Callable[[], None] = do_nothing
    """Raises TemporaryFailure if another node may have taken over what this process delivers."""

    def begin(self, snapshot: Snapshot, usable: Collection[str], beat: Heartbeat) -> LocalBatch:
        """Begin to deliver to the `usable` destinations of the snapshot.

        Keep it in use as long. A destination that fails is left out from then on. `beat` is called
        when there is progress.
        """
        shared = {
            name
            for name, each in snapshot.destinations.items()
            if name in usable and shared_by_processes(each)
        }
        return LocalBatch(self, snapshot, shared, beat)


class LocalBatch:
    """Deliveries of one piece of work. For one thread."""

    def __init__(
        self, parts: LocalDeliveries, snapshot: Snapshot, usable: set[str], beat: Heartbeat
    ) -> None:
        self._parts, self._snapshot, self._usable = parts, snapshot, usable
        self._beat = beat
        self._handover = Handover(parts.content, parts.confirm)

    def claim(self, letters: Sequence[StoredLetter]) -> dict[UUID, DeliveryValues]:
        """Return those of the letters' deliveries that are made here, claimed, by their id."""
        due_at = self._parts.clock() + LEASE
        return {
            delivery.id: self._claimed(delivery, due_at)
            for letter in letters
            for delivery in letter.deliveries
            if delivery.destination in self._usable
        }

    def _claimed(self, delivery: DeliveryValues, due_at: datetime) -> DeliveryValues:
        return delivery.model_copy(
            update={
                "state": DeliveryState.CLAIMED,
                "owner": self._parts.owner,
                "fence": 1,
                "attempts": 1,
                "due_at": due_at,
            }
        )

    def deliver(self, added: Added) -> LocalReport:
        """Make the deliveries that were claimed as their letters were stored, and record the ends.

        Raises StoreError: what has not ended then is released with its process.
        """
        delivered: dict[str, Sequence[Delivered]] = {}
        failed: list[tuple[AttemptResult, bool]] = []
        untidy: set[str] = set()
        for name, claims in _by_destination(added).items():
            results = self._attempt(name, claims)
            ours = self._parts.store.outbox.end([each.ending for each in results])
            done = [each for each in results if _is_made(each, ours)]
            failed += [
                (_without_text(each), each.ending.claim.id in ours)
                for each in results
                if not _is_made(each, ours)
            ]
            for each in done:
                log_attempt(each)
            if done:
                delivered[name] = [_timing(each) for each in done]
            is_tidy = self._forget(name, [each.ending.claim.id for each in done])
            if len(done) < len(results):
                self._usable.discard(name)
                # the outbox, which delivers the rest, does not know what belongs together
                is_tidy = not done
            if not is_tidy:
                untidy.add(name)
        return LocalReport(delivered=delivered, failed=failed, untidy=untidy)

    def _attempt(self, name: str, claims: Sequence[Claim]) -> list[AttemptResult]:
        parts, began = self._parts, self._parts.steady()
        destination = self._snapshot.destinations[name]
        assert isinstance(destination, LocalDestination)
        self._beat()
        outcomes = self._handover.deliver(destination, self._snapshot.table, claims, self._beat)
        now = parts.clock()
        judge = AttemptJudge(
            started_at=now - (parts.steady() - began),
            now=now,
            give_up_after=self._snapshot.configuration.delivery.give_up_after,
            awaiting_pickup=destination.await_pickup is not None,
            may_give_up=parts.may_give_up(),
        )
        return [judge.of(claim, outcome) for claim, outcome in zip(claims, outcomes, strict=True)]

    def _forget(self, name: str, delivered: Collection[UUID]) -> bool:
        """Remove the deduplication records of what is delivered; return whether none is left."""
        if not delivered:
            return True
        destination = self._snapshot.destinations[name]
        assert isinstance(destination, KeepsDedupRecords)
        outcome = call_connector(partial(destination.forget, delivered), destination=name)
        if isinstance(outcome, PostmottakError):
            _log.info("traces of what is delivered are left", destination=name, reason=str(outcome))
        return not isinstance(outcome, PostmottakError)


def _by_destination(added: Added) -> dict[str, list[Claim]]:
    found: defaultdict[str, list[Claim]] = defaultdict(list)
    for claim in _claims(added):
        found[claim.delivery.destination].append(claim)
    return found


def _claims(added: Added) -> Iterator[Claim]:
    for letter in added.new:
        for delivery in letter.deliveries:
            if claimed := added.claimed.get(delivery.id):
                yield Claim(
                    delivery=claimed,
                    message=letter.message,
                    attachments=letter.attachments,
                    decision=letter.decision,
                    lease_ends=claimed.due_at,
                )


def _is_made(result: AttemptResult, ours: Collection[UUID]) -> bool:
    return result.ending.outcome is Outcome.DELIVERED and result.ending.claim.id in ours


def _timing(result: AttemptResult) -> Delivered:
    ending, message = result.ending, result.ending.claim.message
    attempt = ending.ended_at - ending.started_at
    return Delivered(
        attempt=attempt.total_seconds(),
        since_fetched=(ending.ended_at - message.fetched_at).total_seconds(),
        since_published=(ending.ended_at - message.published_at).total_seconds(),
    )


def _without_text(result: AttemptResult) -> AttemptResult:
    """Return the result without what is long in its letter, for another process."""
    claim = result.ending.claim
    short = claim.message.model_copy(update={"body": ""})
    return replace(result, ending=replace(result.ending, claim=replace(claim, message=short)))
