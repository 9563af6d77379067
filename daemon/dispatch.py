"""From the outbox to destinations: claim, hand over, and record one of three outcomes.

This is the only place, with the store, where a delivery changes its state. A destination only reports.
"""

from __future__ import annotations

import random
import socket
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from os import getpid
from typing import Any, BinaryIO

import structlog

from daemon import retry
from daemon.content import ContentStore
from daemon.document import letter_document
from daemon.errors import ContentMissing, PermanentFailure, StoreError, TemporaryFailure
from daemon.lanes import SOON, WIDTH, Lanes
from daemon.model import KEPT_STATES, Outcome, ParcelPart, Receipt
from daemon.ports import AwaitsPickup, Destination, Parcel
from daemon.pulses import Beat, Pulses, watched_file
from daemon.records import COLLISION, Alert
from daemon.routing.table import Table
from daemon.settings import duration_text
from daemon.store import Claim, Store

_log = structlog.get_logger(__name__)
_LEASE = timedelta(minutes=15)
_RENEW_EVERY = _LEASE / 3
_POOL = 32  # attempts at a time, at all destinations together
OUTBOX = "outbox"  # whose signs of life come from here
_UNKNOWN = ""  # the lane of deliveries to destinations that the configuration does not have
Clock = Callable[[], datetime]


@dataclass(frozen=True, kw_only=True)
class _Ended:
    """How one attempt ended; no outcome if somebody else has the delivery by now."""

    outcome: Outcome | None
    reason: str
    unusable: bool = False
    """The destination itself could not be used."""


