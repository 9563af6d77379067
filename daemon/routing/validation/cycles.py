"""Finds circular covers: A covers for B, and B for A, on the same day."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta

from daemon.config.faults import FaultList
from daemon.core.dpv import ALL_SERVICES, CONFIDENTIAL_POST
from daemon.routing.rows import Delegation, Recipient

Rows = Mapping[int, tuple[Delegation, str]]
"""Delegations by their place in the file, each with the name of the cover."""


def check_circles(
    delegations: Mapping[int, Delegation], recipients: Mapping[str, Recipient], faults: FaultList
) -> None:
    """Report each circle once, at its last delegation. Every name in the rows must be known."""
    rows = _risky(
        {
            place: (each, each.to or recipients[each.from_].deputy)
            for place, each in delegations.items()
        }
    )
    known: set[frozenset[int]] = set()
    for day in sorted(_turning_days(rows)):
        for service in ALL_SERVICES:
            for circle in _circles(rows, day, service.code):
                if frozenset(circle) not in known:
                    known.add(frozenset(circle))
                    _report(rows, circle, day, faults)


def _risky(rows: Rows) -> Rows:
    """Return only covers of recipients who could be part of a circle, whatever the days.

    Those that lead out of it count too: they go first.
    """
    left = rows
    while True:
        covered, covering = (
            {each.from_ for each, _ in left.values()},
            {to for _, to in left.values()},
        )
        fewer = {
            place: row
            for place, row in left.items()
            if row[1] in covered and row[0].from_ in covering
        }
        if len(fewer) == len(left):
            return {place: row for place, row in rows.items() if row[0].from_ in covered}
        left = fewer


def _turning_days(rows: Rows) -> Iterator[date]:
    """Yield the days on which a cover begins or has just ended.

    Then one further down in the file can take its place.
    """
    for each, _ in rows.values():
        yield each.starts
        if each.ends < date.max:
            yield each.ends + timedelta(days=1)


def _circles(rows: Rows, day: date, service: str) -> Iterator[list[int]]:
    """Yield the places of the delegations of each circle of that day."""
    in_force: dict[str, int] = {}
    for place, (each, _) in rows.items():
        if each.covers(day, service, confidential=service == CONFIDENTIAL_POST.code):
            in_force.setdefault(
                each.from_, place
            )  # of several for the same recipient, the first in the file counts
    finished: set[str] = set()
    for start in in_force:
        name, way = start, dict[str, int]()
        while name in in_force and name not in finished and name not in way:
            way[name] = in_force[name]
            name = rows[in_force[name]][1]
        if name in way:
            yield list(way.values())[list(way).index(name) :]
        finished.update(way)


def _report(rows: Rows, circle: list[int], day: date, faults: FaultList) -> None:
    names = [rows[place][0].from_ for place in circle]
    first = names.index(min(names))
    way = " to ".join(repr(name) for name in (*names[first:], *names[:first], names[first]))
    faults.add(
        ("delegation", max(circle)),
        f"circular cover from {day}: {way}",
        "Change the days, or choose another cover",
    )
