"""What an outage of a destination has put off, so that it goes at once when the outage is over.

Each failed delivery waits by its own back-off, which is made for a letter that keeps failing, and
is longest for those that have waited longest. For one thread.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from uuid import UUID


class Outages:
    """The deliveries that have failed since their destinations worked last.

    A throttle makes few attempts during an outage, so they are few. They are not known any more
    after a restart, and wait by their own back-off then.
    """

    def __init__(self) -> None:
        self._put_off: defaultdict[str, set[UUID]] = defaultdict(set)
        self._helped: set[UUID] = set()
        """Those that went sooner. One that fails again then may be at fault itself, and waits this
        time: otherwise it would be tried after each success of another letter.
        """

    def failed(self, destination: str, delivery: UUID) -> None:
        """Note a delivery that failed because of its destination."""
        if delivery in self._helped:
            self._helped.discard(delivery)
        else:
            self._put_off[destination].add(delivery)

    def one(self, destination: str) -> Collection[UUID]:
        """Return one that was put off, to test with it whether the destination works again."""
        put_off = self._put_off.get(destination)
        return (put_off.pop(),) if put_off else ()

    def ended(self, delivery: UUID) -> None:
        """Note a delivery that was made, or is dead."""
        self._helped.discard(delivery)

    def over(self, destination: str, *, was_paused: bool) -> Collection[UUID]:
        """Note that a destination works.

        Returns what is due now: everything that was put off, if it `was_paused` for failing.
        """
        put_off = self._put_off.pop(destination, set())
        if not was_paused:
            return ()
        self._helped |= put_off
        return put_off
