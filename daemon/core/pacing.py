"""What is known of the pace at which a mailbox calls its server."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, kw_only=True)
class PaceNumbers:
    """Counts since the start, of all that share a client."""

    client: str
    """The id of the client, by which the server counts."""
    calls: int
    waited: float
    """Seconds that calls waited for their turn."""
    refused: int
    """How often the server said that there were too many."""
    rate: float
    """Calls a second that are made at most now, by all processes; infinite without a limit."""

    def plus(self, other: PaceNumbers) -> PaceNumbers:
        """Return both together, for the same client."""
        return PaceNumbers(
            client=self.client,
            calls=self.calls + other.calls,
            waited=self.waited + other.waited,
            refused=self.refused + other.refused,
            rate=min(self.rate, other.rate),
        )


@runtime_checkable
class IsPaced(Protocol):
    """A mailbox whose calls are paced."""

    def pace_numbers(self) -> PaceNumbers:
        """Return the counts. Makes no call, and returns at once; from any thread."""


def added_up(numbers: Iterable[PaceNumbers]) -> list[PaceNumbers]:
    """Return the numbers of several processes by client; the slowest pace counts."""
    sums: dict[str, PaceNumbers] = {}
    for each in numbers:
        before = sums.get(each.client)
        sums[each.client] = before.plus(each) if before else each
    return list(sums.values())


class ProcessShare:
    """Among how many processes the pace of each client is divided. For the whole process."""

    def __init__(self) -> None:
        self.number = 1
        """Counting this one. Set when the processes are started."""


PROCESSES = ProcessShare()
