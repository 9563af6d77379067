"""The letters of the last 90 days, kept in memory for dry runs.

They are read in small pieces, each in a moment, so that the service's commits never wait.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import NamedTuple
from uuid import UUID

from daemon.core.rights import Grant
from daemon.intake.rerouting import find_earlier
from daemon.routing.decide import Earlier
from daemon.routing.dryrun import HistoricLetter
from daemon.routing.facts import Facts
from daemon.store import ArrivalWindow, Store

PERIOD = timedelta(days=90)
MOST = 20_000
"""Letters, the newest ones, that a dry run tries."""


class _Past(NamedTuple):
    """A letter, and to whom the newest decision gave it."""

    id: UUID
    facts: Facts
    recipients: Sequence[str]

    def is_within(self, limits: Sequence[Grant] | None) -> bool:
        """Whether one of the grants covers it; None is for a user who may see all."""
        return limits is None or any(
            each.covers(self.facts.party, self.recipients) for each in limits
        )


@dataclass(kw_only=True)
class _Kept:
    """Letters from some time on, in the order in which they came, as far as they were read."""

    store: Store
    start: datetime
    mark: int
    letters: list[_Past] = field(default_factory=list)
    earlier: dict[UUID, Earlier | None] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    _more: Iterator[_Past] = field(init=False)

    def __post_init__(self) -> None:
        self._more = self._read(self.start)

    def _read(self, start: datetime) -> Iterator[_Past]:
        known = {each.id for each in self.letters[-MOST:] if each.facts.at >= start}
        for letter in self.store.decisions.since(start):
            if letter.id not in known:
                yield _Past(letter.id, letter.facts, tuple(letter.decision.recipients))

    def read_on(self) -> None:
        """Read letters that came since the last one was read."""
        with self.lock:
            if self.letters:
                self._more = self._read(self.letters[-1].facts.at)

    def since(self, start: datetime) -> Iterator[_Past]:
        """Yield letters that came at `start` or later."""
        for number in count():
            if (found := self._get(number)) is None:
                return
            if found.facts.at >= start:
                yield found

    def earlier_than(self, key: UUID, facts: Facts) -> Earlier | None:
        """Return the letter of the same thread before this one."""
        if key not in self.earlier:
            self.earlier[key] = find_earlier(self.store, facts, exclude=key)
        return self.earlier[key]

    def _get(self, number: int) -> _Past | None:
        """Return a letter, or None after the last one."""
        while number >= len(self.letters):
            with self.lock:
                found = next(self._more, None)
                if found is None:
                    return self.letters[number] if number < len(self.letters) else None
                self.letters.append(found)
        return self.letters[number]


class PastLetters:
    """The newest letters, for dry runs. May be used from several threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: _Kept | None = None
        self._lock = threading.Lock()

    def window(self, now: datetime) -> ArrivalWindow:
        """Return which letters a dry run tries now."""
        return self._store.arrivals.window(now - PERIOD, MOST)

    def mark(self, window: ArrivalWindow) -> tuple[int, int]:
        """Return what differs when a dry run may have another result."""
        return window.all, self._store.arrivals.decided_again()

    def letters(
        self, window: ArrivalWindow, limits: Sequence[Grant] | None = None
    ) -> Iterator[Facts]:
        """Yield the letters of a window that one of the grants covers, the oldest first."""
        for each in self._keep(window).since(window.start):
            if each.is_within(limits):
                yield each.facts

    def samples(
        self,
        window: ArrivalWindow,
        *,
        follow_threads: bool,
        limits: Sequence[Grant] | None = None,
    ) -> Iterator[HistoricLetter]:
        """Yield the same as a dry run needs them."""
        kept = self._keep(window)
        for each in kept.since(window.start):
            if each.is_within(limits):
                earlier = kept.earlier_than(each.id, each.facts) if follow_threads else None
                yield HistoricLetter(message=str(each.id), facts=each.facts, earlier=earlier)

    def _keep(self, window: ArrivalWindow) -> _Kept:
        """Return the letters that are kept, if they are still those of the store."""
        mark = self._store.arrivals.decided_again()
        with self._lock:
            kept = self._kept
            if kept is None or not self._is_sound(kept, window, mark):
                kept = self._kept = _Kept(store=self._store, start=window.start, mark=mark)
            else:
                kept.read_on()
            return kept

    def _is_sound(self, kept: _Kept, window: ArrivalWindow, mark: int) -> bool:
        """Whether no letter was deleted, decided again, or came before those that are kept."""
        if kept.mark != mark or kept.start > window.start or len(kept.letters) > 2 * MOST:
            return False
        if not kept.letters:
            return True
        last = kept.letters[-1].facts.at
        mine = sum(window.start <= each.facts.at <= last for each in list(kept.letters))
        return mine == self._store.arrivals.count(window.start, last)
