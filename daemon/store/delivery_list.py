"""Deliveries as people look through them: page by page, counted, and within a user's limits.

They come state by state, and in each in the order of an index: what is due first comes first, and
of what has ended the newest. A page begins after a place in that order, so it costs the same
wherever it is. Nothing is read in one piece for longer than `daemon.store.pages` allows.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self, cast
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    String,
    and_,
    func,
    or_,
    true,
    tuple_,
    type_coerce,
)
from sqlalchemy import select as sql_select
from sqlmodel import col, select

from daemon.core.dpv import CONFIDENTIAL_POST
from daemon.core.model import AttemptRow, Delivery, DeliveryState, Message
from daemon.core.rights import Grant
from daemon.store.database import Database
from daemon.store.pages import COUNTED, LETTERS, ROWS, pieces, row_number
from daemon.store.sql_words import has_text

ORDER = (
    DeliveryState.DEAD,
    DeliveryState.HELD,
    DeliveryState.PENDING,
    DeliveryState.CLAIMED,
    DeliveryState.DELIVERED,
    DeliveryState.WITHDRAWN,
)
"""What needs attention first."""
_NEWEST_FIRST = frozenset({DeliveryState.DELIVERED, DeliveryState.WITHDRAWN})
_KEY = (col(Delivery.due_at), row_number(Delivery))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LOOKED_AT = 20_000
"""So many are looked at for one page of a user with limits; the next page goes on from there."""
_OF_LETTER = ("party", "service", "title", "sender_name", "sender_org", "confidential")


@dataclass(frozen=True, kw_only=True)
class DeliveryFilter:
    """Which deliveries are wanted; what is None or empty does not matter.

    `limits` are a user's grants: a delivery is wanted if one of them covers its letter's
    organisation and the recipients on whose behalf it is.
    """

    state: DeliveryState | None = None
    destination: str = ""
    limits: Sequence[Grant] = ()

    @property
    def states(self) -> Sequence[DeliveryState]:
        """Return the states in which to look, in order."""
        return [self.state] if self.state else ORDER

    @property
    def is_limited(self) -> bool:
        """Whether any grant leaves something out."""
        return all(each.parties or each.recipients for each in self.limits) and bool(self.limits)

    def condition(self) -> ColumnElement[bool]:
        """Return what the database can decide of the limits."""
        return or_(*map(_within, self.limits))

    def covers(self, party: str, recipients: Sequence[str]) -> bool:
        """Whether a delivery for them is within the limits."""
        return not self.limits or any(each.covers(party, recipients) for each in self.limits)


@dataclass(frozen=True, kw_only=True)
class ListPlace:
    """A delivery's place in the order; its text can stand in an address."""

    state: DeliveryState
    due_at: datetime
    row: int

    def __str__(self) -> str:
        return f"{self.state}.{(self.due_at - _EPOCH) // _MICROSECOND}.{self.row}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the place whose text it is; None if it is none."""
        state, _, rest = text.partition(".")
        moment, _, row = rest.partition(".")
        try:
            due_at = _EPOCH + int(moment) * _MICROSECOND
            return cls(state=DeliveryState(state), due_at=due_at, row=int(row))
        except (ValueError, OverflowError):
            return None


@dataclass(frozen=True, kw_only=True)
class ListedDelivery:
    """A delivery, what a list shows of its letter, and when it was last tried."""

    delivery: Delivery
    party: str
    service: str
    title: str
    sender_name: str
    sender_org: str | None
    confidential: bool
    tried_at: datetime | None

    @property
    def sender(self) -> str:
        """Return the sender's name, or else its organisation number."""
        return self.sender_name or self.sender_org or ""

    @property
    def is_secret(self) -> bool:
        """Whether the letter is confidential post, or Postmottak's notice of some."""
        return self.confidential or self.service == CONFIDENTIAL_POST.code


@dataclass(frozen=True, kw_only=True)
class DeliveryPage:
    """Some deliveries, and the place after which the next page begins; None after the last."""

    rows: Sequence[ListedDelivery]
    next: ListPlace | None


