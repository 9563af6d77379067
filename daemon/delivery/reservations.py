"""Slots at destinations on this machine for letters that are just being stored.

A delivery with such a slot is claimed by the commit that stores its letter, and attempted from
memory: it needs no claim of its own, and its letter is not read back. Whatever gets no slot is
pending, and is claimed from the outbox as ever; after a crash a claim is a claim, however it was
made.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from daemon.core.model import DeliveryState, DeliveryValues
from daemon.runtime.process import process_name
from daemon.store import Claim, StoredLetter

LEASE = timedelta(minutes=15)
"""How long a claim lasts, unless it is renewed."""


class Reservations:
    """Hands claims from the thread that stores letters to the one that delivers them.

    May be used from several threads.
    """

    def __init__(self, new_work: threading.Event | None = None) -> None:
        """Keep the event, which is set when a stored delivery got no slot."""
        self._new_work = new_work or threading.Event()
        self._lock = threading.Lock()
        self._free: Counter[str] = Counter()
        self._reserved: Counter[str] = Counter()
        """Of letters that are being stored."""
        self._waiting: list[Claim] = []

    def offer(self, free: Mapping[str, int]) -> None:
        """Set how many deliveries each destination may take; those not named take none."""
        with self._lock:
            waiting = Counter(claim.delivery.destination for claim in self._waiting)
            self._free = Counter(free) - waiting - self._reserved

    def claim(self, letters: Sequence[StoredLetter], now: datetime) -> dict[UUID, DeliveryValues]:
        """Return the letters' deliveries that get a slot, claimed, by their id.

        Call `stored` afterwards, whatever became of the letters.
        """
        found: dict[UUID, DeliveryValues] = {}
        with self._lock:
            for delivery in (each for letter in letters for each in letter.deliveries):
                if self._free[delivery.destination] > 0:
                    self._free[delivery.destination] -= 1
                    self._reserved[delivery.destination] += 1
                    found[delivery.id] = _claimed(delivery, now)
        return found

    def stored(
        self, letters: Sequence[StoredLetter], claimed: Mapping[UUID, DeliveryValues]
    ) -> None:
        """Hand over the claims of the letters that are stored now; the others' slots are free."""
        claims = [
            Claim(
                delivery=claimed[delivery.id],
                message=letter.message,
                attachments=letter.attachments,
                decision=letter.decision,
                lease_ends=claimed[delivery.id].due_at,
            )
            for letter in letters
            for delivery in letter.deliveries
            if delivery.id in claimed
        ]
        with self._lock:
            self._reserved -= Counter(each.destination for each in claimed.values())
            self._waiting += claims
        if len(claims) < sum(len(letter.deliveries) for letter in letters):
            self._new_work.set()

    def take(self, now: datetime) -> dict[str, list[Claim]]:
        """Return the claims that were handed over since the last call, by destination.

        Not those whose lease has ended: they are due in the outbox again.
        """
        with self._lock:
            taken, self._waiting = self._waiting, []
        found = defaultdict[str, list[Claim]](list)
        for claim in taken:
            if claim.lease_ends > now:
                found[claim.delivery.destination].append(claim)
        return found


def _claimed(delivery: DeliveryValues, now: datetime) -> DeliveryValues:
    return delivery.model_copy(
        update={
            "state": DeliveryState.CLAIMED,
            "owner": process_name(),
            "fence": 1,
            "attempts": 1,
            "due_at": now + LEASE,
        }
    )
