"""Lists that people ask for: letters and deliveries, chosen by what is known of them.

Everything is read in pieces (`daemon.store.pages`), however many letters are asked for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, exists, func, or_
from sqlalchemy import select as sql_select
from sqlmodel import col, select

from daemon.core.folding import fold, fold_title, fold_whole, is_like
from daemon.core.model import DecisionRow, Delivery, DeliveryState, Message
from daemon.store.database import Database
from daemon.store.pages import LETTERS, ROWS, pieces, row_number

_SEARCHED = 500
"""Letters in a piece that is searched: what is asked for may lie behind a long text in its row."""
_SHORT, _GROUPS = 8, (8, 13, 18, 23, 36)
"""Characters of an id that people see, and where longer ones end: before a hyphen."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What letters must have; what is None or empty does not matter.

    `title` and `sender` are part of the text, compared as rules compare it: case, accents and
    invisible characters do not count. `sender` may be an organisation number, or have `*` for
    anything. `since` and `until` are about the arrival. `state` and `recipient` are those of one of
    the deliveries and of the newest decision.
    """

    service: str = ""
    party: str = ""
    sender: str = ""
    title: str = ""
    recipient: str = ""
    state: DeliveryState | None = None
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return what the database can decide."""
        found: list[ColumnElement[bool]] = []
        if self.service:
            found.append(col(Message.service) == self.service)
        if self.party:
            found.append(col(Message.party) == self.party)
        if self.state:
            of_letter = col(Delivery.message_id) == Message.id
            found.append(exists().where(of_letter, col(Delivery.state) == self.state))
        return found

    def fits(self, row: Row[Any]) -> bool:
        """Whether the rest holds as well."""
        return (
            (not self.title or fold(self.title) in fold_title(row.title))
            and (not self.sender or self._fits_sender(row))
            and (not self.recipient or self.recipient in row.recipients)
        )

    def _fits_sender(self, row: Row[Any]) -> bool:
        wanted = fold_whole(self.sender)
        number = wanted.replace(" ", "")
        if number.isdigit():
            return bool(number == row.sender_org)
        name = fold_whole(row.sender_name)
        return is_like(name, wanted) if "*" in wanted else wanted in name


@dataclass(frozen=True, kw_only=True)
class Listed:
    """What a list shows of a letter, of its newest decision, and of its deliveries.

    `deliveries` has the states by destination, of those that are not withdrawn.
    """

    id: UUID
    fetched_at: datetime
    party: str
    service: str
    sender_org: str | None
    sender_name: str
    title: str
    due_at: datetime | None
    route: str
    recipients: list[str]
    direct: list[str]
    deliveries: dict[str, DeliveryState]


_OF_LETTER = (
    "id",
    "fetched_at",
    "party",
    "service",
    "sender_org",
    "sender_name",
    "title",
    "due_at",
)
_OF_DECISION = ("route", "recipients", "direct")


