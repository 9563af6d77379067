"""When a poison message gets its turn, even if other work is always due.

It must be attempted alone, or a crash would prove nothing. So when one has waited for a while, no
other work is begun: first at destinations whose attempts take long, while the others go on; and
when none of the long ones is left, at no destination, until nothing is in flight. Pure: times are
arguments, of a clock that is never set.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

LOOK_EVERY = timedelta(seconds=5)
"""How often to check whether a poison message waits."""
PATIENCE = timedelta(seconds=30)
"""How long it waits for a moment at which nothing happens to be in flight."""
LONG = timedelta(seconds=5)
"""An attempt that has taken this long may take much longer."""
TURN = timedelta(seconds=10)
"""How long poison messages are begun, one after another, before other work goes on."""


@dataclass(kw_only=True)
class PoisonTurn:
    """The turn of poison messages. For one thread."""

    looked_at: datetime | None = None
    waits_since: datetime | None = None
    begun_at: datetime | None = None
    slow: set[str] = field(default_factory=set)
    """Queues that begin nothing until a poison message has had its turn."""

    def should_check(self, now: datetime) -> bool:
        """Whether to check now if a poison message waits."""
        return self.looked_at is None or now - self.looked_at >= LOOK_EVERY

    def checked(self, now: datetime, *, waits: bool) -> None:
        """Note whether one waits."""
        self.looked_at = now
        if not waits:
            self.waits_since = self.begun_at = None
            self.slow.clear()
        elif self.waits_since is None:
            self.waits_since = now

    def is_next(self, now: datetime) -> bool:
        """Whether a poison message is the next to begin."""
        if self.begun_at is not None:
            return now - self.begun_at < TURN
        return self.waits_since is not None and now - self.waits_since >= PATIENCE

    def closed(
        self, now: datetime, queues: Collection[str], oldest: Mapping[str, datetime]
    ) -> Collection[str]:
        """Return the queues that begin nothing now.

        `oldest` says when the longest attempt of each queue began.
        """
        if not self.is_next(now):
            return ()
        long = {queue for queue, since in oldest.items() if now - since >= LONG}
        self.slow |= long
        return self.slow if long else queues

    def begun(self, now: datetime) -> None:
        """Note that a poison message is attempted."""
        self.begun_at = self.begun_at or now

    def over(self, now: datetime) -> None:
        """End the turn if other work has waited for long enough.

        `checked` ends it if no poison message is left.
        """
        if self.begun_at is not None and now - self.begun_at >= TURN:
            self.waits_since, self.begun_at = now, None
            self.slow.clear()
