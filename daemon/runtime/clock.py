"""What time it is, even if this machine's clock is wrong.

The time is taken from the machine's clock for as long as it agrees with the seconds that cannot be
set, and with Altinn's clock. When it jumps, the time goes on without it, until Altinn agrees with
it, or until it has been steady for a while. At the start there are no earlier seconds to compare
with: then the last record in the store says how late it must be at least, and how late it can be
expected to be. Pure except for `wall`, `ticks` and the sources, which are arguments.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from daemon.core.elapsed import SourceTime, elapsed

_log = structlog.get_logger(__name__)
APART = timedelta(hours=1)
"""Clocks that differ by more do not agree."""
RECENT = timedelta(days=1)
"""A start this soon after the last record is normal."""
FAR = timedelta(days=30)
"""A clock that is further ahead of the last record is believed when Altinn or an operator confirms
it, and not before.
"""
STABLE = 600.0
"""Seconds after which a clock is believed that no source confirms or contradicts."""
EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)
"""No installation is older: a machine without a clock of its own starts years before."""
_START = datetime(2000, 1, 1, tzinfo=UTC)
WRONG, DOUBTED = "", "doubted"
"""What is wrong with the clock: its time is impossible, or unconfirmed."""

Source = Callable[[], SourceTime | None]


@dataclass(frozen=True, kw_only=True)
class Correction:
    """The time was taken to be between `first` and `last`, and was more than an hour off."""

    first: datetime
    last: datetime


def utc_now() -> datetime:
    """Return what this machine's clock says."""
    return datetime.now(UTC)


def is_behind(now: datetime, newest: datetime | None) -> bool:
    """Whether a clock that says `now` is behind the last record, or before Postmottak existed."""
    return now < max(newest or EARLIEST, EARLIEST) - APART


def is_far_ahead(now: datetime, newest: datetime | None) -> bool:
    """Whether so much time has passed since the last record that the clock may be wrong."""
    return newest is not None and now > max(newest, EARLIEST) + FAR


