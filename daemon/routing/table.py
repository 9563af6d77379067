"""The routing table: read, checked as a whole, and frozen.

An index keeps the cost per letter low even with a large table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from daemon.config.faults import FaultList, parse_toml, read_toml
from daemon.core.durations import duration_text
from daemon.core.errors import Fault
from daemon.core.parcels import Addressee
from daemon.routing.facts import Facts
from daemon.routing.index import Index
from daemon.routing.rows import Delegation, PartyGroup, Recipient, Route, Row
from daemon.routing.validation.checks import check, check_dates
from daemon.routing.validation.groups import check_groups

SECTIONS = ("recipient", "route", "delegation", "party_group")
AnyRow = TypeVar("AnyRow", bound=Row)
_TOP_KEYS = (*SECTIONS, "follow_thread")


@dataclass(frozen=True, kw_only=True)
class Table:
    """A routing table without faults.

    `version` is the SHA-256 of its text; two tables are equal if their rows are.
    """

    version: str
    text: str
    recipients: Mapping[str, Recipient]
    routes: tuple[Route, ...]
    delegations: tuple[Delegation, ...]
    party_groups: tuple[PartyGroup, ...] = ()
    follow_thread: bool = False
    destinations: frozenset[str] | None = None
    """The configured destinations; None for an old table, whose destinations may have gone."""
    warnings: tuple[Fault, ...] = ()
    """What is allowed but probably not intended."""

    @property
    def rows(self) -> dict[str, Any]:
        """The rows as the values of a TOML file, as they would be written.

        Defaults are left out.
        """
        return {
            **({"follow_thread": True} if self.follow_thread else {}),
            "recipient": [_plain(row) for row in self.recipients.values()],
            "route": [_plain(row) for row in self.routes],
            "delegation": [_plain(row) for row in self.delegations],
            "party_group": [_plain(row) for row in self.party_groups],
        }

    @property
    def appointed(self) -> frozenset[str]:
        """The recipients that may get confidential post."""
        return frozenset(
            name
            for route in self.routes
            if route.is_confidential and route.enabled
            for name in (*route.to, *route.copy_to)
        )

    @cached_property
    def follows_threads(self) -> bool:
        """Whether an earlier letter of the same thread can make a difference.

        If not, it need not be looked up.
        """
        return self.follow_thread or any(
            route.follow_thread for route in self.routes if route.enabled
        )

    @cached_property
    def awaits_people(self) -> bool:
        """Whether a person has to acknowledge some letters."""
        of_routes = (each.acknowledge_within for each in self.routes)
        return any(of_routes) or any(each.acknowledge_within for each in self.recipients.values())

    def candidates(self, facts: Facts) -> Iterator[Route]:
        """Return the routes that the letter could match, in the table's order.

        Those left out certainly do not match.
        """
        return (self.routes[number] for number in self._index.candidates(facts))

    def grouped(self, facts: Facts) -> Facts:
        """Return the facts with the groups that this table puts the party in."""
        found = self._groups_of.get(facts.party, ())
        return facts if found == facts.party_groups else replace(facts, party_groups=found)

    @cached_property
    def _groups_of(self) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for group in self.party_groups:
            for party in dict.fromkeys(group.parties):
                found[party] = (*found.get(party, ()), group.name)
        return found

    def covers(self, recipient: str) -> Sequence[Delegation]:
        """Return the delegations of a recipient, in the table's order."""
        return self._covers.get(recipient, ())

    @cached_property
    def _covers(self) -> Mapping[str, Sequence[Delegation]]:
        found: dict[str, list[Delegation]] = {}
        for each in self.delegations:
            found.setdefault(each.from_, []).append(each)
        return found

    def route(self, name: str) -> Route | None:
        """Return the enabled route of this name."""
        return self._by_name.get(name)

    @cached_property
    def _by_name(self) -> Mapping[str, Route]:
        return {route.name: route for route in self.routes if route.enabled}

    @cached_property
    def _index(self) -> Index:
        return Index(self.routes)

    def addressees(self, names: Collection[str]) -> tuple[Addressee, ...]:
        """Return recipients as a destination gets them; one no longer there keeps its name."""
        found = ((name, self.recipients.get(name)) for name in names)
        return tuple(
            Addressee(name=name, title=recipient.title, email=recipient.email)
            if recipient
            else Addressee(name=name)
            for name, recipient in found
        )


def _plain(row: Row) -> dict[str, Any]:
    return {
        key: _written(value)
        for key, value in row.model_dump(
            mode="python", by_alias=True, exclude_defaults=True
        ).items()
    }


def _written(value: Any) -> Any:
    """Return a value as TOML has it."""
    if isinstance(value, dict):
        return {key: _written(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return list(value)
    return duration_text(value) if isinstance(value, timedelta) else value


def read_table(path: Path, destinations: Collection[str], *, today: date | None = None) -> Table:
    """Read the table in a file. Raises ConfigurationError with every fault.

    `destinations` are the names that it may use. With `today` it warns of covers that have ended.
    """
    text, values = read_toml(path)
    return _table(text, str(path), values, destinations, today)


def parse_table(
    text: str, file: str, destinations: Collection[str] | None, *, today: date | None = None
) -> Table:
    """Read a table from its text. Raises ConfigurationError with every fault.

    With `today` it warns of covers that have ended.

    `destinations` is None for a table that was active before: it was checked then, and destinations
    that have gone and checks that have become stricter since do not count.
    """
    return _table(text, file, parse_toml(text, file), destinations, today)


def _table(
    text: str,
    file: str,
    values: dict[str, Any],
    destinations: Collection[str] | None,
    today: date | None,
) -> Table:
    faults = FaultList(file, text)
    for key in values:
        if key not in _TOP_KEYS:
            faults.unknown((key,), key, _TOP_KEYS, "section")
    follow_thread = values.get("follow_thread", False)
    if not isinstance(follow_thread, bool):
        faults.add(
            ("follow_thread",), "must be true or false", "Write true or false, without quotes"
        )
    recipients = _sound(faults.rows(Recipient, "recipient", values))
    routes = _sound(faults.rows(Route, "route", values))
    delegations = _sound(faults.rows(Delegation, "delegation", values))
    groups = _sound(faults.rows(PartyGroup, "party_group", values))
    named = ("recipient", "route", "party_group")
    written = {section: _names(values.get(section)) for section in named}
    if destinations is not None:
        check(recipients, routes, delegations, destinations, written, faults)
        check_groups(groups, routes, written["party_group"], faults)
    if today is not None:
        check_dates(delegations, today, faults)
    faults.raise_if_any()
    return Table(
        version=hashlib.sha256(text.encode()).hexdigest(),
        text=text,
        recipients=MappingProxyType({each.name: each for each in recipients.values()}),
        routes=tuple(routes.values()),
        delegations=tuple(delegations.values()),
        party_groups=tuple(groups.values()),
        follow_thread=bool(follow_thread),
        destinations=None if destinations is None else frozenset(destinations),
        warnings=tuple(faults.warnings),
    )


def _sound(rows: Mapping[int, AnyRow | None]) -> dict[int, AnyRow]:
    return {place: row for place, row in rows.items() if row is not None}


def _names(tables: Any) -> tuple[str, ...]:
    return (
        tuple(str(table.get("name", "")) if isinstance(table, dict) else "" for table in tables)
        if isinstance(tables, list)
        else ()
    )
