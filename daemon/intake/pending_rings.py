"""Rings that are not dealt with yet: a letter may ring before it is published.

A dialog exists before its letter is published, so a ring may lead to a letter that is not available
yet. It is asked for again, less and less often, until it is here; after a day it is left to the
daily comparison.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from daemon.core.bell import Ring
from daemon.core.model import LetterRef

_FIRST_WAIT, _LONGEST_WAIT = timedelta(minutes=1), timedelta(hours=1)
_GIVEN_UP = timedelta(days=1)
_LISTS = 4
"""How often a channel is listed for rings whose letters are not known one by one."""
FEW = 3
"""How many letters of one channel are looked up at most; for more, one list is cheaper."""

Place = tuple[str, str]
"""A party and a resource."""


@dataclass
class PendingRing:
    """A ring that is not dealt with yet."""

    ring: Ring
    since: datetime
    due_at: datetime
    behind: bool
    """It came up behind the time up to which the bell had been asked."""
    ref: LetterRef | None = None
    tries: int = 0

    @property
    def place(self) -> Place:
        """Where it rang."""
        return self.ring.party, self.ring.resource

    def try_again(self, now: datetime) -> None:
        """Note a try that did not bring the letter."""
        self.tries += 1
        self.due_at = now + min(_FIRST_WAIT * 2 ** (self.tries - 1), _LONGEST_WAIT)

    def is_over(self, now: datetime) -> bool:
        """Return whether it is left to the daily comparison."""
        return now - self.since > _GIVEN_UP or (self.ref is None and self.tries >= _LISTS)


class PendingRings:
    """What rang, until it is dealt with. For one thread."""

    def __init__(self) -> None:
        self._pending: dict[str, PendingRing] = {}
        self._known: dict[str, datetime] = {}

    def add(self, rings: Iterable[Ring], asked_until: Mapping[str, datetime], now: datetime) -> int:
        """Take rings that are not known yet; returns how many."""
        count = 0
        for ring in rings:
            if ring.key not in self._known:
                until = asked_until.get(ring.party)
                behind = until is not None and ring.changed_at <= until
                self._pending[ring.key] = PendingRing(ring, now, now, behind)
                self._known[ring.key] = ring.changed_at
                count += 1
        return count

    def due(self, now: datetime) -> Mapping[Place, Sequence[PendingRing]]:
        """Return the rings that are due, by where they rang.

        One that seems due later than any wait is so by a clock that was wrong, and is due now.
        """
        found: defaultdict[Place, list[PendingRing]] = defaultdict(list)
        for each in self._pending.values():
            if not now < each.due_at <= now + _LONGEST_WAIT:
                found[each.place].append(each)
        return found

    def __iter__(self) -> Iterator[PendingRing]:
        return iter(list(self._pending.values()))

    def settle(self, pending: PendingRing) -> None:
        """End a ring: its letter is here, or is left to others."""
        self._pending.pop(pending.ring.key, None)

    def oldest(self) -> datetime | None:
        """Return when the oldest one changed, behind which the bell must be asked after a start."""
        return min((each.ring.changed_at for each in self._pending.values()), default=None)

    def forget(self, before: datetime) -> None:
        """Forget what the bell will not be asked about any more."""
        self._known = {
            key: at for key, at in self._known.items() if at >= before or key in self._pending
        }