class Clock:
    """The clock of the service: call it for the time. All methods may be called from any thread.

    `newest` is the last time that the store has recorded; `doubted` says that an earlier process
    had reason to doubt the clock, and that nothing has confirmed it since. `wall` is the clock of
    the machine, `ticks` counts seconds from anywhere, and `steady` those in which the machine does
    not sleep.
    """

    def __init__(
        self,
        newest: datetime | None = None,
        *,
        doubted: bool = False,
        wall: Callable[[], datetime] = utc_now,
        ticks: Callable[[], float] = elapsed,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall, self._ticks, self._seconds = wall, ticks, steady
        self._lock = threading.Lock()
        self._sources: tuple[Source, ...] = ()
        at, now = ticks(), wall()
        self._began, self._at = steady(), at
        behind = is_behind(now, newest)
        floor = max(newest or EARLIEST, EARLIEST)
        # A line is a clock that goes right: the time that it has, or had, at second 0 of `ticks`.
        self._line = _line(floor + timedelta(seconds=1) if behind else now, at)
        self._line_since = at
        self._known = floor if newest else max(now, floor)
        """It is as late as this, at least, and was so at `_known_at`."""
        self._known_at = at
        self._recent = not behind and now <= self._known + RECENT
        self._behind = behind
        self._doubted = doubted or is_far_ahead(now, newest)
        self._confirmed = False
        self._unproven_since = self._time(at)
        self._other: tuple[datetime, float] | None = None
        """The line of the machine's clock while it is not believed, and since when it is so."""
        self._agrees = True
        self._said: str | None = None
        self._steps = 0
        self._corrections: list[Correction] = []
        self._last_wrong: float | None = at if behind else None
        self._look()

    def __call__(self) -> datetime:
        """Return the time, as `now` does."""
        return self.now()

    def now(self) -> datetime:
        """Return the time in UTC: the machine's clock if it can be right, or the best estimate."""
        with self._lock:
            at = self._look()
            return self._time(at)

    def steady(self) -> datetime:
        """Return a time for waiting and measuring only; it is never set, nor the time of day."""
        return _START + timedelta(seconds=self._seconds() - self._began)

    def follow(self, *sources: Source) -> None:
        """Compare with these clocks from now on.

        Each is read at every look, and must return at once.
        """
        with self._lock:
            self._sources = sources

    @property
    def trusted(self) -> bool:
        """Whether a delivery may be given up, or something called expired, because of its age."""
        with self._lock:
            at = self._look()
            return self._sound and (
                self._recent or self._confirmed or at - self._line_since >= STABLE
            )

    @property
    def settled(self) -> bool:
        """Whether something may be deleted by its age.

        A source has confirmed the time, or it has been undisputed for `STABLE` seconds.
        """
        with self._lock:
            at = self._look()
            return self._sound and (self._confirmed or at - self._line_since >= STABLE)

    @property
    def confirmed(self) -> bool:
        """Whether a source says the same as the machine's clock."""
        with self._lock:
            self._look()
            return self._confirmed and not self._disputed

    def stretch(self) -> int | None:
        """Return the number of corrections so far, which names the time since the last one.

        None while nothing may be given up, as `trusted` says.
        """
        trusted = self.trusted
        with self._lock:
            return self._steps if trusted else None

    def right_for(self) -> float:
        """Return for how many seconds the machine's clock has not been found wrong.

        Infinite if this process never found it wrong.
        """
        with self._lock:
            at = self._look()
            return float("inf") if self._last_wrong is None else at - self._last_wrong

    def skew(self) -> timedelta:
        """Return how far the machine's clock is ahead of the time."""
        with self._lock:
            at = self._look()
            return self._wall() - self._time(at)

    def problems(self) -> dict[str, str]:
        """Return what is wrong with the machine's clock, in words, by `WRONG` or `DOUBTED`."""
        with self._lock:
            self._look()
            return {} if self._said is None else {WRONG if self._disputed else DOUBTED: self._said}

    def corrections(self) -> Sequence[Correction]:
        """Return the corrections that are not applied to recorded times yet.

        Nothing is trusted until they are, and `applied` is called.
        """
        with self._lock:
            self._look()
            return tuple(self._corrections)

    def applied(self, corrections: Sequence[Correction]) -> None:
        """Note that what was recorded with the wrong times of these corrections is right now."""
        with self._lock:
            self._corrections = [each for each in self._corrections if each not in corrections]

    @property
    def _disputed(self) -> bool:
        return self._other is not None or not self._agrees

    @property
    def _sound(self) -> bool:
        return not (self._disputed or self._doubted or self._corrections)

    def _time(self, at: float) -> datetime:
        return self._line + timedelta(seconds=at)

    def _look(self) -> float:
        """Compare the clocks. Returns the second at which that was."""
        at = self._ticks()
        wall = _line(self._wall(), at)
        source = _newest(self._sources)
        if source is not None and _same(wall, source):
            self._believe(wall, at, confirmed=True)
        elif source is not None and not (_same(wall, self._line) and self._confirmed):
            self._believe(self._line if _same(source, self._line) else source, at)
            self._other = (wall, at)
        elif _same(wall, self._line) or (source is None and self._is_acceptable(wall, at)):
            self._believe(wall, at)
        self._agrees = source is None or _same(wall, source)
        self._say(wall, at)
        return at

    def _is_acceptable(self, wall: datetime, at: float) -> bool:
        """Whether a clock that has jumped is believed although no source confirms it.

        Notes since when it has shown this time.
        """
        now = wall + timedelta(seconds=at)
        corrects = self._behind or (self._doubted and now < self._time(at))
        if corrects and self._is_likely(now, at):
            self._behind = self._doubted = False
            return True
        if self._other is None or not _same(self._other[0], wall):
            self._other = (wall, at)
        return at - self._other[1] >= STABLE and now >= EARLIEST

    def _is_likely(self, now: datetime, at: float) -> bool:
        """Whether it can be this late, by what was known last."""
        return (
            self._known - APART <= now <= self._known + timedelta(seconds=at - self._known_at) + FAR
        )

    def _believe(self, line: datetime, at: float, *, confirmed: bool = False) -> None:
        """Take the time from this line from now on."""
        stepped, now = not _same(line, self._line), line + timedelta(seconds=at)
        if stepped:
            self._corrections.append(Correction(first=self._unproven_since, last=self._time(at)))
            self._steps += 1
            self._line_since, self._unproven_since = at, now
            self._recent = self._confirmed = False
            self._doubted = self._doubted or not self._is_likely(now, at)
        self._line, self._other, self._behind = line, None, False
        if confirmed:
            self._confirmed, self._doubted = True, False
        if not self._doubted and (
            self._recent or self._confirmed or at - self._line_since >= STABLE
        ):
            self._known, self._known_at, self._unproven_since = now, at, now

    def _say(self, wall: datetime, at: float) -> None:
        """Put what is wrong into words, and into the log when it begins and ends."""
        if self._disputed:
            self._last_wrong = at
        before, self._said = self._said, self._words(wall + timedelta(seconds=at), at)
        if self._said and before is None:
            _log.error("the clock of this machine cannot be right", reason=self._said)
        elif before and self._said is None:
            _log.warning("the clock of this machine is right again")

    def _words(self, wall: datetime, at: float) -> str | None:
        remedy = (
            "nothing is deleted or given up meanwhile; set the clock, and make sure that it is "
            "synchronised (`timedatectl`)"
        )
        if self._disputed:
            other = (
                "Altinn's clock says otherwise"
                if not self._agrees
                else f"it should say {self._time(at):%Y-%m-%d %H:%M}"
            )
            return f"This machine's clock says {wall:%Y-%m-%d %H:%M} UTC, but {other}; {remedy}"
        if self._doubted:
            far = "which is unconfirmed, and not what the records in the database suggest"
            right = (
                "if it is right, stop the service and confirm it: `postmottak retention run "
                "--trust-clock`"
            )
            return f"This machine's clock says {wall:%Y-%m-%d} UTC, {far}; {remedy}; {right}"
        return None


def _line(now: datetime, at: float) -> datetime:
    return now - timedelta(seconds=at)


def _same(one: datetime, other: datetime) -> bool:
    return abs(one - other) <= APART


def _newest(sources: Sequence[Source]) -> datetime | None:
    """Return the line of the source that was heard last."""
    heard = [answer for answer in (source() for source in sources) if answer]
    last = max(heard, key=lambda answer: answer.at, default=None)
    return _line(last.date, last.at) if last else None
