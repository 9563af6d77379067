"""What only the running service knows, in one place."""

from __future__ import annotations

import threading

from daemon.monitoring.problems import Problem
from daemon.monitoring.service_problems import (
    ServiceProblems,
    clock_problems,
    log_problems,
    watch_problems,
)

LOCKED = Problem(kind="lock", about="the store", text="somebody else has it")


def test_a_problem_lasts_until_its_end() -> None:
    """It is new once, and again when its text changes; its end is told once."""
    problems = ServiceProblems()
    changed = Problem(kind="lock", about="the store", text="it is gone")
    assert [problems.begin(each) for each in (LOCKED, LOCKED, changed)] == [True, False, True]
    assert problems.all() == (changed,)
    assert [problems.end("lock", "the store") for _ in range(2)] == [True, False]
    assert problems.all() == ()


def test_sources_are_asked_at_each_look() -> None:
    """What follows from the state of a part, such as the log, the watched folders and the clock, is
    there for as long as that says so, beside what was noted; one kind has one source."""
    problems, log, watch, doubts = (
        ServiceProblems(),
        ["no space"],
        ["no inotify"],
        {"": "it jumped"},
    )
    problems.begin(LOCKED)
    problems.follow("log", lambda: log_problems("an earlier service"))
    problems.follow("log", lambda: log_problems("".join(log)))
    problems.follow("watch", lambda: watch_problems("".join(watch)))
    problems.follow("clock", lambda: clock_problems(doubts))
    assert [each.kind for each in problems.all()] == ["lock", "log", "watch", "clock"]
    assert "no space" in problems.all()[1].text
    log.clear()
    doubts.clear()
    assert [each.kind for each in problems.all()] == ["lock", "watch"]
    watch.clear()
    assert problems.all() == (LOCKED,)


def test_a_source_may_use_the_registry() -> None:
    """A source that is just noting something else does not wait for itself."""
    problems = ServiceProblems()

    def source() -> list[Problem]:
        problems.begin(LOCKED)
        return []

    problems.follow("odd", source)
    thread = threading.Thread(target=problems.all, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
