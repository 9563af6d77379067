"""Letters that arrive: which are known already, and what is stored or skipped."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import BindParameter, ColumnElement, bindparam, delete, insert, update
from sqlalchemy import select as sql_select
from sqlmodel import Session, col, select

from daemon.core.bookkeeping import RoutingVersion, SkippedLetter, Tombstone
from daemon.core.model import (
    DecisionRow,
    DeliveryValues,
    LetterRef,
    Message,
    MessageKind,
    SightingState,
    Thread,
)
from daemon.core.ports import Channel
from daemon.store.claims import POISON_IN_FLIGHT
from daemon.store.database import Database, table_of
from daemon.store.pages import ROWS, pieces, row_number
from daemon.store.publications import note_active
from daemon.store.removals import Has, not_known, taken_away
from daemon.store.stored_letter import Added, StoredLetter, insert_letters

_T = TypeVar("_T")
_NO_LETTER = UUID(int=0)
_NOTHING_CLAIMED: Mapping[UUID, DeliveryValues] = {}
_MANY = 500  # SQLite takes a limited number of values in one statement
# Statements that every letter needs are built once: to build one costs more than to run it.
_THREADS: BindParameter[Any] = bindparam("threads", expanding=True)
_EARLIER = (
    sql_select(Message, DecisionRow, col(Thread.key))
    .join(Thread, col(Thread.message_id) == Message.id)
    .join(DecisionRow, col(DecisionRow.message_id) == Message.id)
    .where(
        col(Thread.key).in_(_THREADS),
        col(Message.id) != bindparam("but"),
        col(Message.fetched_at) <= bindparam("at"),
    )
    .order_by(col(Message.published_at).desc(), col(Message.id), col(DecisionRow.number).desc())
    .limit(1)
)
_ANY_OF_THREADS = (
    sql_select(col(Thread.message_id))
    .where(col(Thread.key).in_(_THREADS), col(Thread.message_id) != bindparam("but"))
    .limit(1)
)
"""Most letters are the first of their case; this query finds that at less cost."""
_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
_STORED = sql_select(col(Message.id)).where(col(Message.id).in_(_IDS))
_DELETED = sql_select(col(Tombstone.message_id)).where(col(Tombstone.message_id).in_(_IDS))
_NUMBERS: BindParameter[Any] = bindparam("numbers", expanding=True)
_STORED_BY_NUMBER = sql_select(col(Message.altinn2_id), col(Message.id)).where(
    col(Message.altinn2_id).in_(_NUMBERS)
)
_DELETED_BY_NUMBER = sql_select(col(Tombstone.altinn2_id), col(Tombstone.message_id)).where(
    col(Tombstone.altinn2_id).in_(_NUMBERS)
)
_FORGET_SKIPPED = delete(table_of(SkippedLetter)).where(
    table_of(SkippedLetter).c.message_id.in_(_IDS)
)


class Letters:
    """Letters that arrive, and letters that are skipped."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def already_handled(self, refs: Iterable[LetterRef], version: str | None) -> set[UUID]:
        """Return those of `refs`, by message id, that need no fetching.

        They are stored, gone, stored under another id, or confidential and only listed. With the
        `version` of a routing table, those for which another table appointed no recipient are left
        out.
        """
        found: set[UUID] = set()
        left_alone = col(SkippedLetter.state) == SightingState.WAITING
        if version is not None:
            left_alone &= col(SkippedLetter.routing_version) == version
        no_more = col(SkippedLetter.state).in_((SightingState.GONE, SightingState.DUPLICATE))
        for some in _chunks({ref.message_id for ref in refs}):
            with self._database.read() as session:
                found.update(_were_here(session, some))
                seen = select(SkippedLetter.message_id).where(
                    col(SkippedLetter.message_id).in_(some), left_alone | no_more
                )
                found.update(session.exec(seen))
        return found

    def add(
        self,
        letters: Sequence[StoredLetter],
        claimed: Mapping[UUID, DeliveryValues] = _NOTHING_CLAIMED,
        has: Has = not_known,
    ) -> Added:
        """Store the letters, with all that belongs to them, in one transaction.

        The deliveries in `claimed`, by their id, are stored as they are there, unless a poison
        message is in flight, which must be alone. Letters that are, or were, stored already stay
        as they are. A letter that is stored under another id, by its id in Altinn 2, is not
        stored: two mailboxes may bring it at once. Nor is one whose bytes were being removed; `has`
        says whether bytes are there.
        """
        with self._database.write() as session:
            new = {letter.message.id: letter for letter in letters}
            for some in _chunks(list(new)):
                for known in _were_here(session, some):
                    del new[known]
            duplicates = _duplicates(session, list(new.values()))
            for some in _chunks({letter.message.id for letter in letters} - set(duplicates)):
                session.connection().execute(_FORGET_SKIPPED, {"ids": some})
            kept = [letter for key, letter in new.items() if key not in duplicates]
            lacking = taken_away(session, (each for one in kept for each in one.hashes), has)
            if lacking:
                kept = [letter for letter in kept if lacking.isdisjoint(letter.hashes)]
            if claimed and session.connection().execute(POISON_IN_FLIGHT).first():
                claimed = _NOTHING_CLAIMED
            insert_letters(session, kept, claimed)
        new_ids = {delivery.id for letter in kept for delivery in letter.deliveries}
        return Added(
            new=kept,
            duplicates=duplicates,
            lacking=_referring(letters, lacking),
            claimed={key: claimed[key] for key in claimed.keys() & new_ids},
        )

    def record_skipped(
        self,
        ref: LetterRef,
        state: SightingState,
        now: datetime,
        error: str | None = None,
        routing_version: str | None = None,
    ) -> None:
        """Record a letter that was listed and is not stored, and why.

        `routing_version` is the table that appointed no recipient for it.
        """
        with self._database.write() as session:
            _record(session, ref, state, now, error, routing_version)

    def record_waiting(self, refs: Sequence[LetterRef], now: datetime) -> int:
        """Record confidential letters that are only listed. Returns how many are new."""
        known = self.already_handled(refs, None)
        new = [ref for ref in refs if ref.message_id not in known]
        if new:
            with self._database.write() as session:
                for ref in new:
                    _record(session, ref, SightingState.WAITING, now, None, None)
        return len(new)

    def see_older(self, refs: Sequence[LetterRef], now: datetime) -> None:
        """Record letters from before the first poll that have not been examined yet.

        Known ones stay as they are.
        """
        rows = [_sighting(ref, SightingState.OLDER, now).model_dump() for ref in refs]
        with self._database.write() as session:
            for some in _chunks(rows):
                ids = [row["message_id"] for row in some]
                known = set(
                    session.exec(
                        select(SkippedLetter.message_id).where(
                            col(SkippedLetter.message_id).in_(ids)
                        )
                    )
                )
                if new := [row for row in some if row["message_id"] not in known]:
                    session.connection().execute(insert(table_of(SkippedLetter)), new)

    def older_unseen(self, mailbox: str, channel: Channel) -> list[LetterRef]:
        """Return the channel's letters from before the first poll that are not examined yet."""
        wanted = select(SkippedLetter).where(
            SkippedLetter.state == SightingState.OLDER,
            *_in_channel(SkippedLetter, mailbox, channel),
            SkippedLetter.attempts == 0,
        )
        return [each.ref for each in self._database.rows(wanted)]

    def looked_at(self, refs: Sequence[LetterRef]) -> None:
        """Record that these letters from before the first poll are examined, and left alone."""
        with self._database.write() as session:
            for some in _chunks(ref.message_id for ref in refs):
                these = (
                    col(SkippedLetter.message_id).in_(some),
                    col(SkippedLetter.state) == SightingState.OLDER,
                )
                session.execute(update(SkippedLetter).where(*these).values(attempts=1))

    def failing(self, mailbox: str) -> list[LetterRef]:
        """Return letters of the mailbox that could not be fetched yet.

        The cost depends on what fails, not on what is only listed.
        """
        found: list[LetterRef] = []
        wanted = select(SkippedLetter).where(SkippedLetter.mailbox == mailbox)
        state = col(SkippedLetter.state) == SightingState.FAILING
        for piece in pieces(self._database, (row_number(SkippedLetter),), state, size=ROWS):
            found += [sighting.ref for sighting in self._database.rows(wanted.where(piece))]
        return found

    def stored_of(self, ids: Iterable[UUID]) -> set[UUID]:
        """Return those of the message ids that are stored, or were until retention deleted them."""
        found: set[UUID] = set()
        for some in _chunks(set(ids)):
            with self._database.read() as session:
                found.update(_were_here(session, some))
        return found

    def with_altinn2_id(self, altinn2_id: int, exclude: UUID) -> UUID | None:
        """Return the letter that had this id in Altinn 2 and is, or was, stored; else None.

        Never the letter `exclude`.
        """
        wanted = (
            select(Message.id)
            .where(Message.altinn2_id == altinn2_id, Message.id != exclude)
            .limit(1)
        )
        gone = (
            select(Tombstone.message_id)
            .where(Tombstone.altinn2_id == altinn2_id, Tombstone.message_id != exclude)
            .limit(1)
        )
        with self._database.read() as session:
            return session.exec(wanted).first() or session.exec(gone).first()

    def stored_in(self, mailbox: str, channel: Channel) -> set[str]:
        """Return the mailbox's ids of all letters of a channel that are, or were, stored."""
        here, deleted = self.here_and_deleted(mailbox, channel)
        return here | deleted

    def here_and_deleted(self, mailbox: str, channel: Channel) -> tuple[set[str], set[str]]:
        """Return the mailbox's ids of a channel's stored letters, and of those that were stored."""
        found: list[set[str]] = []
        for table, key in ((Message, Message.id), (Tombstone, Tombstone.message_id)):
            ids: set[str] = set()
            here = _in_channel(table, mailbox, channel)
            wanted = select(table.external_id).where(*here, table.kind == MessageKind.LETTER)
            for piece in pieces(self._database, (col(key),), size=ROWS):
                ids.update(self._database.rows(wanted.where(piece)))
            found.append(ids)
        return found[0], found[1]

    def states_of(self, ids: Iterable[UUID]) -> dict[UUID, SightingState]:
        """Return why those of the letters that were listed and skipped are not stored."""
        found: dict[UUID, SightingState] = {}
        for some in _chunks(set(ids)):
            wanted = select(SkippedLetter.message_id, SkippedLetter.state).where(
                col(SkippedLetter.message_id).in_(some)
            )
            with self._database.read() as session:
                found |= {key: SightingState(state) for key, state in session.exec(wanted)}
        return found

    def sighted_in(self, mailbox: str, channel: Channel) -> dict[str, SightingState]:
        """Return the mailbox's ids of a channel's skipped letters, and why each was skipped."""
        here = _in_channel(SkippedLetter, mailbox, channel)
        found: dict[str, SightingState] = {}
        for piece in pieces(self._database, (col(SkippedLetter.message_id),), size=ROWS):
            with self._database.read() as session:
                rows = session.exec(
                    select(SkippedLetter.external_id, SkippedLetter.state).where(*here, piece)
                )
                found |= {key: SightingState(state) for key, state in rows}
        return found

    def earlier(
        self, threads: Sequence[str], at: datetime, exclude: UUID | None = None
    ) -> tuple[Message, DecisionRow, str] | None:
        """Return the newest letter that was stored `at` that time and shares one of the threads.

        Returns it with its newest decision and the thread; never the letter `exclude`.
        """
        if not threads:
            return None
        values = {"threads": threads, "but": exclude or _NO_LETTER, "at": at}
        with self._database.read_one() as connection:
            if connection.execute(_ANY_OF_THREADS, values).first() is None:
                return None
        with self._database.read() as session:
            found = session.execute(_EARLIER, values).first()
        return (found[0], found[1], found[2]) if found else None

    def note_table(self, version: str, text: str, now: datetime) -> None:
        """Store a routing table that is active from now on, unless it was active already.

        The history of the table gets it too, unless it is known who published it.
        """
        with self._database.write() as session:
            current = session.exec(
                select(RoutingVersion).order_by(col(RoutingVersion.in_force_since).desc()).limit(1)
            ).first()
            if current is None or current.version != version:
                session.merge(RoutingVersion(version=version, text=text, in_force_since=now))
                note_active(session, version, current.version if current else None, now)


