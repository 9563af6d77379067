"""One thing that is wrong, as alerts, `status`, monitors and metrics share it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta

from daemon.core.bookkeeping import CLOCK

_OF_NODE = re.compile(r"\(node ([A-Za-z0-9._-]+)\)")
_NAMED = 5
_ONE_AT_A_PLACE = frozenset({"canary", "expiry", "silence", "undelivered"})
"""Kinds of which there is one at a place, whatever its cause is, and however that changes."""
_OF_ALERTS = frozenset({"parties", "patience"})
_INCIDENT = re.compile(r" #([0-9a-f]{8})$")


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong. It holds no titles, contents or names of persons, users aside."""

    kind: str
    about: str
    """What is affected: a destination, a channel, a file. Two problems with the same kind, the
    same `about` and the same `incident` are the same problem; of some kinds there is only one.
    """
    text: str
    """What is wrong and, after a semicolon, what to do."""
    critical: bool = True
    where: str = ""
    """The mailbox or destination at which it is; empty where it is at neither."""
    count: int = 1
    """How many letters, deliveries or channels it is about."""
    parties: Sequence[str] = ()
    """The organisations it is about, if it is about some of several."""
    since: datetime | None = None
    incident: str = ""
    """What problems with one cause share, so that someone is notified of it once."""
    notify: bool = True
    """Whether it has lasted long enough for someone to be notified."""
    patience: timedelta = timedelta()
    """For so long after the start of the service nobody is notified: it may be over with the next
    attempt.
    """
    passing: bool = False
    """Whether it may be over by itself in a moment: it is shown, and all is well in spite of it."""

    @property
    def key(self) -> str:
        """Return what identifies it."""
        cause = "" if self.kind in _ONE_AT_A_PLACE else self.incident
        return f"{self.kind} {self.about}".strip() + (cause and f" #{cause}")

    @property
    def facts(self) -> Mapping[str, object]:
        """Return what `status --json` promises: all but what only alerts go by."""
        own = asdict(self)
        return {name: own[name] for name in own if name not in _OF_ALERTS}


def of_node(problems: Iterable[Problem], node: str) -> Iterator[Problem]:
    """Yield problems that are this node's own, with its name. Without nodes, they are as they are.

    The clock is the database's then, and so no node's own.
    """
    for each in problems:
        if not node or each.kind == CLOCK:
            yield each
        else:
            about, text = f"{each.about} {_mark(node)}".strip(), f"On the node {node}: {each.text}"
            yield replace(each, about=about, text=text)


def node_of(key: str) -> str:
    """Return the node whose own problem has the key; empty if it is of all."""
    found = _OF_NODE.search(key)
    return found[1] if found else ""


def _mark(node: str) -> str:
    return f"(node {node})"


def split_key(kind: str, key: str) -> tuple[str, str]:
    """Return the `about` and the incident of the problem of this kind that has the key."""
    found = _INCIDENT.search(key)
    about = key[: found.start()] if found else key
    return about.removeprefix(kind).strip(), found[1] if found else ""


def some(words: Sequence[str]) -> str:
    """Join the first few of them, and say how many more there are."""
    more = f" and {len(words) - _NAMED} more" if len(words) > _NAMED else ""
    return ", ".join(words[:_NAMED]) + more


def moment(when: datetime) -> str:
    """Return a time for people."""
    return f"{when:%Y-%m-%d %H:%M} UTC"
