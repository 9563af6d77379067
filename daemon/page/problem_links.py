"""Where on the page a problem is seen, and mended where the page can do that."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from daemon.monitoring.problem import Problem

_ON_DELIVERIES = {
    "dead": "dead",
    "held": "held",
    "failing": "pending",
    "undelivered": "pending",
    "not-taken": "delivered",
    "full": "",
    "pickup": "",
}
"""Kinds of problems that are seen at the deliveries, and in which state these are."""
_PANELS = {
    "silence": "mailboxes",
    "rights": "mailboxes",
    "unread": "mailboxes",
    "resources": "mailboxes",
    "untold": "letters",
    "unfetched": "letters",
    "expiry": "dates",
    "disk": "disk",
    "edit": "edits",
    "unreminded": "problems",
    "bell": "mailboxes",
    "parties": "mailboxes",
    "events": "mailboxes",
}
"""Kinds of problems that a part of the page about the service shows."""


def shown(problem: Problem) -> Mapping[str, object]:
    """Return a problem, with the address at which it is seen."""
    return {"problem": problem, "address": _address(problem)}


def _address(problem: Problem) -> str:
    if problem.kind in _ON_DELIVERIES and problem.where:
        values = {"state": _ON_DELIVERIES[problem.kind], "destination": problem.where}
        return "/deliveries?" + urlencode({name: value for name, value in values.items() if value})
    if problem.kind == "rejected":
        return f"/deliveries/{problem.about}"
    if problem.kind == "incomplete":
        return f"/letters/{problem.about}"
    if problem.kind == "shortfall":
        return "/completeness"
    if problem.kind in {"sender", "resource", "service"}:
        return "/coverage"
    return f"/service#{_PANELS.get(problem.kind, 'problems')}"