def _in_channel(
    table: type[Message | Tombstone | SkippedLetter], mailbox: str, channel: Channel
) -> Sequence[ColumnElement[bool]]:
    return (
        col(table.mailbox) == mailbox,
        col(table.party) == channel.party,
        col(table.resource) == channel.resource,
    )


def _were_here(session: Session, ids: Sequence[UUID]) -> set[UUID]:
    """Return those of the ids under which a letter is stored, or was until retention deleted it."""
    connection, values = session.connection(), {"ids": ids}
    return {
        *connection.execute(_STORED, values).scalars(),
        *connection.execute(_DELETED, values).scalars(),
    }


def _duplicates(session: Session, letters: Sequence[StoredLetter]) -> dict[UUID, UUID]:
    """Return those of the letters that are, or were, stored under another id, and that id.

    Of letters that are among them twice, the later ones are duplicates of the first.
    """
    numbered = {
        letter.message.id: letter.message.altinn2_id
        for letter in letters
        if letter.message.altinn2_id is not None
    }
    here: dict[int | None, UUID] = {}
    for some in _chunks(set(numbered.values())):
        for rows in (_DELETED_BY_NUMBER, _STORED_BY_NUMBER):
            found = session.connection().execute(rows, {"numbers": some})
            here.update((number, key) for number, key in found)
    first = {key: here.setdefault(number, key) for key, number in numbered.items()}
    return {key: found for key, found in first.items() if found != key}


