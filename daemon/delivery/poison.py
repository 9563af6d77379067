"""When a delivery that may be what ends the process gets its turn, although there is always other work.

It must be attempted alone, or a crash would tell nothing. So when one has waited for a while, other
work is not begun any more: first at destinations whose attempts take long, while the others go on;
and when none of the long ones is left, nowhere, until nothing is under way. Pure: values in, values
out; times are those of a clock that is never set.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

LOOK_EVERY = timedelta(seconds=5)
"""How often it is asked whether a suspect waits."""
PATIENCE = timedelta(seconds=30)
"""How long one waits for a moment at which nothing is under way by itself."""
LONG = timedelta(seconds=5)
"""An attempt that has taken so long may take longer yet."""
TURN = timedelta(seconds=10)
"""How long suspects are begun, one after another, before other work goes on."""


@dataclass(kw_only=True)
class PoisonTurn:
    """The turn of suspects. For one thread."""

    looked_at: datetime | None = None
    waits_since: datetime | None = None
    begun_at: datetime | None = None
    slow: set[str] = field(default_factory=set)
    """Lanes that begin nothing until a suspect has had its turn."""

    def is_worth_a_look(self, now: datetime) -> bool:
        """Whether to ask now if a suspect waits."""
        return self.looked_at is None or now - self.looked_at >= LOOK_EVERY

    def looked(self, now: datetime, *, waits: bool) -> None:
        """Note whether one waits."""
        self.looked_at = now
        if not waits:
            self.waits_since = self.begun_at = None
            self.slow.clear()
        elif self.waits_since is None:
            self.waits_since = now

    def is_next(self, now: datetime) -> bool:
        """Whether the next thing to begin is a suspect."""
        if self.begun_at is not None:
            return now - self.begun_at < TURN
        return self.waits_since is not None and now - self.waits_since >= PATIENCE

    def closed(
        self, now: datetime, queues: Collection[str], oldest: Mapping[str, datetime]
    ) -> Collection[str]:
        """The lanes that begin nothing now.

        `oldest` says since when the longest attempt of a lane is under way.
        """
        if not self.is_next(now):
            return ()
        long = {queue for queue, since in oldest.items() if now - since >= LONG}
        self.slow |= long
        return self.slow if long else queues

    def begun(self, now: datetime) -> None:
        """A suspect is attempted."""
        self.begun_at = self.begun_at or now

    def over(self, now: datetime) -> None:
        """The turn is over if others have waited for long enough, or no suspect is left.

        `looked` says the latter.
        """
        if self.begun_at is not None and now - self.begun_at >= TURN:
            self.waits_since, self.begun_at = now, None
            self.slow.clear()
