"""Queries for people and monitors: counts, lists and single letters. Read-only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from sqlalchemy import bindparam, case, func, text
from sqlalchemy import select as sql_select
from sqlmodel import col, select

from daemon.core.bookkeeping import (
    Bookmark,
    RoutingVersion,
    SkippedLetter,
    Tombstone,
)
from daemon.core.errors import NotFound
from daemon.core.model import (
    NOT_HAD,
    OPEN_STATES,
    Attachment,
    AttemptRow,
    DecisionRow,
    Delivery,
    DeliveryState,
    Mark,
    Message,
    SightingState,
)
from daemon.store.database import Database
from daemon.store.names import begins_with, is_text, only, shown
from daemon.store.pages import COUNTED, LETTERS, ROWS, pieces, row_number
from daemon.store.row_counts import read_row_counts, wrong_row_counts

Row = TypeVar("Row")

_BY_DUE_TIME = (col(Delivery.due_at), row_number(Delivery))
_UNDONE = (DeliveryState.PENDING, DeliveryState.CLAIMED, DeliveryState.HELD, DeliveryState.DEAD)


@dataclass(frozen=True, kw_only=True)
class Counts:
    """The number of letters, deliveries and skipped letters."""

    messages: int
    deliveries: dict[DeliveryState, int]
    sightings: dict[SightingState, int]
    oldest_undelivered_at: datetime | None
    last_message_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Incomplete:
    """A letter with attachments that did not come as sent and are not accepted as missing."""

    message_id: UUID
    fetched_at: datetime
    missing: int
    may_come: bool
    """Whether one of them may still come from the mailbox."""


class Queries:
    """Queries for people and monitors."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def counts(self) -> Counts:
        """Count letters, deliveries by state, and skipped letters.

        The cost grows with what is skipped or waits, never with what is stored. What waits and what
        is skipped is read in pieces, so changes meanwhile may or may not count.
        """
        undelivered = self._oldest(_UNDONE).values()
        with self._database.read() as session:
            last = session.exec(select(func.max(Message.fetched_at))).one()
            counts = read_row_counts(session.connection())
        return Counts(
            messages=counts.messages,
            deliveries=counts.deliveries,
            sightings=self._count_sightings(),
            oldest_undelivered_at=min(undelivered, default=None),
            last_message_at=last,
        )

    def wrong_counts(self) -> list[str]:
        """Count all letters and deliveries, and return which numbers of `counts` are wrong.

        In words; usually none, and none if rows come or go meanwhile.
        """
        return wrong_row_counts(self._database)

    def _count_sightings(self) -> dict[SightingState, int]:
        found = dict.fromkeys(SightingState, 0)
        for piece in pieces(self._database, (col(SkippedLetter.message_id),), size=ROWS):
            counted = (
                sql_select(col(SkippedLetter.state), func.count())
                .where(piece)
                .group_by(col(SkippedLetter.state))
            )
            with self._database.read_one() as connection:
                for state, count in connection.execute(counted):
                    found[SightingState(state)] += count
        return found

    def _oldest(self, states: Sequence[DeliveryState]) -> dict[str, datetime]:
        """Return when the oldest delivery in one of the states was made, by destination."""
        found: dict[str, datetime] = {}
        oldest = sql_select(col(Delivery.destination), func.min(col(Delivery.created_at))).group_by(
            col(Delivery.destination)
        )
        for state in states:
            for piece in pieces(
                self._database, _BY_DUE_TIME, col(Delivery.state) == state, size=ROWS
            ):
                with self._database.read_one() as connection:
                    for destination, made_at in connection.execute(oldest.where(piece)):
                        found[destination] = min(made_at, found.get(destination, made_at))
        return found

    def unfinished(self) -> dict[DeliveryState, int]:
        """Count the deliveries that wait or are dead, by state; states without any are left out."""
        wanted = (
            select(Delivery.state, func.count())
            .where(col(Delivery.state).in_(_UNDONE))
            .group_by(col(Delivery.state))
        )
        with self._database.read() as session:
            return {DeliveryState(state): count for state, count in session.exec(wanted)}

    def queues(self) -> dict[tuple[str, DeliveryState], int]:
        """Count the deliveries that wait or are dead, by destination and state.

        Delivered ones cost nothing. Changes meanwhile may or may not count.
        """
        found: Counter[tuple[str, DeliveryState]] = Counter()
        by_destination = (col(Delivery.destination), col(Delivery.due_at), row_number(Delivery))
        counted = sql_select(col(Delivery.destination), func.count()).group_by(
            col(Delivery.destination)
        )
        for state in _UNDONE:
            equal = col(Delivery.state) == state
            for piece in pieces(self._database, by_destination, equal, size=COUNTED):
                with self._database.read_one() as connection:
                    for destination, count in connection.execute(counted.where(piece)):
                        found[destination, state] += count
        return dict(found)

    def oldest_waiting(self) -> dict[str, datetime]:
        """Return when the oldest delivery that waits was made, by destination."""
        return self._oldest((DeliveryState.PENDING, DeliveryState.CLAIMED, DeliveryState.HELD))

    def rejected(self, since: datetime, limit: int) -> Sequence[Delivery]:
        """Return deliveries since then that their receivers rejected, the newest first."""
        is_rejected = col(Delivery.rejection) >= ""  # unlike IS NOT NULL, SQLite finds it by index
        return self._database.rows(
            select(Delivery)
            .where(is_rejected, col(Delivery.delivered_at) >= since)
            .order_by(col(Delivery.delivered_at).desc())
            .limit(limit)
        )

    def bookmarks(self) -> Sequence[Bookmark]:
        """Return the bookmarks of all channels."""
        order = (
            col(Bookmark.mailbox),
            col(Bookmark.party),
            col(Bookmark.service),
            col(Bookmark.resource),
        )
        found: list[Bookmark] = []
        for piece in pieces(self._database, order, size=ROWS):
            found += self._database.rows(select(Bookmark).where(piece).order_by(*order))
        return found

    def sightings(self, state: SightingState) -> Sequence[SkippedLetter]:
        """Return skipped letters in this state, the oldest first."""
        found: list[SkippedLetter] = []
        order, equal = (row_number(SkippedLetter),), col(SkippedLetter.state) == state
        for piece in pieces(self._database, order, equal, size=LETTERS):
            found += self._database.rows(select(SkippedLetter).where(piece))
        return sorted(found, key=lambda each: each.first_seen_at)

    def incomplete(
        self, since: datetime | None = None, limit: int | None = None
    ) -> list[Incomplete]:
        """Return letters with attachments that did not come as sent, the newest first.

        Only those that came since then. Complete letters cost nothing.
        """
        open_ones = func.sum(case((col(Attachment.state).in_(OPEN_STATES), 1), else_=0))
        wanted = (
            sql_select(col(Message.id), col(Message.fetched_at), func.count(), open_ones)
            .select_from(Attachment)
            .join(Message, col(Message.id) == Attachment.message_id)
            .where(text(NOT_HAD), col(Attachment.accepted_at).is_(None))
            .group_by(col(Message.id), col(Message.fetched_at))
            .order_by(col(Message.fetched_at).desc(), col(Message.id))
            .limit(limit)
        )
        if since:
            wanted = wanted.where(col(Message.fetched_at) >= since)
        with self._database.read_one() as connection:
            rows = connection.execute(wanted)
            return [
                Incomplete(message_id=key, fetched_at=at, missing=count, may_come=bool(some))
                for key, at, count, some in rows
            ]

    def decisions(self, message_id: UUID) -> Sequence[DecisionRow]:
        """Return every decision about the letter, in order."""
        return self._database.rows(
            select(DecisionRow)
            .where(DecisionRow.message_id == message_id)
            .order_by(col(DecisionRow.number))
        )

    def message(self, name: str) -> Message:
        """Return the letter with this id, a unique beginning of its id, or this id in its mailbox.

        Raises NotFound, which says so if retention deleted it.
        """
        found = self._database.rows(select(Message).where(begins_with(Message.id, name)).limit(2))
        known = {each.id for each in found}
        found = [*found, *(each for each in self._from_mailboxes(name) if each.id not in known)]
        if not found and (left := self.tombstone(name)):
            raise NotFound(
                f"The message {left.message_id} was deleted by retention on "
                f"{left.deleted_at:%Y-%m-%d}; `postmottak messages show {left.message_id}` shows "
                "the rule"
            )
        return only(found, f"message {shown(name)}", "`postmottak messages list`")

    def _from_mailboxes(self, name: str) -> Sequence[Message]:
        """Return letters with this id in their mailbox.

        Asked for each mailbox, or SQLite would look at every letter.
        """
        of_mailbox = select(Message).where(
            Message.mailbox == bindparam("mailbox"), is_text(Message.external_id, name)
        )
        found: list[Message] = []
        mailbox: str | None = ""
        with self._database.read() as session:
            while mailbox is not None:
                found += session.exec(of_mailbox, params={"mailbox": mailbox}).all()
                following = select(func.min(Message.mailbox)).where(col(Message.mailbox) > mailbox)
                mailbox = session.exec(following).one()
        return found

    def tombstone(self, name: str) -> Tombstone | None:
        """Return what is left of a letter whose metadata was deleted, by the same names.

        None if it is unknown or still stored. Raises OperatorError if there are several.
        """
        key = col(Tombstone.message_id)
        found = list(
            self._database.rows(
                select(Tombstone).where(begins_with(Tombstone.message_id, name)).limit(2)
            )
        )
        known = {each.message_id for each in found}
        wanted = select(Tombstone).where(is_text(Tombstone.external_id, name), key.not_in(known))
        for piece in pieces(self._database, (key,), size=ROWS):
            found += self._database.rows(wanted.where(piece))
        what = f"message {shown(name)}"
        return only(found, what, "`postmottak retention log`") if found else None

    def sighting(self, name: str) -> SkippedLetter | None:
        """Return the letter with one of the names that `message` takes, if it is only listed.

        None if there is none. Raises OperatorError if there are several.
        """
        found = self._database.rows(
            select(SkippedLetter)
            .where(
                begins_with(SkippedLetter.message_id, name)
                | is_text(SkippedLetter.external_id, name)
            )
            .limit(2)
        )
        what = f"letter {shown(name)}"
        return only(found, what, "`postmottak status --all`") if found else None

    def message_by_id(self, message_id: UUID) -> Message:
        """Return the letter. Raises NotFound."""
        found = self._database.find(Message, message_id)
        return only([found] if found else [], f"message {message_id}", "`postmottak messages list`")

    def delivery_by_id(self, delivery_id: UUID) -> Delivery:
        """Return the delivery. Raises NotFound."""
        found = self._database.find(Delivery, delivery_id)
        return only(
            [found] if found else [], f"delivery {delivery_id}", "`postmottak deliveries list`"
        )

    def attachments(self, message_id: UUID) -> Sequence[Attachment]:
        """Return the letter's attachments, in the sender's order."""
        return self._database.rows(
            select(Attachment)
            .where(Attachment.message_id == message_id)
            .order_by(col(Attachment.position))
        )

    def deliveries(
        self,
        *,
        message_id: UUID | None = None,
        state: DeliveryState | None = None,
        destination: str | None = None,
    ) -> Sequence[Delivery]:
        """Return deliveries, the oldest first.

        Without a letter, use `delivery_ids`, which reads in batches.
        """
        wanted = select(Delivery).order_by(col(Delivery.created_at), col(Delivery.id))
        if message_id:
            wanted = wanted.where(Delivery.message_id == message_id)
        if state:
            wanted = wanted.where(Delivery.state == state)
        if destination:
            wanted = wanted.where(Delivery.destination == destination)
        return self._database.rows(wanted)

    def last_errors(self, state: DeliveryState, destination: str, most: int) -> list[str]:
        """Return the last errors of the first deliveries in this state, by when they were due.

        Costs the same however many there are.
        """
        wanted = (
            sql_select(col(Delivery.last_error))
            .where(col(Delivery.state) == state, col(Delivery.destination) == destination)
            .order_by(*_BY_DUE_TIME)
            .limit(most)
        )
        with self._database.read_one() as connection:
            return [error or "" for (error,) in connection.execute(wanted)]

    def delivery_ids(
        self, states: Collection[DeliveryState], destination: str | None = None
    ) -> Iterator[list[tuple[UUID, str]]]:
        """Yield deliveries in these states with their destinations, at one destination or at all.

        They come some at a time, and no transaction is open between two batches.
        """
        for state in states:
            for piece in pieces(
                self._database, _BY_DUE_TIME, col(Delivery.state) == state, size=LETTERS
            ):
                wanted = select(Delivery.id, Delivery.destination).where(piece)
                if destination:
                    wanted = wanted.where(Delivery.destination == destination)
                with self._database.read() as session:
                    found = [(key, name) for key, name in session.exec(wanted)]
                yield found

    def delivery(self, name: str) -> Delivery:
        """Return the delivery with this id or unique beginning of an id. Raises NotFound."""
        found = self._database.rows(select(Delivery).where(begins_with(Delivery.id, name)).limit(2))
        return only(found, f"delivery {shown(name)}", "`postmottak deliveries list`")

    def attempts(self, delivery_id: UUID) -> Sequence[AttemptRow]:
        """Return every attempt of the delivery, in order."""
        return self._database.rows(
            select(AttemptRow)
            .where(AttemptRow.delivery_id == delivery_id)
            .order_by(col(AttemptRow.id))
        )

    def marks(self, message_id: UUID) -> Sequence[Mark]:
        """Return the letter's marks."""
        return self._database.rows(
            select(Mark).where(Mark.message_id == message_id).order_by(col(Mark.kind).desc())
        )

    def table_in_force(self) -> RoutingVersion | None:
        """Return the routing table that was activated last."""
        with self._database.read() as session:
            return session.exec(
                select(RoutingVersion).order_by(col(RoutingVersion.in_force_since).desc()).limit(1)
            ).first()

    def table(self, version: str) -> RoutingVersion | None:
        """Return a routing table that is or was active, or None."""
        return self._database.find(RoutingVersion, version)
