"""Waiting deliveries follow covers that begin and end meanwhile."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BindParameter, Connection, bindparam, insert, select, update

from daemon.core.model import (
    DecisionRow,
    Delivery,
    DeliveryState,
    DeliveryValues,
    Message,
    delivery_id,
)
from daemon.store.database import Database, table_of
from daemon.store.pages import LETTERS, pieces, row_number
from daemon.store.results import release_marks

WAITING = frozenset({DeliveryState.PENDING, DeliveryState.HELD})
"""The states of a delivery that is not in flight, so that it can still go elsewhere."""
_NOT_THERE = WAITING | {DeliveryState.WITHDRAWN}
_MESSAGES, _DECISIONS, _DELIVERIES = (table_of(kind) for kind in (Message, DecisionRow, Delivery))
_BY_DUE_TIME = (_DELIVERIES.c.due_at, row_number(Delivery))
_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
_LETTERS = select(_MESSAGES.c.id, _MESSAGES.c.service, _MESSAGES.c.confidential).where(
    _MESSAGES.c.id.in_(_IDS)
)
_DECIDED = (
    select(
        _DECISIONS.c.message_id,
        _DECISIONS.c.number,
        _DECISIONS.c.chosen,
        _DECISIONS.c.direct,
        _DECISIONS.c.why,
    )
    .where(_DECISIONS.c.message_id.in_(_IDS))
    .order_by(_DECISIONS.c.number)
)
_OF_LETTERS = select(
    _DELIVERIES.c.id,
    _DELIVERIES.c.message_id,
    _DELIVERIES.c.destination,
    _DELIVERIES.c.recipients,
    _DELIVERIES.c.generation,
    _DELIVERIES.c.state,
    _DELIVERIES.c.attempts,
    _DELIVERIES.c.last_error,
).where(_DELIVERIES.c.message_id.in_(_IDS))
_WITHDRAW = (
    update(_DELIVERIES).where(_DELIVERIES.c.id.in_(_IDS)).values(state=DeliveryState.WITHDRAWN)
)
_EXPLAIN = update(_DECISIONS).where(
    _DECISIONS.c.message_id == bindparam("of"), _DECISIONS.c.number == bindparam("numbered")
)


@dataclass(frozen=True, kw_only=True)
class Changed:
    """The destinations of a letter that were added and withdrawn."""

    added: tuple[str, ...]
    withdrawn: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Queued:
    """A letter with a waiting delivery, and what covers depend on.

    That is its service, its newest decision and its destinations.
    """

    message: UUID
    service: str
    confidential: bool
    number: int
    chosen: tuple[str, ...]
    direct: tuple[str, ...]
    waiting: Mapping[str, tuple[str, ...]]
    """Destinations at which a delivery waits, and on whose behalf."""
    others: frozenset[str]
    """Destinations with a delivery that is in flight or has ended, but was not withdrawn."""


@dataclass(frozen=True, kw_only=True)
class Cover:
    """Where a letter should go now, by the active covers and by the decision of this number."""

    message: UUID
    number: int
    wanted: Mapping[str, Sequence[str]]


class Covers:
    """Waiting deliveries, and covers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def queued(self, now: datetime) -> Iterator[list[Queued]]:
        """Yield letters with a delivery that waits or is held, some at a time.

        No transaction is open while the caller has them. A letter with several may come more than
        once. Those that an operator releases or retries during the walk come at its end: the walk
        goes by due time, and theirs moves, but only to one later than `now`.
        """
        # held ones second, so that what is held during the first walk is seen
        for state in (DeliveryState.PENDING, DeliveryState.HELD):
            yield from self._walk(state)
        yield from self._walk(DeliveryState.PENDING, due_since=now)

    def _walk(
        self, state: DeliveryState, due_since: datetime | None = None
    ) -> Iterator[list[Queued]]:
        for piece in pieces(
            self._database,
            _BY_DUE_TIME,
            _DELIVERIES.c.state == state,
            since=due_since,
            size=LETTERS,
        ):
            with self._database.read() as session:
                connection = session.connection()
                ids = list(
                    connection.execute(
                        select(_DELIVERIES.c.message_id).where(piece).distinct()
                    ).scalars()
                )
                found = list(_queued(connection, ids))
            if found:
                yield found

    def follow(self, covers: Sequence[Cover], now: datetime) -> dict[UUID, Changed]:
        """Let deliveries that wait or are held follow covers, in one transaction.

        Deliveries to other destinations, or for other recipients, are withdrawn, and the wanted
        ones added; these are held if all withdrawn ones were. A letter with a newer decision is
        left alone. Returns the letters that changed.
        """
        ids = {"ids": [each.message for each in covers]}
        with self._database.write() as session:
            connection = session.connection()
            decisions = {row.message_id: row for row in connection.execute(_DECIDED, ids)}
            deliveries = _by_letter(connection, ids)
            same = [
                each
                for each in covers
                if each.message in decisions and decisions[each.message].number == each.number
            ]
            turns = [
                _Turn.of(each, deliveries[each.message], decisions[each.message].why, now)
                for each in same
            ]
            _carry_out(connection, [turn for turn in turns if turn.changes_something])
            release_marks(
                session, [turn.cover.message for turn in turns if turn.changes_something], now
            )
        return {turn.cover.message: turn.changed for turn in turns if turn.changes_something}


