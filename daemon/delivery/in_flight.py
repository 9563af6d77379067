"""One round of deliveries: attempts and cleanups by several threads.

The results of several attempts are gathered for one commit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import datetime
from typing import Any

from daemon.core.model import Outcome
from daemon.delivery.attempts import AttemptResult
from daemon.delivery.throttle import SOON
from daemon.store import Claim
from daemon.store.claims import POISON_AFTER

# seconds in which more results are gathered: a commit costs nearly the same for one and for many
_GATHER = 0.05


class InFlight:
    """What is in flight in one round."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self.running: dict[Future[list[AttemptResult]], tuple[str, Sequence[Claim]]] = {}
        """Attempts that are made together, with their queue."""
        self._begun: dict[Future[list[AttemptResult]], datetime] = {}
        self.cleanups: set[Future[None]] = set()
        """Removals of deduplication records at destinations, after their deliveries."""
        self.outcomes: Counter[Outcome] = Counter()

    @property
    def under_way(self) -> bool:
        """Whether an attempt or a cleanup is in flight."""
        return bool(self.running or self.cleanups)

    def begin(
        self,
        attempt: Callable[[Sequence[Claim]], list[AttemptResult]],
        queue: str,
        claims: Sequence[Claim],
        now: datetime,
    ) -> None:
        """Let a thread make attempts together; `now` is for `oldest`."""
        begun = self._pool.submit(attempt, claims)
        self.running[begun], self._begun[begun] = (queue, claims), now

    def oldest(self) -> dict[str, datetime]:
        """Return when the longest attempt of each queue began."""
        self._begun = {
            attempt: since for attempt, since in self._begun.items() if attempt in self.running
        }
        found: dict[str, datetime] = {}
        for attempt, since in self._begun.items():
            queue, _ = self.running[attempt]
            found[queue] = min(since, found.get(queue, since))
        return found

    @property
    def isolated(self) -> bool:
        """Whether a poison message is in flight."""
        return any(
            claim.delivery.crashes >= POISON_AFTER
            for _, claims in self.running.values()
            for claim in claims
        )

    def submit_cleanup(self, do: Callable[..., None], *arguments: object) -> None:
        """Let a thread do it; the round goes on meanwhile, and ends only after it."""
        self.cleanups.add(self._pool.submit(do, *arguments))

    def some_ended(self) -> list[Future[list[AttemptResult]]]:
        """Wait a while for an attempt or a cleanup to end.

        Returns the attempts that have ended, with those that end soon after.
        """
        under_way: list[Future[Any]] = [*self.running, *self.cleanups]
        ended = wait(under_way, timeout=SOON.total_seconds(), return_when=FIRST_COMPLETED).done
        if any(
            len(claims) == 1 for attempt, (_, claims) in self.running.items() if attempt in ended
        ):
            wait(self.running, timeout=_GATHER)
        for cleanup in [each for each in self.cleanups if each.done()]:
            self.cleanups.remove(cleanup)
            cleanup.result()
        return [attempt for attempt in self.running if attempt.done()]
