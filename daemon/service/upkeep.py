"""What is brought up to date before deliveries and after them: wrong times, covers, claims."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from functools import partial

import structlog

from daemon.core.bookkeeping import CLOCK
from daemon.core.errors import StoreBusy
from daemon.core.ports import Channel
from daemon.core.times import norwegian_day, shifted
from daemon.delivery import retry
from daemon.delivery.snapshot import ActiveSnapshot
from daemon.intake.mailboxes import PolledMailbox
from daemon.intake.rerouting import Rerouter
from daemon.runtime.clock import DOUBTED, Clock, Correction
from daemon.service.membership import Membership
from daemon.service.room import without_room
from daemon.service.watches import Watches
from daemon.store import Store

_log = structlog.get_logger(__name__)


class ClockCorrections:
    """Corrects what was recorded while the clock was wrong."""

    def __init__(self, store: Store, clock: Clock, hears_late: timedelta = timedelta()) -> None:
        """`hears_late` is how long worker processes may go on with the wrong time."""
        self._store, self._clock, self._hears_late = store, clock, hears_late
        self._pending: Sequence[Correction] = ()
        self._corrected_at = clock.steady()

    def apply(self) -> None:
        """After a correction of the clock, correct the times that were recorded meanwhile.

        Due times are corrected too. Does nothing without a correction. Raises StoreError.
        """
        corrections = self._clock.corrections()
        if not corrections or not self._is_heard(corrections):
            return
        now = self._clock()
        put_right = partial(self._store.stamps.put_right, now=now, certain=self._clock.confirmed)
        late = 2 * self._hears_late
        changed = sum(put_right(each.first, shifted(each.last, late)) for each in corrections)
        changed += self._store.stamps.pull_back(now, retry.LONGEST)
        self._clock.applied(corrections)
        _log.warning("what was recorded while the clock was wrong is dated now", rows=changed)

    def _is_heard(self, corrections: Sequence[Correction]) -> bool:
        """Whether no process records anything with the wrong time any more."""
        steady = self._clock.steady()
        if corrections != self._pending:
            self._pending, self._corrected_at = corrections, steady
        return steady - self._corrected_at >= self._hears_late

    def stretch(self) -> int | None:
        """Return the number of the time since the last correction.

        None while the clock is in doubt.
        """
        return self._clock.stretch()

    def settled(self) -> bool:
        """Whether the clock is certain enough to delete letters by it."""
        return self._clock.settled


class CoverFollower:
    """Applies the covers of the day to deliveries that wait."""

    def __init__(self, rerouter: Rerouter, active: ActiveSnapshot, clock: Clock) -> None:
        self._rerouter, self._active, self._clock = rerouter, active, clock
        self.followed: tuple[str, date] | None = None
        """The version of the routing table, and the day, whose covers have been applied."""

    def follow(self, stopping: threading.Event) -> None:
        """Apply the covers of this day and of the active table, unless that is done.

        Repeats if either changes meanwhile. Does nothing while the clock, and so the day, is in
        doubt. Raises StoreError.
        """
        while not (stopping.is_set() or self._clock.problems()):
            now = self._active.table().version, norwegian_day(self._clock())
            if now == self.followed:
                return
            self._rerouter.follow_covers(stopping)
            if not stopping.is_set():
                self.followed = now


def bring_up_to_date(
    store: Store, now: datetime, boxes: Sequence[PolledMailbox], resources: Watches
) -> None:
    """Bring the store up to date with a start of the service. Raises StoreError.

    What nodes have claimed was released when this one joined.
    """
    if not store.is_shared:
        store.outbox.release_abandoned(now)
    store.stamps.pull_back(now, retry.LONGEST_ASKED)
    channels: dict[str, Sequence[Channel]] = {
        each.mailbox: () for each in store.queries.bookmarks()
    }
    for box in boxes:
        resources.recall(box.mailbox.name)
        channels[box.mailbox.name] = box.mailbox.channels()
    for name, read in channels.items():
        with without_room("channels that are not read any more stay listed"):
            store.bookmarks.retire(name, read, now)


def release_cut_off(store: Store, clock: Clock) -> None:
    """Release the deliveries that an orderly stop cut off, which must not count as a crash.

    If the store is still busy, the next start releases them. A node's are released as it leaves.
    """
    if store.is_shared:
        return
    try:
        store.outbox.release_abandoned(clock(), stopped=True)
    except StoreBusy as error:
        _log.warning(
            "deliveries that were under way are repeated at the next start", reason=str(error)
        )


def release_in_flight(store: Store, clock: Clock, owner: str) -> None:
    """Release what this process has claimed and has not in hand any more. Raises StoreError.

    That is what was claimed as the database went away, before the claim was known here.
    """
    reason = "the database could not be reached during the attempt"
    store.outbox.release_abandoned(clock(), owner=owner, stopped=True, reason=reason)


def clock_of(
    store: Store, new_clock: Callable[..., Clock], node: Membership | None = None
) -> Clock:
    """Return the clock, compared with the times that the store has recorded. Raises StoreError.

    With several nodes it is the database's, as it was at the last heartbeat.
    """
    doubted = any(
        each.key == f"{CLOCK} {DOUBTED}" and not each.ended_at for each in store.alerts.all()
    )
    of_database = {"wall": node.now} if node else {}
    return new_clock(store.stamps.newest(), doubted=doubted, **of_database)
