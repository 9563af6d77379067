"""What a routing table says of a person or a recipient, and the same table with another in place.

Pure. A person is a member or the manager of a recipient, by e-mail address or user name. A
recipient is named by routes, as a deputy, and in covers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from daemon.core.accounts import known_as

Rows = Sequence[Mapping[str, Any]]


class HoldingKind(StrEnum):
    """What somebody can hold."""

    MEMBER = "member"
    MANAGER = "manager"
    ROUTE = "route"
    DEPUTY = "deputy"
    COVER = "cover"
    LETTERS = "letters"  # that nobody has acknowledged
    DEADLINES = "deadlines"  # that are open
    CALENDARS = "calendars"


@dataclass(frozen=True, kw_only=True)
class Holding:
    """One thing that somebody holds."""

    kind: HoldingKind
    about: str
    """The row of the table, or the recipient whose letters they are."""
    count: int = 1


@dataclass(frozen=True, kw_only=True)
class RowEdit:
    """What a hand-over changes in a row; `values` is None for one that is to go."""

    kind: str
    number: int
    holding: Holding
    values: Mapping[str, Any] | None


def edits(tables: Mapping[str, Rows], name: str, to: str, today: date) -> Iterator[RowEdit]:
    """Yield what names somebody, with what the row says when `to` is in their place.

    `tables` are the rows by kind. Covers that ended before `today` are left as they are.
    """
    for number, row in enumerate(tables["recipient"]):
        yield from _of_people(number, row, name, to)
        yield from _of_deputy(number, row, name, to)
    for number, row in enumerate(tables["route"]):
        yield from _of_route(number, row, name, to)
    for number, row in enumerate(tables["delegation"]):
        yield from _of_cover(number, row, name, to, today)


def _of_people(number: int, row: Mapping[str, Any], name: str, to: str) -> Iterator[RowEdit]:
    members = row.get("members", [])
    if any(_is(each, name) for each in members):
        people = [to if _is(each, name) else each for each in members]
        once = list({known_as(each): each for each in people}.values())
        yield _edit("recipient", number, HoldingKind.MEMBER, row, {"members": once})
    if _is(row.get("manager", ""), name):
        yield _edit("recipient", number, HoldingKind.MANAGER, row, {"manager": to})


def _is(person: str, name: str) -> bool:
    return bool(person) and known_as(person) == known_as(name)


def _of_deputy(number: int, row: Mapping[str, Any], name: str, to: str) -> Iterator[RowEdit]:
    if row.get("deputy") == name:
        deputy = None if row.get("name") == to else to
        yield _edit("recipient", number, HoldingKind.DEPUTY, row, {"deputy": deputy})


def _of_route(number: int, row: Mapping[str, Any], name: str, to: str) -> Iterator[RowEdit]:
    values = {
        key: list(dict.fromkeys(to if each == name else each for each in row[key]))
        for key in ("to", "copy_to")
        if name in row.get(key, ())
    }
    if values:
        yield _edit("route", number, HoldingKind.ROUTE, row, values)


def _of_cover(
    number: int, row: Mapping[str, Any], name: str, to: str, today: date
) -> Iterator[RowEdit]:
    """The covers of somebody who left go; those by them are the other's, unless of their own."""
    if name not in {row.get("from"), row.get("to")} or row["ends"] < today:
        return
    is_moot = row.get("from") in {name, to}
    about = f"{row.get('from')} {row['starts']} {row['ends']}"
    holding = Holding(kind=HoldingKind.COVER, about=about)
    values = None if is_moot else {"to": to}
    yield RowEdit(kind="delegation", number=number, holding=holding, values=values)


def _edit(
    kind: str, number: int, what: HoldingKind, row: Mapping[str, Any], values: Mapping[str, Any]
) -> RowEdit:
    holding = Holding(kind=what, about=str(row.get("name", "")))
    return RowEdit(kind=kind, number=number, holding=holding, values=values)


def people_of(recipients: Rows) -> frozenset[str]:
    """Return the names by which rows of recipients name people, as names are stored."""
    return frozenset(
        known_as(each)
        for row in recipients
        for each in (*row.get("members", ()), row.get("manager", ""))
        if each
    )


def recipients_of(recipients: Rows, name: str) -> frozenset[str]:
    """Return the recipients that somebody is, or is a member of."""
    return frozenset(
        str(row.get("name"))
        for row in recipients
        if row.get("name") == name or any(_is(each, name) for each in row.get("members", ()))
    )