class Search:
    """Finds letters and deliveries. Read-only; may be used from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def letters(self, wanted: Wanted, limit: int) -> Iterator[Listed]:
        """Yield at most `limit` letters, the newest first.

        No transaction is open between two of them.
        """
        found = islice(self._found(wanted), limit)
        while some := list(islice(found, LETTERS)):
            yield from self._listed(some)

    def _found(self, wanted: Wanted) -> Iterator[UUID]:
        order = (col(Message.fetched_at), row_number(Message))
        newest_first = [each.desc() for each in order]
        asked = _columns(wanted).where(*wanted.conditions()).order_by(*newest_first)
        for piece in pieces(
            self._database,
            order,
            since=wanted.since,
            until=wanted.until,
            size=_SEARCHED,
            newest_first=True,
        ):
            with self._database.read_one() as connection:
                rows = connection.execute(asked.where(piece)).all()
            yield from (row.id for row in rows if wanted.fits(row))

    def _listed(self, keys: Sequence[UUID]) -> list[Listed]:
        columns = [getattr(Message, name) for name in _OF_LETTER]
        columns += [getattr(DecisionRow, name) for name in _OF_DECISION]
        wanted = (
            sql_select(*columns)
            .join(DecisionRow, newest_decision())
            .where(col(Message.id).in_(keys))
        )
        with self._database.read_one() as connection:
            # public in spite of its name
            rows = {row.id: row._mapping for row in connection.execute(wanted)}  # noqa: SLF001
        states = self._states(keys)
        return [
            Listed(**rows[key], deliveries=states[key])
            for key in keys
            if key in rows  # retention may have deleted it meanwhile
        ]

    def _states(self, keys: Sequence[UUID]) -> dict[UUID, dict[str, DeliveryState]]:
        wanted = (
            sql_select(col(Delivery.message_id), col(Delivery.destination), col(Delivery.state))
            .where(
                col(Delivery.message_id).in_(keys),
                col(Delivery.state) != DeliveryState.WITHDRAWN,
            )
            .order_by(col(Delivery.created_at), col(Delivery.id))
        )
        found: defaultdict[UUID, dict[str, DeliveryState]] = defaultdict(dict)
        with self._database.read_one() as connection:
            for key, destination, state in connection.execute(wanted):
                found[key][destination] = DeliveryState(state)
        return found

    def deliveries(
        self, *, state: DeliveryState | None, destination: str | None, limit: int
    ) -> Iterator[Delivery]:
        """Yield at most `limit` deliveries, in the order in which they were added.

        No transaction is open between two of them.
        """
        found = islice(self._delivery_ids(state, destination), limit)
        while some := list(islice(found, LETTERS)):
            with self._database.read() as session:
                rows = session.exec(select(Delivery).where(col(Delivery.id).in_(some))).all()
            by_id = {each.id: each for each in rows}
            yield from (by_id[key] for key in some if key in by_id)

    def _delivery_ids(self, state: DeliveryState | None, destination: str | None) -> Iterator[UUID]:
        order = (row_number(Delivery),)
        asked = sql_select(col(Delivery.id)).order_by(*order)
        if state:
            asked = asked.where(col(Delivery.state) == state)
        if destination:
            asked = asked.where(col(Delivery.destination) == destination)
        for piece in pieces(self._database, order, size=ROWS, kind=Delivery):
            with self._database.read_one() as connection:
                found = connection.execute(asked.where(piece)).scalars().all()
            yield from found

    def titles(self, keys: Sequence[UUID]) -> dict[UUID, str]:
        """Return the titles of these letters. No transaction is open between two batches."""
        found: dict[UUID, str] = {}
        for start in range(0, len(keys), LETTERS):
            some = keys[start : start + LETTERS]
            asked = sql_select(col(Message.id), col(Message.title)).where(col(Message.id).in_(some))
            with self._database.read_one() as connection:
                found.update((key, title) for key, title in connection.execute(asked))
        return found

    def has_destination(self, name: str) -> bool:
        """Whether a delivery to a destination of this name is on record."""
        wanted = sql_select(col(Delivery.id)).where(
            col(Delivery.state).in_(list(DeliveryState)), col(Delivery.destination) == name
        )
        with self._database.read_one() as connection:
            return connection.execute(wanted.limit(1)).first() is not None

    def short_ids(self, kind: type[Message | Delivery], keys: Sequence[UUID]) -> dict[UUID, str]:
        """Return the first eight characters of each id, or more where several begin alike."""
        found: dict[UUID, str] = {}
        for start in range(0, len(keys), LETTERS):
            some = keys[start : start + LETTERS]
            near = sql_select(col(kind.id)).where(
                or_(*(_beginning_like(kind, key) for key in some))
            )
            with self._database.read_one() as connection:
                others = sorted(str(key) for key in connection.execute(near).scalars())
            found |= {key: _shortest(str(key), others) for key in some}
        return found


def _columns(wanted: Wanted) -> Any:
    """Return the query for what `Wanted.fits` compares, with long columns only if needed."""
    columns = [col(Message.id), col(Message.title)]
    if wanted.sender:
        columns += [col(Message.sender_org), col(Message.sender_name)]
    if not wanted.recipient:
        return sql_select(*columns)
    asked = sql_select(*columns, col(DecisionRow.recipients))
    return asked.join(DecisionRow, newest_decision())


def newest_decision() -> ColumnElement[bool]:
    """Return the condition that joins a letter with its newest decision."""
    newest = (
        select(func.max(DecisionRow.number))
        .where(DecisionRow.message_id == Message.id)
        .correlate(Message)
        .scalar_subquery()
    )
    return (col(DecisionRow.message_id) == Message.id) & (col(DecisionRow.number) == newest)


def _beginning_like(kind: type[Message | Delivery], key: UUID) -> ColumnElement[bool]:
    digits = key.hex[:_SHORT]
    return col(kind.id).between(UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f")))


def _shortest(name: str, others: Sequence[str]) -> str:
    for length in _GROUPS:
        if not any(other != name and other.startswith(name[:length]) for other in others):
            break
    return name[:length]