class DeliveryList:
    """Finds and counts deliveries. Read-only; may be used from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, wanted: DeliveryFilter, after: ListPlace | None, size: int) -> DeliveryPage:
        """Return at most `size` deliveries after the place, and fewer where limits cut many."""
        found: list[UUID] = []
        pieces_left = _LOOKED_AT // ROWS
        for state, some, end in self._walk(wanted, after, size + 1):
            for each in some:
                if len(found) == size:
                    return DeliveryPage(rows=self.rows(found, wanted), next=after)
                found.append(each.id)
                after = _place(state, each)
            pieces_left -= 1
            if wanted.is_limited and end and pieces_left <= 0:
                return DeliveryPage(rows=self.rows(found, wanted), next=end)
        return DeliveryPage(rows=self.rows(found, wanted), next=None)

    def ids(self, wanted: DeliveryFilter) -> Iterator[list[UUID]]:
        """Yield all of them, some at a time; no transaction is open between two batches."""
        for _, some, _ in self._walk(wanted, None, ROWS):
            yield [each.id for each in some]

    def rows(self, ids: Sequence[UUID], wanted: DeliveryFilter) -> Sequence[ListedDelivery]:
        """Return those of the deliveries that are there and within the limits, in their order."""
        found: dict[UUID, ListedDelivery] = {}
        for start in range(0, len(ids), LETTERS):
            for each in self._rows(ids[start : start + LETTERS]):
                if wanted.covers(each.party, each.delivery.recipients):
                    found[each.delivery.id] = each
        return [found[key] for key in ids if key in found]

    def counts(self, limits: Sequence[Grant]) -> Mapping[tuple[str, DeliveryState], int]:
        """Count deliveries by destination and state, within the limits.

        With limits, only those that have not ended: the others would each be looked at. Changes
        meanwhile may or may not count.
        """
        wanted = DeliveryFilter(limits=limits)
        found: Counter[tuple[str, DeliveryState]] = Counter()
        for state in ORDER:
            if not (wanted.is_limited and state in _NEWEST_FIRST):
                for destination, count in self._counted(state, wanted):
                    found[destination, state] += count
        return found

    def _counted(self, state: DeliveryState, wanted: DeliveryFilter) -> Iterator[tuple[str, int]]:
        destination = col(Delivery.destination)
        asked: Any = sql_select(destination, func.count()).group_by(destination)
        if wanted.is_limited:
            asked = _with_letter(asked).where(wanted.condition())
        order, equal = (destination, *_KEY), col(Delivery.state) == state
        size = ROWS if wanted.is_limited else COUNTED
        for piece in pieces(self._database, order, equal, size=size):
            with self._database.read_one() as connection:
                rows = connection.execute(asked.where(piece)).all()
            yield from ((name, count) for name, count in rows)

    def _walk(
        self, wanted: DeliveryFilter, after: ListPlace | None, size: int
    ) -> Iterator[tuple[DeliveryState, Sequence[Row[Any]], ListPlace | None]]:
        """Yield all deliveries in order, and up to where each piece goes; None for a state's last.

        A piece has `size` of them, or what is within the limits of the next `ROWS`.
        """
        states = wanted.states
        if after:
            states = states[states.index(after.state) :] if after.state in states else ()
        for state in states:
            place = after if after and after.state is state else None
            while True:
                asked = _in_order(state, wanted, place)
                some, place = (
                    self._within(asked, state, wanted)
                    if wanted.is_limited
                    else self._next(asked, state, size)
                )
                yield state, some, place
                if place is None:
                    break

    def _next(
        self, asked: Select[Any], state: DeliveryState, size: int
    ) -> tuple[Sequence[Row[Any]], ListPlace | None]:
        with self._database.read_one() as connection:
            some = connection.execute(asked.limit(size)).all()
        return some, _place(state, some[-1]) if len(some) == size else None

    def _within(
        self, asked: Select[Any], state: DeliveryState, wanted: DeliveryFilter
    ) -> tuple[Sequence[Row[Any]], ListPlace | None]:
        with self._database.read_one() as connection:
            last = connection.execute(asked.limit(1).offset(ROWS - 1)).first()
        end = _place(state, last) if last else None
        asked = _with_letter(asked).where(wanted.condition())
        if end:
            key: Any = tuple_(*_KEY)
            until = (end.due_at, end.row)
            asked = asked.where(key >= until if state in _NEWEST_FIRST else key <= until)
        with self._database.read_one() as connection:
            return connection.execute(asked).all(), end

    def _rows(self, ids: Sequence[UUID]) -> list[ListedDelivery]:
        wanted = (
            sql_select(Delivery, *(getattr(Message, name) for name in _OF_LETTER))
            .join(Message, col(Message.id) == Delivery.message_id)
            .where(col(Delivery.id).in_(ids))
        )
        tried = (
            select(AttemptRow.delivery_id, func.max(AttemptRow.started_at))
            .where(col(AttemptRow.delivery_id).in_(ids))
            .group_by(col(AttemptRow.delivery_id))
        )
        with self._database.read() as session:
            rows = session.execute(wanted).all()
            last = dict(session.exec(tried).all())
        return [
            ListedDelivery(
                delivery=delivery,
                **dict(zip(_OF_LETTER, letter, strict=True)),
                tried_at=last.get(delivery.id),
            )
            for delivery, *letter in rows
        ]


def _with_letter(asked: Select[Any]) -> Select[Any]:
    return asked.join_from(Delivery, Message, col(Message.id) == Delivery.message_id)


def _in_order(state: DeliveryState, wanted: DeliveryFilter, after: ListPlace | None) -> Select[Any]:
    """Return the query for places and ids of a state, in its order, from after the place on."""
    due_at, row = _KEY
    asked: Any = sql_select(due_at, row.label("row"), col(Delivery.id))
    asked = asked.where(col(Delivery.state) == state)
    if wanted.destination:
        asked = asked.where(col(Delivery.destination) == wanted.destination)
    newest_first = state in _NEWEST_FIRST
    if after:
        key: Any = tuple_(*_KEY)
        start = (after.due_at, after.row)
        asked = asked.where(key < start if newest_first else key > start)
    return cast(
        "Select[Any]",
        asked.order_by(*(each.desc() if newest_first else each for each in _KEY)),
    )


def _place(state: DeliveryState, found: Row[Any]) -> ListPlace:
    return ListPlace(state=state, due_at=found.due_at, row=found.row)


def _within(grant: Grant) -> ColumnElement[bool]:
    """Return the condition that the grant covers a delivery, as `Grant.covers` says it.

    A name in the list is its JSON text, which no other name contains: quotes are escaped there.
    """
    names = type_coerce(col(Delivery.recipients), String)
    of_recipients = [has_text(names, json.dumps(each)) for each in sorted(grant.recipients)]
    of_parties = [col(Message.party).in_(sorted(grant.parties))] if grant.parties else []
    return and_(true(), *of_parties, *([or_(*of_recipients)] if of_recipients else []))
