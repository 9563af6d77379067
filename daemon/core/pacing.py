"""What is known of the pace at which a mailbox calls its server."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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
        """Those of this node, counting this one. Set when the processes are started."""
        self.nodes = 1
        """The nodes that are alive."""

    @property
    def parts(self) -> int:
        """Into how many parts it is divided."""
        return self.number * self.nodes


PROCESSES = ProcessShare()


class PauseRelay:
    """Tells others what pauses servers ask for. For the whole process.

    A pause that is heard here is handed to `tell`; those that others have heard of come by
    `listeners`, which the pacers are.
    """

    def __init__(self) -> None:
        self.tell: Callable[[str, str, float], None] = do_nothing_with
        """Is given the host, the client and the seconds; from any thread that calls a server."""
        self.listeners: list[Callable[[str, str, float], None]] = []

    def heard(self, host: str, client: str, seconds: float) -> None:
        """Take a pause that another process was asked for."""
        for listener in self.listeners:
            listener(host, client, seconds)


def do_nothing_with(_host: str, _client: str, _seconds: float) -> None:
    """Tell nobody: there is no other node."""


PAUSES = PauseRelay()
