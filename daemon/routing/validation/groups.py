"""Checks the groups of organisations, and the routes that name them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from daemon.config.faults import FaultList
from daemon.routing.rows import Conditions, PartyGroup, Route


def check_groups(
    groups: Mapping[int, PartyGroup],
    routes: Mapping[int, Route],
    names: Collection[str],
    faults: FaultList,
) -> None:
    """Check groups by their place in the file; `names` are those of all, faulty ones included."""
    seen: set[str] = set()
    for place, group in groups.items():
        if group.name in seen:
            faults.add(
                ("party_group", place, "name"),
                f"{group.name!r} is already used by another party_group",
                "Give each a unique name",
            )
        seen.add(group.name)
        if not group.parties:
            faults.add(
                ("party_group", place),
                f"the group {group.name!r} has no organisation",
                'Add parties = ["…"] with organisation numbers',
            )
    for place, route in routes.items():
        _check_known(("route", place, "party_group"), route, names, faults)
        if route.not_:
            _check_known(("route", place, "not", "party_group"), route.not_, names, faults)


def _check_known(
    where: tuple[str | int, ...],
    conditions: Conditions,
    names: Collection[str],
    faults: FaultList,
) -> None:
    for each in conditions.party_group:
        if each not in names:
            faults.unknown(where, each, tuple(sorted(names)), "party_group")
