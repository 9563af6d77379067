"""One round of deliveries: attempts and chores that several threads make, and their ends, gathered for one commit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from daemon.lanes import SOON
from daemon.model import Outcome
from daemon.store import Claim, Ending

_GATHER = 0.05  # seconds in which more ends are gathered, for a commit costs nearly the same for one and for many


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """What came of one attempt."""

    ending: Ending
    told: str
    """Where the letter is, or why it is not."""
    unusable: bool = False
    """The destination itself could not be used."""


class Round:
    """What is under way in one round."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self.running: dict[Future[Attempt], tuple[str, Claim]] = {}
        """Attempts, each with its lane."""
        self.chores: set[Future[None]] = set()
        """What is done for destinations after their deliveries."""
        self.outcomes: Counter[Outcome] = Counter()

    @property
    def under_way(self) -> bool:
        """Whether anything is."""
        return bool(self.running or self.chores)

    def begin(self, attempt: Callable[[Claim], Attempt], lane: str, claim: Claim) -> None:
        """Have a thread make an attempt."""
        self.running[self._pool.submit(attempt, claim)] = lane, claim

    def chore(self, do: Callable[..., None], *arguments: object) -> None:
        """Have a thread do it; the round ends when it is done, and goes on with everything else meanwhile."""
        self.chores.add(self._pool.submit(do, *arguments))

    def some_ended(self) -> list[Future[Attempt]]:
        """Wait a while for an attempt or a chore to end; the attempts that have ended, with those that end soon after."""
        under_way: list[Future[Any]] = [*self.running, *self.chores]
        ended = wait(under_way, timeout=SOON.total_seconds(), return_when=FIRST_COMPLETED).done
        if not ended <= self.chores:
            wait(self.running, timeout=_GATHER)
        for chore in [chore for chore in self.chores if chore.done()]:
            self.chores.remove(chore)
            chore.result()
        return [attempt for attempt in self.running if attempt.done()]
