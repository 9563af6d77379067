"""Dry runs of drafts: what of the last letters would go elsewhere, found in the background.

A user's next dry run ends the one before, and only a few run at a time, because each takes the
processor for as long as a second.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid4

import structlog

from daemon.core.errors import PostmottakError
from daemon.core.rights import Grant
from daemon.page.editing.past_letters import PastLetters
from daemon.routing.dryrun import Change, HistoricLetter, compare
from daemon.routing.table import Table
from daemon.store import ArrivalWindow

_log = structlog.get_logger(__name__)
AT_ONCE = 2
_SAMPLES = 20
"""Letters of a group that are kept by name, so that some of them can be shown."""
_KEPT = 32
"""Results that are kept."""


class TooManyTrials(PostmottakError):
    """Other users' dry runs take all the room there is; try again in a moment."""


class _Cancelled(Exception):
    """The user has started another dry run."""


@dataclass(frozen=True, kw_only=True)
class LettersMoved:
    """Letters that would go from the same recipients to the same others."""

    before: tuple[str, ...]
    after: tuple[str, ...]
    letters: int
    samples: tuple[UUID, ...]
    """Some of them, the newest first."""


@dataclass(frozen=True, kw_only=True)
class TrialOutcome:
    """What a table would change."""

    letters: int
    """How many letters were tried."""
    all: int
    """How many came in the time that is tried; only the newest of them are.

    For a user with limits, what was tried.
    """
    moved: int = 0
    groups: tuple[LettersMoved, ...] = ()


@dataclass(kw_only=True)
class Trial:
    """One dry run."""

    window: ArrivalWindow
    limits: Sequence[Grant] | None = None
    """The grants of which one must cover a letter; None for a user who may see all."""
    id: str
    tried: int = 0
    outcome: TrialOutcome | None = None
    failed: bool = False
    _ended: threading.Event = field(default_factory=threading.Event)
    _cancelled: bool = False

    @property
    def is_done(self) -> bool:
        """Whether there is an outcome, or never will be."""
        return self._ended.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait until it has ended, at most so long; return whether it has."""
        return self._ended.wait(seconds)

    def cancel(self) -> None:
        """End it before the next letter."""
        self._cancelled = True

    def end(self, outcome: TrialOutcome | None) -> None:
        """Set the outcome, or without one that it failed or was cancelled."""
        self.outcome, self.failed = outcome, outcome is None
        self._ended.set()

    def counting(self, samples: Iterator[HistoricLetter]) -> Iterator[HistoricLetter]:
        """Yield the letters, and count them."""
        for sample in samples:
            if self._cancelled:
                raise _Cancelled
            yield sample
            self.tried += 1


_Ends = tuple[tuple[str, ...], tuple[str, ...]]
_Key = tuple[str, str, tuple[int, int], frozenset[Grant] | None]


class Trials:
    """Dry runs of all users. May be used from several threads."""

    def __init__(self, letters: PastLetters) -> None:
        self._letters = letters
        self._mark = uuid4().hex
        """Which process a dry run is known to: others of the page know nothing of it."""
        self._lock = threading.Lock()
        self._of_user: dict[str, Trial] = {}
        self._results: OrderedDict[_Key, TrialOutcome] = OrderedDict()

    def start(
        self,
        user: str,
        before: Table,
        after: Table,
        now: datetime,
        limits: Sequence[Grant] | None = None,
    ) -> Trial:
        """Begin a dry run, and end the user's earlier one. Raises TooManyTrials.

        Only letters that one of `limits` covers are tried; None is for a user who may see all.
        """
        window = self._letters.window(now)
        within = None if limits is None else frozenset(limits)
        key = (before.version, after.version, self._letters.mark(window), within)
        trial = Trial(id=f"{self._mark}{uuid4().hex}", window=window, limits=limits)
        with self._lock:
            if earlier := self._of_user.pop(user, None):
                earlier.cancel()
            if (known := self._results.get(key)) is None and self._running() >= AT_ONCE:
                raise TooManyTrials("other dry runs are going on; try again in a moment")
            self._of_user[user] = trial
        if known is not None:
            trial.end(known)
            return trial
        threading.Thread(
            target=self._run, args=(trial, key, before, after), name="dry run", daemon=True
        ).start()
        return trial

    def _running(self) -> int:
        return sum(not each.is_done for each in self._of_user.values())

    def find(self, user: str, trial_id: str) -> Trial | None:
        """Return the user's newest dry run if it is this one."""
        found = self._of_user.get(user)
        return found if found and found.id == trial_id else None

    def knew(self, trial_id: str) -> bool:
        """Whether this process has begun it, whatever has become of it."""
        return trial_id.startswith(self._mark)

    def _run(self, trial: Trial, key: _Key, before: Table, after: Table) -> None:
        outcome = None
        try:
            outcome = self._compare(trial, before, after)
            with self._lock:
                self._results[key] = outcome
                while len(self._results) > _KEPT:
                    self._results.popitem(last=False)
        except _Cancelled:
            pass
        except PostmottakError as error:
            _log.warning("a dry run failed", reason=str(error))
        finally:
            trial.end(outcome)

    def _compare(self, trial: Trial, before: Table, after: Table) -> TrialOutcome:
        follow_threads = before.follows_threads or after.follows_threads
        samples = self._letters.samples(
            trial.window, follow_threads=follow_threads, limits=trial.limits
        )
        named: dict[_Ends, deque[UUID]] = {}

        def name(change: Change) -> None:
            ends = (change.before, change.after)
            named.setdefault(ends, deque(maxlen=_SAMPLES)).append(UUID(change.message))

        found = compare(before, after, trial.counting(samples), name)
        groups = (
            LettersMoved(
                before=ends[0], after=ends[1], letters=count, samples=_reversed(named[ends])
            )
            for ends, count in found.moves.most_common()
        )
        return TrialOutcome(
            letters=found.letters,
            all=max(trial.window.all if trial.limits is None else 0, found.letters),
            moved=found.changed,
            groups=tuple(groups),
        )


def _reversed(keys: deque[UUID]) -> tuple[UUID, ...]:
    return tuple(reversed(keys))
