"""The log of events: who did what and when, or was refused.

It is only added to, and loses its oldest events when they have been kept for long enough; an event
says so. Each event has the hash of the one before. So a row that was changed or removed by hand is
noticed; somebody who may write the database and recalculates all later hashes is not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any
from uuid import UUID

from sqlmodel import Session, col, delete, select

from daemon.core.accounts import Event
from daemon.store.database import Database, last_number

_PIECE = 300
"""Events that are read at a time: about 20 ms."""
REMOVED = "events-removed"
"""The kind of an event that says up to which number earlier ones were removed, and its hash."""


class Events:
    """What was done on the page and by commands about it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        now: datetime,
        *,
        kind: str,
        user: str,
        address: str = "",
        message_id: UUID | None = None,
        about: str = "",
        done: bool = True,
        details: Mapping[str, Any] | None = None,
    ) -> Event:
        """Record something that was done, or with `done=False` refused.

        `address` is empty for a command on this machine. `details`, JSON, must not have titles,
        contents or secrets. Durable when it returns. Raises NotStorable.
        """
        event = Event(
            at=now,
            kind=kind,
            user=user,
            address=address,
            message_id=message_id,
            about=about,
            done=done,
            details=dict(details or {}),
            previous="",
            hash="",
        )
        with self._database.write() as session:
            append(session, event)
        return event

    def page(
        self,
        *,
        before: int | None = None,
        limit: int = 100,
        kind: str | None = None,
        kinds: Collection[str] | None = None,
        user: str | None = None,
        message_id: UUID | None = None,
        done: bool | None = None,
    ) -> Sequence[Event]:
        """Return the newest events, at most `limit`, with smaller numbers than `before`.

        With `kinds`, only those of one of them.
        """
        conditions = [
            col(column) == value
            for column, value in (
                (Event.kind, kind),
                (Event.user, user),
                (Event.message_id, message_id),
                (Event.done, done),
            )
            if value is not None
        ]
        if kinds is not None:
            conditions.append(col(Event.kind).in_(sorted(kinds)))
        if before is not None:
            conditions.append(col(Event.number) < before)
        newest = select(Event).where(*conditions).order_by(col(Event.number).desc())
        return self._database.rows(newest.limit(limit))

    def forget(self, before: datetime, now: datetime) -> int:
        """Remove the events from before that time, some at a time; return how many.

        What is left begins with the event that is the first in the log to be newer. Each removal is
        an event itself, so that none that is missing for another reason looks like it.
        """
        removed = 0
        while some := self._forget_some(before, now):
            removed += some
        return removed

    def _forget_some(self, before: datetime, now: datetime) -> int:
        oldest = select(Event).order_by(col(Event.number)).limit(_PIECE)
        with self._database.write() as session:
            old = list(takewhile(lambda each: each.at < before, session.exec(oldest)))
            if not old or all(each.kind == REMOVED for each in old):
                return 0
            details = {"count": len(old), "last": old[-1].number, "hash": old[-1].hash}
            note = Event(
                at=now,
                kind=REMOVED,
                user="service",
                address="",
                about="",
                done=True,
                details=details,
                previous="",
                hash="",
            )
            append(session, note)
            session.exec(delete(Event).where(col(Event.number) <= old[-1].number))
        return len(old)

    def verify(self) -> int | None:
        """Return the number of the first event that is missing or was changed; None if none is.

        Those that `forget` removed are not missing. Reads in pieces, so that commits need not wait
        for it. What is added meanwhile may be left out.
        """
        with self._database.read() as session:
            last = last_number(session, Event)
        begin = number, newest_hash = self._begin()
        noted = {(0, "")}
        while rows := self._after(number):
            for each in rows:
                if each.number != number + 1:
                    return number + 1
                if each.previous != newest_hash or each.hash != _hash_of(each):
                    return each.number
                number, newest_hash = each.number, each.hash
                if each.kind == REMOVED:
                    noted.add((each.details.get("last", 0), str(each.details.get("hash"))))
        if begin not in noted:
            return max(last for last, _ in noted if last <= begin[0]) + 1
        return number + 1 if number < last else None

    def _begin(self) -> tuple[int, str]:
        """Return number and hash of the event before the first that is here, as that says them."""
        first = self._database.rows(select(Event).order_by(col(Event.number)).limit(1))
        return ((first[0].number or 1) - 1, first[0].previous) if first else (0, "")

    def _after(self, number: int) -> Sequence[Event]:
        later = select(Event).where(col(Event.number) > number).order_by(col(Event.number))
        return self._database.rows(later.limit(_PIECE))


def append(session: Session, event: Event) -> None:
    """Number the event, chain it to the one before, and add it in the caller's transaction."""
    newest = select(Event.hash).order_by(col(Event.number).desc()).limit(1)
    event.number = last_number(session, Event) + 1
    event.details = json.loads(json.dumps(event.details))  # as it will be read
    event.previous = session.exec(newest).first() or ""
    event.hash = _hash_of(event)
    session.add(event)
    session.flush()


def _hash_of(event: Event) -> str:
    facts = [
        event.previous,
        event.number,
        event.at.astimezone(UTC).isoformat(timespec="microseconds"),
        event.user,
        event.address,
        event.kind,
        str(event.message_id) if event.message_id else None,
        event.about,
        event.done,
        event.details,
    ]
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
