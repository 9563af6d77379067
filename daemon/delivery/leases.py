"""Renews the leases of claims in time, and whenever the clock was set."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta

from daemon.delivery.local import LEASE
from daemon.store import Claim, Store

_EVERY = LEASE / 3
# a clock that has moved by more was set, and leases end at another time than intended
_SET = timedelta(minutes=1)
# how long workers may go on claiming by the time before that
_HEARD_AFTER = timedelta(seconds=5)


class LeaseRenewal:
    """Renews claims of this process and of its workers. For one thread."""

    def __init__(
        self, store: Store, clock: Callable[[], datetime], steady: Callable[[], datetime]
    ) -> None:
        """`steady` is a clock that is never set."""
        self._store, self._steady = store, steady
        self.worker_names: Callable[[], Collection[str]] = tuple
        """Returns the names by which workers that have something in hand claim deliveries."""
        self._renewed_at, self._ahead = steady(), clock() - steady()
        self._all_heard_at = steady()

    def look(self, now: datetime, claims: Iterable[Claim]) -> None:
        """Renew the claims, and those of the workers, if it is time. Call it often.

        How far the clock is ahead of the steady one changes when it is set, and when the machine
        sleeps.
        """
        steady = self._steady()
        ahead = now - steady
        if abs(ahead - self._ahead) >= _SET:
            self._all_heard_at = steady + _HEARD_AFTER
        elif steady - self._renewed_at < _EVERY and steady >= self._all_heard_at:
            return
        self._store.outbox.renew(list(claims), now + LEASE)
        self._store.outbox.renew_of(self.worker_names(), now + LEASE)
        # only now: what could not be recorded, on a full disk, is renewed at the next look
        self._renewed_at, self._ahead = steady, ahead
