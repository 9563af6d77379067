"""What has changed since an index of letters was last written, and what such an index needs.

Nothing in the store says when a row changed, so `SearchIndex` compares. It is complete because:

- Letters, decisions, deliveries, deletions, and what persons answer for letters and deadlines are
  only added, and each has a row number greater than every one before (`after`). Only retention
  removes rows, which leaves a deletion. A number is used twice only if the row with the greatest
  one was removed; then `after` says so.
- Of a stored letter only three things change: what retention deletes, which leaves a deletion; the
  time of arrival, when the clock is corrected, to one later than all others (`arrived_after`); and
  the states of its deliveries. A state that is final never changes, and those with another are few
  (`open_deliveries`), however many letters there are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BindParameter, Select, bindparam, func, or_, tuple_
from sqlalchemy import select as sql_select

from daemon.core.bookkeeping import Acknowledgement, DeadlineAnswer, Deletion
from daemon.core.deadlines import DeadlineFacts
from daemon.core.dpv import CONFIDENTIAL_POST
from daemon.core.model import (
    Attachment,
    DecisionRow,
    Delivery,
    DeliveryState,
    Message,
    MessageKind,
)
from daemon.store.database import Database, table_of
from daemon.store.due_letters import RESPOND, facts_of, read_acknowledged, read_words
from daemon.store.pages import pieces, row_number

OPEN = (
    DeliveryState.PENDING,
    DeliveryState.CLAIMED,
    DeliveryState.HELD,
    DeliveryState.DEAD,
)
"""The states of a delivery that are not final."""
_MESSAGES, _DECISIONS, _ATTACHMENTS, _DELIVERIES, _DELETIONS = (
    table_of(kind) for kind in (Message, DecisionRow, Attachment, Delivery, Deletion)
)
_ANSWERED: Mapping[str, Any] = {
    "acknowledgements": Acknowledgement,
    "deadlines": DeadlineAnswer,
}


class FollowedTable(StrEnum):
    """The tables to which rows are only added, but for what retention removes."""

    LETTERS = "letters"
    DECISIONS = "decisions"
    DELIVERIES = "deliveries"
    DELETIONS = "deletions"
    ACKNOWLEDGEMENTS = "acknowledgements"
    DEADLINES = "deadlines"


@dataclass(frozen=True, kw_only=True)
class RowPlace:
    """How far a table was read: the number of its last row, and what identifies that row."""

    number: int = 0
    key: str = ""


@dataclass(frozen=True, kw_only=True)
class Step:
    """A row that was added: where it is, and which letter it is about."""

    place: RowPlace
    letter: UUID


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """A letter, by the time of its arrival."""

    at: datetime
    number: int
    letter: UUID


@dataclass(frozen=True, kw_only=True)
class OpenDelivery:
    """A delivery whose state is not final, by the number of its row."""

    number: int
    state: DeliveryState


@dataclass(frozen=True, kw_only=True)
class IndexedLetter:
    """What an index needs of a letter that is not confidential.

    `deliveries` has the states by destination, of those that are not withdrawn.
    """

    number: int
    id: UUID
    fetched_at: datetime
    published_at: datetime
    party: str
    service: str
    sender_org: str | None
    sender_name: str
    sender_reference: str
    title: str
    summary: str
    body: str
    body_type: str
    confirmation_needed: bool
    route: str
    recipients: Sequence[str]
    direct: Sequence[str]
    file_names: Sequence[str]
    deliveries: Mapping[str, DeliveryState]
    deadline: DeadlineFacts
    acknowledged_at: datetime | None
    decision: int
    """The number of the newest one."""
    decided_at: datetime


@dataclass(frozen=True, kw_only=True)
class Indexed:
    """Some letters as they are now; those that are missing are confidential, or deleted."""

    letters: Mapping[UUID, IndexedLetter]
    open: Mapping[UUID, Sequence[OpenDelivery]] = field(default_factory=dict)
    """Of all the letters, the confidential ones included."""


_MOST_AT_ONCE = 10_000  # open deliveries, in an index: about 10 ms
_FROM: BindParameter[Any] = bindparam("from_number")
_LIMIT: BindParameter[Any] = bindparam("most")
_IDS: BindParameter[Any] = bindparam("ids", expanding=True)


def _numbered(kind: Any, letter: Any, *key: Any) -> Select[Any]:
    number = row_number(kind)
    return sql_select(number, letter, *key).order_by(number)


_ROWS: Mapping[FollowedTable, tuple[Any, Select[Any]]] = {
    FollowedTable.LETTERS: (Message, _numbered(Message, _MESSAGES.c.id)),
    FollowedTable.DECISIONS: (
        DecisionRow,
        _numbered(DecisionRow, _DECISIONS.c.message_id, _DECISIONS.c.number),
    ),
    FollowedTable.DELIVERIES: (
        Delivery,
        _numbered(Delivery, _DELIVERIES.c.message_id, _DELIVERIES.c.id),
    ),
    FollowedTable.DELETIONS: (
        Deletion,
        _numbered(Deletion, _DELETIONS.c.message_id, _DELETIONS.c.part),
    ),
    **{
        FollowedTable(name): (kind, _numbered(kind, table.c.message_id, table.c.number))
        for name, kind in _ANSWERED.items()
        for table in (table_of(kind),)
    },
}
_AFTER = {
    table: rows.where(row_number(kind) >= _FROM).limit(_LIMIT)
    for table, (kind, rows) in _ROWS.items()
}
_NEWEST = {
    table: rows.order_by(None).order_by(row_number(kind).desc()).limit(1)
    for table, (kind, rows) in _ROWS.items()
}
_BY_ARRIVAL = (_MESSAGES.c.fetched_at, row_number(Message))
_ARRIVALS = sql_select(*_BY_ARRIVAL, _MESSAGES.c.id)
_LAST_ARRIVAL = _ARRIVALS.order_by(*(each.desc() for each in _BY_ARRIVAL)).limit(1)
_AT: BindParameter[Any] = bindparam("at", type_=_MESSAGES.c.fetched_at.type)
_ARRIVED_AFTER = (
    _ARRIVALS.where(tuple_(*_BY_ARRIVAL) > tuple_(_AT, _FROM)).order_by(*_BY_ARRIVAL).limit(_LIMIT)
)
_OPEN_BY_NUMBER = sql_select(_DELIVERIES.c.message_id).where(row_number(Delivery).in_(_IDS))
_SOME_OPEN = (
    sql_select(row_number(Delivery), _DELIVERIES.c.state)
    .where(_DELIVERIES.c.state.in_(OPEN))
    .limit(_MOST_AT_ONCE)
)
"""Alone it is enough in most installations at most times."""
_CONFIDENTIAL = or_(
    _MESSAGES.c.confidential,
    _MESSAGES.c.kind != MessageKind.LETTER,
    _MESSAGES.c.service == CONFIDENTIAL_POST.code,
)
_OF_LETTER = (
    "id",
    "fetched_at",
    "published_at",
    "requested_at",
    "due_at",
    "party",
    "service",
    "sender_org",
    "sender_name",
    "sender_reference",
    "title",
    "summary",
    "body_type",
    "confirmation_needed",
)
_LETTERS = sql_select(
    row_number(Message).label("number"),
    func.substr(_MESSAGES.c.body, 1, bindparam("longest")).label("body"),
    *(_MESSAGES.c[name] for name in _OF_LETTER),
).where(_MESSAGES.c.id.in_(_IDS), ~_CONFIDENTIAL)
_SHOWN = (
    "number",
    "body",
    *(each for each in _OF_LETTER if each not in {"requested_at", "due_at"}),
)
"""What an index gets as it is stored."""
_DECIDED = (
    sql_select(
        _DECISIONS.c.message_id,
        _DECISIONS.c.number,
        _DECISIONS.c.decided_at,
        _DECISIONS.c.route,
        _DECISIONS.c.recipients,
        _DECISIONS.c.direct,
        *RESPOND,
    )
    .where(_DECISIONS.c.message_id.in_(_IDS))
    .order_by(_DECISIONS.c.number)
)
_FILES = (
    sql_select(_ATTACHMENTS.c.message_id, _ATTACHMENTS.c.original_name, _ATTACHMENTS.c.display_name)
    .where(_ATTACHMENTS.c.message_id.in_(_IDS))
    .order_by(_ATTACHMENTS.c.position)
)
_DELIVERED = (
    sql_select(
        row_number(Delivery).label("number"),
        _DELIVERIES.c.message_id,
        _DELIVERIES.c.destination,
        _DELIVERIES.c.state,
    )
    .where(_DELIVERIES.c.message_id.in_(_IDS), _DELIVERIES.c.state != DeliveryState.WITHDRAWN)
    .order_by(_DELIVERIES.c.generation, row_number(Delivery))
)


class Changes:
    """What an index of letters needs. Read-only; may be used from several threads.

    No read is longer than some 10 ms on an idle machine, and none is in a transaction with another.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def newest(self, table: FollowedTable) -> RowPlace:
        """Return the place of the table's last row."""
        with self._database.read_one() as connection:
            row = connection.execute(_NEWEST[table]).first()
        return _step(row).place if row else RowPlace()

    def after(self, table: FollowedTable, place: RowPlace, limit: int) -> list[Step] | None:
        """Return the rows after this place, at most `limit` of them.

        None if another row is there: it was removed, or this is another database.
        """
        values = {"from_number": place.number, "most": limit + 1}
        with self._database.read_one() as connection:
            found = [_step(row) for row in connection.execute(_AFTER[table], values)]
        if not place.number:
            return found[:limit]
        return found[1:] if found and found[0].place == place else None

    def last_arrival(self) -> Arrival | None:
        """Return the letter that came last, by the time of its arrival."""
        with self._database.read_one() as connection:
            row = connection.execute(_LAST_ARRIVAL).first()
        return Arrival(at=row[0], number=row[1], letter=row[2]) if row else None

    def arrived_after(self, at: datetime, number: int, limit: int) -> list[Arrival]:
        """Return the letters that came after this one, the first one first."""
        values = {"at": at, "from_number": number, "most": limit}
        with self._database.read_one() as connection:
            rows = connection.execute(_ARRIVED_AFTER, values)
            return [Arrival(at=at, number=number, letter=letter) for at, number, letter in rows]

    def open_deliveries(self) -> Iterator[OpenDelivery]:
        """Yield the deliveries whose state is not final.

        One whose state changes meanwhile may come twice, or not at all.
        """
        with self._database.read_one() as connection:
            found = connection.execute(_SOME_OPEN).all()
        if len(found) < _MOST_AT_ONCE:
            yield from (OpenDelivery(number=number, state=state) for number, state in found)
            return
        for state in OPEN:
            yield from self._in_state(state)

    def _in_state(self, state: DeliveryState) -> Iterator[OpenDelivery]:
        number, equal = row_number(Delivery), _DELIVERIES.c.state == state
        order = (_DELIVERIES.c.due_at, number)
        for piece in pieces(self._database, order, equal, size=_MOST_AT_ONCE):
            with self._database.read_one() as connection:
                found = connection.execute(sql_select(number).where(piece)).scalars().all()
            yield from (OpenDelivery(number=each, state=state) for each in found)

    def letters_with(self, deliveries: Sequence[int]) -> set[UUID]:
        """Return the letters of deliveries, by the numbers of their rows."""
        with self._database.read_one() as connection:
            return set(connection.execute(_OPEN_BY_NUMBER, {"ids": deliveries}).scalars())

    def letters(self, ids: Sequence[UUID], longest: int) -> Indexed:
        """Return some letters as they are now, with at most `longest` characters of their texts.

        Some hundred at a time. Nothing is read of a confidential letter, or of a notice that one
        waits, but which of its deliveries are open.
        """
        these: dict[str, Any] = {"ids": list(ids), "longest": longest}
        with self._database.read_one() as connection:
            letters = connection.execute(_LETTERS, these).mappings().all()
        with self._database.read_one() as connection:
            decided = {row.message_id: row for row in connection.execute(_DECIDED, these)}
        with self._database.read_one() as connection:
            deliveries = connection.execute(_DELIVERED, these).all()
        with self._database.read_one() as connection:
            words = read_words(connection, ids)
        with self._database.read_one() as connection:
            received = read_acknowledged(connection, ids)
        files, states = self._files(these), _states(deliveries)
        return Indexed(
            letters={
                row["id"]: IndexedLetter(
                    **{name: row[name] for name in _SHOWN},
                    route=decided[row["id"]].route,
                    recipients=decided[row["id"]].recipients,
                    direct=decided[row["id"]].direct,
                    file_names=files[row["id"]],
                    deliveries=states[row["id"]],
                    deadline=facts_of(row, decided[row["id"]], words.get(row["id"], ())),
                    acknowledged_at=received.get(row["id"], ("", None))[1],
                    decision=decided[row["id"]].number,
                    decided_at=decided[row["id"]].decided_at,
                )
                for row in letters
                if row["id"] in decided  # retention may have deleted it meanwhile
            },
            open=_open(deliveries),
        )

    def _files(self, these: Mapping[str, Any]) -> Mapping[UUID, list[str]]:
        found: defaultdict[UUID, list[str]] = defaultdict(list)
        with self._database.read_one() as connection:
            for key, original, shown in connection.execute(_FILES, these):
                found[key] += dict.fromkeys(name for name in (original, shown) if name)
        return found


def _step(row: Any) -> Step:
    number, letter, *key = row
    return Step(
        place=RowPlace(number=number, key=" ".join(str(each) for each in (letter, *key))),
        letter=letter,
    )


def _states(deliveries: Sequence[Any]) -> Mapping[UUID, Mapping[str, DeliveryState]]:
    found: defaultdict[UUID, dict[str, DeliveryState]] = defaultdict(dict)
    for row in deliveries:  # the newest generation last
        found[row.message_id][row.destination] = DeliveryState(row.state)
    return found


def _open(deliveries: Sequence[Any]) -> Mapping[UUID, Sequence[OpenDelivery]]:
    found: defaultdict[UUID, list[OpenDelivery]] = defaultdict(list)
    for row in deliveries:
        if row.state in OPEN:
            found[row.message_id].append(
                OpenDelivery(number=row.number, state=DeliveryState(row.state))
            )
    return found