def _by_letter(connection: Connection, ids: Mapping[str, Any]) -> Mapping[UUID, list[Any]]:
    found: defaultdict[UUID, list[Any]] = defaultdict(list)
    for row in connection.execute(_OF_LETTERS, ids):
        found[row.message_id].append(row)
    return found


def _queued(connection: Connection, ids: Collection[UUID]) -> Iterator[Queued]:
    these = {"ids": ids}
    decisions = {row.message_id: row for row in connection.execute(_DECIDED, these)}
    deliveries = _by_letter(connection, these)
    for key, service, confidential in connection.execute(_LETTERS, these):
        decision = decisions[key]
        yield Queued(
            message=key,
            service=service,
            confidential=confidential,
            number=decision.number,
            chosen=tuple(decision.chosen),
            direct=tuple(decision.direct),
            waiting={
                each.destination: tuple(each.recipients)
                for each in deliveries[key]
                if each.state in WAITING
            },
            others=frozenset(
                each.destination for each in deliveries[key] if each.state not in _NOT_THERE
            ),
        )


@dataclass(frozen=True, kw_only=True)
class _Turn:
    """The changes that a cover makes to one letter."""

    cover: Cover
    gone: Sequence[Any]
    """Deliveries to withdraw."""
    new: Sequence[DeliveryValues]
    why: Mapping[str, Any]

    @classmethod
    def of(
        cls, cover: Cover, deliveries: Sequence[Any], why: Mapping[str, Any], now: datetime
    ) -> _Turn:
        gone = [
            each for each in deliveries if each.state in WAITING and not _stays(each, cover.wanted)
        ]
        stay = {
            each.destination
            for each in deliveries
            if each not in gone and each.state != DeliveryState.WITHDRAWN
        }
        held = bool(gone) and all(each.state == DeliveryState.HELD for each in gone)
        new = [
            DeliveryValues(
                id=delivery_id(cover.message, destination, generation),
                message_id=cover.message,
                destination=destination,
                recipients=list(recipients),
                decision=cover.number,
                generation=generation,
                state=DeliveryState.HELD if held else DeliveryState.PENDING,
                created_at=now,
                due_at=now,
            )
            for destination, recipients in cover.wanted.items()
            if destination not in stay
            for generation in (_next_generation(deliveries, destination),)
        ]
        return cls(cover=cover, gone=gone, new=new, why=why)

    @property
    def changes_something(self) -> bool:
        return bool(self.gone or self.new)

    @property
    def changed(self) -> Changed:
        return Changed(
            added=tuple(each.destination for each in self.new),
            withdrawn=tuple(each.destination for each in self.gone),
        )

    @property
    def explained(self) -> dict[str, Any]:
        return {
            **self.why,
            "covered": [*self.why.get("covered", ()), *(withdrawn(each) for each in self.gone)],
        }


def _next_generation(deliveries: Sequence[Any], destination: str) -> int:
    known = (each.generation for each in deliveries if each.destination == destination)
    return max(known, default=0) + 1


def _stays(delivery: Any, wanted: Mapping[str, Sequence[str]]) -> bool:
    return (
        delivery.destination in wanted and list(wanted[delivery.destination]) == delivery.recipients
    )


def withdrawn(delivery: Any) -> dict[str, Any]:
    """Return what a decision records of a delivery that is withdrawn."""
    return {
        "destination": delivery.destination,
        "generation": delivery.generation,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "error": delivery.last_error,
    }


def _carry_out(connection: Connection, turns: Sequence[_Turn]) -> None:
    gone = {"ids": [each.id for turn in turns for each in turn.gone]}
    new = [each.model_dump() for turn in turns for each in turn.new]
    why = [
        {"of": turn.cover.message, "numbered": turn.cover.number, "why": turn.explained}
        for turn in turns
        if turn.gone
    ]
    if why:
        connection.execute(_WITHDRAW, gone)
        connection.execute(_EXPLAIN, why)
    if new:
        connection.execute(insert(_DELIVERIES), new)
