"""Entries of a table that look outdated: rows that nothing uses, people nobody knows. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from daemon.core.accounts import known_as
from daemon.routing.table import Table

_SOON = timedelta(days=7)


@dataclass(frozen=True, kw_only=True)
class Remark:
    """One thing to look at."""

    subject: str
    text: str


def lint(
    table: Table,
    *,
    destinations: Collection[str],
    matched: Mapping[str, int],
    today: date,
    users: Collection[str] = (),
) -> list[Remark]:
    """Return remarks about the table.

    `matched` has the number of letters that each route took in the past year, including copies;
    routes without any may be left out. `users` are the names of the page's users.
    """
    return [
        *_zombies(table, matched),
        *_unused_recipients(table),
        *_unused_groups(table),
        *_ending(table, today),
        *_unused_destinations(table, destinations),
        *_strangers(table, users),
    ]


def _zombies(table: Table, matched: Mapping[str, int]) -> list[Remark]:
    """Return routes that took nothing; disabled ones are meant to be quiet."""
    asked = [route for route in table.routes if route.enabled and not route.is_catch_all]
    quiet = [route.name for route in asked if not matched.get(route.name)]
    return [Remark(subject=f"route {name!r}", text="no letters in the past year") for name in quiet]


def _unused_recipients(table: Table) -> list[Remark]:
    used = {name for route in table.routes for name in (*route.to, *route.copy_to)}
    used |= {each.to for each in table.delegations} | {
        each.deputy for each in table.recipients.values()
    }
    return [
        Remark(subject=f"recipient {name!r}", text="no route uses it")
        for name in table.recipients
        if name not in used
    ]


def _unused_groups(table: Table) -> list[Remark]:
    conditions = [*table.routes, *(each.not_ for each in table.routes if each.not_)]
    used = {name for each in conditions for name in each.party_group}
    return [
        Remark(subject=f"party_group {each.name!r}", text="no route uses it")
        for each in table.party_groups
        if each.name not in used
    ]


def _ending(table: Table, today: date) -> list[Remark]:
    remarks = []
    for each in table.delegations:
        if each.ends < today:
            remarks.append(
                Remark(subject=f"delegation from {each.from_!r}", text=f"ended on {each.ends}")
            )
        elif each.ends - today <= _SOON:
            remarks.append(
                Remark(subject=f"delegation from {each.from_!r}", text=f"ends on {each.ends}")
            )
    return remarks


def _unused_destinations(table: Table, destinations: Collection[str]) -> list[Remark]:
    used = {name for recipient in table.recipients.values() for name in recipient.deliver_to}
    used |= {name for route in table.routes for name in route.deliver_to}
    return [
        Remark(subject=f"destination {name!r}", text="not used by any recipient or route")
        for name in destinations
        if name not in used
    ]


def _strangers(table: Table, users: Collection[str]) -> list[Remark]:
    """Return people who are no users and have no address: they can neither be told nor answer."""
    known = {known_as(each) for each in users}
    return [
        Remark(
            subject=f"recipient {recipient.name!r}",
            text=f"{person!r} is neither an e-mail address nor a user of the page",
        )
        for recipient in table.recipients.values()
        for person in (*recipient.members, recipient.manager)
        if person and "@" not in person and known_as(person) not in known
    ]
