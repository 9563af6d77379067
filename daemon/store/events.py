"""The log of events: who did what and when, or was refused. It is only ever added to.

Each event has the hash of the one before. So a row that was changed or removed by hand is noticed;
somebody who may write the database and calculates all later hashes anew is not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlmodel import Session, col, select

from daemon.core.accounts import Event
from daemon.store.database import Database, last_number

_PIECE = 300
"""Events that are read at a time: about 20 ms."""


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

    def verify(self) -> int | None:
        """Return the number of the first event that is missing or was changed; None if none is.

        Reads in pieces, so that commits do not wait for it. What is added meanwhile may be left
        out.
        """
        with self._database.read() as session:
            last = last_number(session, Event)
        number, newest_hash = 0, ""
        while rows := self._after(number):
            for each in rows:
                if each.number != number + 1:
                    return number + 1
                if each.previous != newest_hash or each.hash != _hash_of(each):
                    return each.number
                number, newest_hash = each.number, each.hash
        return number + 1 if number < last else None

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
