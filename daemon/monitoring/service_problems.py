"""What is wrong with the running service itself: what only its process knows, and no store."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from daemon.core.bookkeeping import CLOCK, KEYLESS, LOG, PICKUP, UNPUBLISHED, UNSIGNED, WATCH
from daemon.core.causes import cause_of, split_reason
from daemon.core.outside_values import is_storable, text_from
from daemon.monitoring.problem import Problem, moment

Source = Callable[[], Sequence[Problem]]


class ServiceProblems:
    """The problems of one service.

    All methods may be called from any thread, and return at once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[tuple[str, str], Problem] = {}
        self._sources: dict[str, Source] = {}

    def begin(self, problem: Problem) -> bool:
        """Note a problem, which lasts until `end`. Returns whether anything about it is new."""
        key = problem.kind, problem.about
        with self._lock:
            is_new = self._found.get(key) != problem
            self._found[key] = problem
        return is_new

    def end(self, kind: str, about: str) -> bool:
        """Note that a problem is over. Returns whether there was one."""
        with self._lock:
            return self._found.pop((kind, about), None) is not None

    def follow(self, kind: str, source: Source) -> None:
        """Ask `source` for the problems of this kind whenever all are asked for.

        It replaces an earlier source of that kind, and returns at once, from any thread.
        """
        with self._lock:
            self._sources[kind] = source

    def all(self) -> Sequence[Problem]:
        """Return every problem there is at this moment."""
        with self._lock:
            found, sources = tuple(self._found.values()), tuple(self._sources.values())
        every = (*found, *(problem for source in sources for problem in source()))
        # words of the system may have a file name, which need not be text
        return tuple(
            each if is_storable(each.text) else replace(each, text=text_from(each.text))
            for each in every
        )


def clock_problems(doubts: Mapping[str, str]) -> list[Problem]:
    """What is wrong with the machine's clock; `doubts` says it in words, by what it is about."""
    return [Problem(kind=CLOCK, about=about, text=text) for about, text in doubts.items()]


def log_problems(reason: str) -> list[Problem]:
    """That the log cannot be written, and why; none if `reason` is empty."""
    if not reason:
        return []
    text = (
        f"The service's log cannot be written, and its lines are lost ({reason}); check where "
        "its stderr goes"
    )
    return [Problem(kind=LOG, about="", text=text, critical=False)]


def watch_problems(reason: str) -> list[Problem]:
    """That folders cannot be watched, and why; none if `reason` is empty."""
    if not reason:
        return []
    text = (
        "Edits and pickups are noticed some seconds late, because folders cannot be watched "
        f"({reason}); raise fs.inotify.max_user_instances and fs.inotify.max_user_watches, or "
        "stop what uses them up"
    )
    return [Problem(kind=WATCH, about="", text=text, critical=False)]


def pickup_problems(unseen: Mapping[str, str]) -> list[Problem]:
    """That it cannot be seen what was picked up; `unseen` says why, by destination."""
    found: list[Problem] = []
    for name, reason in unseen.items():
        what, remedy = split_reason(cause_of(reason))
        text = f"It cannot be seen what was picked up at {name}: {what}"
        text = f"{text}; {remedy or 'see the log'}"
        found.append(Problem(kind=PICKUP, about=name, where=name, text=text, critical=False))
    return found


def unsigned_problem(since: datetime, reason: str) -> Problem:
    """That the head of the journal cannot be signed, since when, and why."""
    what, remedy = split_reason(reason)
    text = f"The journal is not signed, since {moment(since)}: {what}"
    text = f"{text}; {remedy or 'see the log'}"
    return Problem(kind=UNSIGNED, about="", since=since, text=text, critical=False)


def keyless_problem(reason: str) -> Problem:
    """That a node could not sign the journal, which another one does."""
    text = f"The journal could not be signed if the other nodes ended: {reason}"
    return Problem(kind=KEYLESS, about="", text=text, critical=False)


def unpublished_problem(name: str, since: datetime, reason: str) -> Problem:
    """That the head of the journal cannot be published at a destination, since when, and why."""
    what, remedy = split_reason(cause_of(reason))
    text = f"The head of the journal is not published at {name}, since {moment(since)}: {what}"
    text = f"{text}; {remedy or '`postmottak check` tests the destination'}"
    return Problem(kind=UNPUBLISHED, about=name, where=name, since=since, text=text, critical=False)
