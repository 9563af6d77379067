"""Whether all is well, decided once, for `status`, monitors, the unit's status line and metrics.

It is derived from everything that the configuration and the store name: every mailbox,
organisation, service and destination, every delivery that waits, every letter that was listed and
is not here, every edit, and what the service itself has seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from daemon.config.loader import Configuration
from daemon.core.causes import split_reason
from daemon.core.errors import Fault
from daemon.monitoring.problem import Problem
from daemon.monitoring.problems import find_all
from daemon.monitoring.running import NOT_RUNNING, UNSEEN
from daemon.store import Store

_WELL = "all letters are delivered or on their way"
_NOT_RUNNING = "the service is not running"
_LINE = 300  # characters


class Severity(IntEnum):
    """How it is; the values are those of monitors."""

    OK = 0
    WARNING = 1
    CRITICAL = 2


@dataclass(frozen=True, kw_only=True)
class Health:
    """How everything was at one moment."""

    problems: Sequence[Problem]
    """What is wrong, the worst first, and what concerns most before what concerns least."""
    passing: Sequence[Problem]
    """What is shown although all is well: it may be over in a moment, or is meant so."""

    @property
    def verdict(self) -> Severity:
        """Return the worst of what is wrong."""
        if not self.problems:
            return Severity.OK
        return Severity.CRITICAL if self.problems[0].critical else Severity.WARNING

    @property
    def causes(self) -> Sequence[Sequence[Problem]]:
        """Return the problems grouped by their cause, the worst first, and so in each group."""
        groups: dict[str, list[Problem]] = {}
        for each in self.problems:
            groups.setdefault(each.incident or each.key, []).append(each)
        return list(groups.values())

    @property
    def kinds(self) -> Mapping[str, int]:
        """Return how many problems there are of each kind."""
        return Counter(each.kind for each in self.problems)

    @property
    def sentence(self) -> str:
        """Say in one line whether all is well: the worst cause, and how many others there are."""
        if not self.problems:
            return f"{_WELL}{self._beside()}"
        what, _ = split_reason(self.problems[0].text)
        others = len(self.causes) - 1
        more = f" (and {others} other {'problem' if others == 1 else 'problems'})" * bool(others)
        stopped = any(each.kind == NOT_RUNNING for each in self.problems[1:])
        return f"{_shortened(what, _LINE)}{more}{f'; {_NOT_RUNNING}' * stopped}"

    @property
    def headline(self) -> str:
        """Return the verdict and the sentence."""
        return f"{self.verdict.name}: {self.sentence}"

    def _beside(self) -> str:
        again = ("failing", "unfetched")
        retried = sum(each.count for each in self.passing if each.kind in again)
        held = sum(each.count for each in self.passing if each.kind == "held")
        kinds = {each.kind for each in self.passing}
        words = (
            f"{retried} {'is' if retried == 1 else 'are'} being tried again" * bool(retried),
            f"{held} {'is' if held == 1 else 'are'} held" * bool(held),
            _NOT_RUNNING * (NOT_RUNNING in kinds),
            "it cannot be seen whether the service runs" * (UNSEEN in kinds),
        )
        found = " and ".join(word for word in words if word)
        return f"; {found}" if found else ""


def assess(
    configuration: Configuration,
    store: Store,
    now: datetime,
    faults: Sequence[Fault] = (),
    of_service: Sequence[Problem] | None = None,
) -> Health:
    """Return how everything is now. Raises StoreError.

    `faults` are those of an edit that was ignored. `of_service` is what only the running service
    knows (`ServiceProblems`); other processes leave it out, and get what the service has stored.
    """
    found = find_all(configuration, store, now, faults, of_service)
    wrong = [each for each in found if not each.passing]
    return Health(
        problems=sorted(wrong, key=_rank),
        passing=[each for each in found if each.passing],
    )


def _rank(problem: Problem) -> tuple[bool, bool, int]:
    """The worst first; then that nothing works at all; then what concerns most."""
    return not problem.critical, problem.kind != NOT_RUNNING, -problem.count


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