@dataclass(frozen=True, kw_only=True)
class Dispatch:
    """Hands due deliveries to destinations. `destinations` and `table` are asked anew for each delivery, so they may change."""

    store: Store
    content: ContentStore
    destinations: Callable[[], Mapping[str, Destination]]
    table: Callable[[], Table]
    clock: Clock
    give_up_after: timedelta
    lanes: Lanes = field(default_factory=Lanes)
    counted: Counter[tuple[str, Outcome]] = field(default_factory=Counter)
    """Attempts that have ended, by destination and outcome; only ever growing."""
    pulses: Pulses = field(default_factory=Pulses)
    news: threading.Event = field(default_factory=threading.Event)
    """Set by whoever has stored letters, so that a round which is under way takes them along soon."""

    def deliver_due(self, stopping: threading.Event) -> Counter[Outcome]:
        """Attempt what is due now; returns when all of it is attempted, or soon after `stopping` is set.

        Deliveries to a destination that keeps failing stay due until its pause is over. Call it from one thread at a time. Raises
        StoreError if the store fails; attempts under way are repeated then.
        """
        outcomes: Counter[Outcome] = Counter()
        running: dict[Future[_Ended], tuple[str, Claim]] = {}
        renew_at = self.clock() + _RENEW_EVERY
        self.lanes.begin_round([*self.destinations(), _UNKNOWN])
        with ThreadPoolExecutor(_POOL, thread_name_prefix="deliver") as pool:
            while True:
                self.pulses.expect(OUTBOX)
                if self.news.is_set():
                    self.news.clear()
                    self.lanes.news()
                if not stopping.is_set():
                    claims = self._claims(alone=not running)
                    running.update((pool.submit(self._attempt, claim), (lane, claim)) for lane, claim in claims)
                if not running:
                    return outcomes
                done, _ = wait(running, timeout=SOON.total_seconds(), return_when=FIRST_COMPLETED)
                for future in done:
                    ended = future.result()
                    lane, claim = running.pop(future)
                    self.lanes[lane].ended(self.clock(), failed=ended.unusable)
                    if ended.outcome:
                        outcomes[ended.outcome] += 1
                        self.counted[claim.delivery.destination, ended.outcome] += 1
                if self.clock() >= renew_at:
                    self.store.outbox.renew([claim for _, claim in running.values()], self.clock() + _LEASE)
                    renew_at = self.clock() + _RENEW_EVERY

    def next_due(self) -> datetime | None:
        """When a delivery is next due that a lane has room for; None if nothing waits for a time."""
        now = self.clock()
        due = self.store.outbox.next_due(but=self.lanes.paused(now))
        times = [time for time in (due, self.lanes.open_again(now)) if time]
        return min(times, default=None)

    def _claims(self, *, alone: bool) -> list[tuple[str, Claim]]:
        """Claim what the lanes have room for; and when nothing else is due or under way, one delivery that is suspected of killing us."""
        names = list(self.destinations())
        found = [(name, claim) for name in [*names, _UNKNOWN] for claim in self._claim(name, names)]
        if alone and not found:
            found = [(_UNKNOWN, claim) for claim in self.store.outbox.claim_suspect(self._owner, self.clock(), _LEASE)]
        for name, _ in found:
            self.lanes[name].running += 1
        return found

    def _claim(self, name: str, names: Sequence[str]) -> list[Claim]:
        lane, now = self.lanes[name], self.clock()
        room = lane.room(now)
        if not lane.may_have_more(now) or room < (WIDTH // 2 if lane.running else 1):  # a claim is a commit, so several are made at a time
            return []
        where = {"but": names} if name == _UNKNOWN else {"only": [name]}
        claims = self.store.outbox.claim(self._owner, now, _LEASE, room, **where)
        lane.asked(now, more=len(claims) == room)
        return claims

    @property
    def _owner(self) -> str:
        return f"{socket.gethostname()}:{getpid()}"

    def _attempt(self, claim: Claim) -> _Ended:
        started_at = self.clock()
        ended = self._hand_over(claim, started_at)
        _log.info(
            "delivery attempted",
            delivery=str(claim.id),
            message=str(claim.delivery.message_id),
            destination=claim.delivery.destination,
            outcome=ended.outcome.value if ended.outcome else "superseded",
            reason=ended.reason,
            attempt=claim.delivery.attempts,
            seconds=round((self.clock() - started_at).total_seconds(), 3),
        )
        return ended

    def _hand_over(self, claim: Claim, started_at: datetime) -> _Ended:
        try:
            with self.pulses.task(f"delivery {claim.id} to {claim.delivery.destination}") as beat:
                receipt = self._deliver(claim, beat)
        except PermanentFailure as failure:
            return self._bury(claim, str(failure), started_at)
        except ContentMissing as missing:
            return self._defer(claim, str(missing), started_at)
        except TemporaryFailure as failure:
            ended = self._defer(claim, str(failure), started_at, failure.retry_after, failure.progress)
            return replace(ended, unusable=failure.progress is None)  # one that has done a part of it can be used
        except StoreError:
            raise
        except Exception as fault:  # noqa: BLE001  # a fault of one connector must not stop the others
            _log.exception("the connector failed unexpectedly", destination=claim.delivery.destination, delivery=str(claim.id))
            return self._defer(claim, f"unexpected {type(fault).__name__} in the connector; see the log", started_at)
        return self._end(claim, receipt, started_at)

    def _end(self, claim: Claim, receipt: Receipt, started_at: datetime) -> _Ended:
        now, destination = self.clock(), claim.delivery.destination
        if receipt.collided:
            _log.warning(
                "something else has the letter's name", delivery=str(claim.id), destination=destination, reference=receipt.reference
            )
        ours = self.store.outbox.delivered(
            claim,
            receipt,
            started_at,
            now,
            awaiting_pickup=self._awaits_pickup(destination),
            alert=_collision(claim, now) if receipt.collided else None,
        )
        return _Ended(outcome=Outcome.DELIVERED if ours else None, reason=receipt.reference)

    def _deliver(self, claim: Claim, beat: Beat) -> Receipt:
        name = claim.delivery.destination
        destination = self.destinations().get(name)
        if destination is None:
            raise TemporaryFailure(f"there is no destination {name!r} in the configuration; add it again, or hold the delivery")
        return destination.deliver(self._parcel(claim, beat))

    def _awaits_pickup(self, name: str) -> bool:
        destination = self.destinations().get(name)
        return isinstance(destination, AwaitsPickup) and destination.await_pickup is not None

    def _parcel(self, claim: Claim, beat: Beat) -> Parcel:
        parts = tuple(
            ParcelPart(
                name=each.safe_name,
                media_type=each.media_type,
                size=each.size or 0,
                sha256=each.sha256,
                open=partial(self._open, each.sha256, beat),
            )
            for each in claim.attachments
            if each.state in KEPT_STATES and each.sha256
        )
        return Parcel(
            delivery_id=claim.id,
            generation=claim.delivery.generation,
            destination=claim.delivery.destination,
            addressees=self.table().addressees(claim.delivery.recipients),
            document=letter_document(claim.message, claim.attachments, claim.decision, claim.delivery),
            body=claim.message.body.encode(),
            parts=parts,
            progress=claim.delivery.progress or {},
            remember=partial(self.store.outbox.note_progress, claim),
        )

    def _open(self, sha256: str, beat: Beat) -> BinaryIO:
        return watched_file(self.content.open(sha256), beat)

    def _bury(self, claim: Claim, reason: str, started_at: datetime, progress: Mapping[str, Any] | None = None) -> _Ended:
        ours = self.store.outbox.dead(claim, reason, started_at, self.clock(), progress)
        return _Ended(outcome=Outcome.DEAD if ours else None, reason=reason)

    def _defer(
        self,
        claim: Claim,
        reason: str,
        started_at: datetime,
        retry_after: timedelta | None = None,
        progress: Mapping[str, Any] | None = None,
    ) -> _Ended:
        now, created_at = self.clock(), claim.delivery.created_at
        if retry.is_too_old(created_at=created_at, now=now, give_up_after=self.give_up_after):
            return self._bury(claim, f"given up after {duration_text(self.give_up_after)}: {reason}", started_at, progress)
        due_at = retry.next_attempt(created_at=created_at, now=now, retry_after=retry_after, chance=random.random())  # noqa: S311  # spreads load, guards nothing
        ours = self.store.outbox.deferred(claim, reason, due_at, started_at, now, progress)
        return _Ended(outcome=Outcome.DEFERRED if ours else None, reason=reason)


def _collision(claim: Claim, now: datetime) -> Alert:
    destination = claim.delivery.destination
    text = f"Something else has a letter's name at {destination}, so that the letter lies there under another one"
    return Alert(
        key=f"{COLLISION} {claim.id}",
        kind=COLLISION,
        critical=False,
        text=f"{text}; see `postmottak deliveries show {claim.id}`, and find out who else writes there",
        began_at=now,
    )