def _record(
    session: Session,
    ref: LetterRef,
    state: SightingState,
    now: datetime,
    error: str | None,
    version: str | None,
) -> None:
    sighting = session.get(SkippedLetter, ref.message_id)
    if sighting is None:
        sighting = _sighting(ref, state, now)
    sighting.state = state
    sighting.failing_since = (
        (sighting.failing_since or now) if state is SightingState.FAILING else None
    )
    sighting.last_seen_at = now
    sighting.last_error = error
    sighting.routing_version = version
    sighting.attempts += 1
    session.add(sighting)


def _sighting(ref: LetterRef, state: SightingState, now: datetime) -> SkippedLetter:
    return SkippedLetter(
        message_id=ref.message_id,
        mailbox=ref.mailbox,
        party=ref.party,
        service=ref.service,
        resource=ref.resource,
        external_id=ref.external_id,
        state=state,
        first_seen_at=now,
        last_seen_at=now,
    )


def _referring(letters: Sequence[StoredLetter], hashes: Collection[str]) -> set[UUID]:
    """Return the letters that refer to one of these bytes."""
    return {
        each.message.id for each in letters if hashes and not set(hashes).isdisjoint(each.hashes)
    }


def _chunks(ids: Iterable[_T]) -> Iterator[list[_T]]:
    rest = iter(ids)
    while some := list(islice(rest, _MANY)):
        yield some
