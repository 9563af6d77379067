"""What is known of the pace at which a mailbox calls its server."""

from __future__ import annotations

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


@runtime_checkable
class IsPaced(Protocol):
    """A mailbox whose calls are paced."""

    def pace_numbers(self) -> PaceNumbers:
        """Return the counts. Makes no call, and returns at once; from any thread."""


class ProcessShare:
    """Among how many processes the pace of each client is divided. For the whole process."""

    def __init__(self) -> None:
        self.number = 1
        """Counting this one. Set when the processes are started."""


PROCESSES = ProcessShare()
