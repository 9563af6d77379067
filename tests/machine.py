"""A machine whose clock can be set, for tests of what becomes of letters then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from daemon.core.elapsed import SourceTime
from daemon.runtime.clock import Clock


@dataclass
class Machine:
    """Time passes when it is told to; `ahead` is how far the machine's clock is; a source whose
    clock is right answers when asked."""

    truth: datetime
    ahead: timedelta = timedelta()
    booted: datetime = field(init=False)
    heard: SourceTime | None = None
    clocks: list[Clock] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.booted = self.truth - timedelta(days=3)

    def wall(self) -> datetime:
        """What the machine's clock says."""
        return self.truth + self.ahead

    def ticks(self) -> float:
        """Seconds since the machine was started."""
        return (self.truth - self.booted).total_seconds()

    @property
    def new_clock(self) -> Callable[..., Clock]:
        """Makes a clock for a service that starts, without a source."""
        return partial(Clock, wall=self.wall, ticks=self.ticks, steady=self.ticks)

    def clock(
        self, newest: datetime | None, *, doubted: bool = False, source: bool = False
    ) -> Clock:
        """A clock of a service that starts."""
        clock = self.new_clock(newest, doubted=doubted)
        if source:
            clock.follow(lambda: self.heard)
        self.clocks.append(clock)
        return clock

    def ask(self) -> None:
        """The source answers."""
        self.heard = SourceTime(date=self.truth.replace(microsecond=0), at=self.ticks())

    def passes(self, seconds: float, every: float = 10) -> None:
        """Time passes, in which the service looks at its clock now and then, as it does."""
        ends = self.truth + timedelta(seconds=seconds)
        while self.truth < ends:
            self.truth = min(ends, self.truth + timedelta(seconds=every))
            for clock in self.clocks:
                clock.now()
