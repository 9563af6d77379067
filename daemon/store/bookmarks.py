"""How far each channel has been read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Boolean, Column, TextClause, bindparam, insert, text, update
from sqlalchemy import select as sql_select
from sqlmodel import col, select
from sqlmodel.sql.sqltypes import UTCDateTime

from daemon.core.bookkeeping import Bookmark
from daemon.core.ports import Channel
from daemon.store.database import Database, table_of

_PLACE = ("mailbox", "party", "service", "resource")
_BOOKMARKS = sql_select(Bookmark).where(
    col(Bookmark.mailbox) == bindparam("mailbox"),
    col(Bookmark.party).in_(bindparam("parties", expanding=True)),
)
_SAVE = update(table_of(Bookmark)).where(
    *(table_of(Bookmark).c[name] == bindparam(f"the_{name}") for name in _PLACE)
)
_KINDS = {Boolean: "boolean", UTCDateTime: "timestamptz"}


class Bookmarks:
    """Bookmarks of channels."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_channels(self, mailbox: str, channels: Sequence[Channel]) -> list[Bookmark]:
        """Return the bookmarks of the channels, in their order.

        A channel that was never read has one without a position.
        """
        parties = {"mailbox": mailbox, "parties": list({channel.party for channel in channels})}
        with self._database.read() as session:
            found = {
                (each.party, each.service, each.resource): each
                for each in session.execute(_BOOKMARKS, parties).scalars()
            }
        places = ((channel.party, channel.service, channel.resource) for channel in channels)
        return [found.get(place) or _new_bookmark(mailbox, *place) for place in places]

    def of_channel(self, mailbox: str, channel: Channel) -> Bookmark:
        """Return the bookmark of the channel; it has no position if the channel was never read."""
        return self.of_channels(mailbox, [channel])[0]

    def save(self, bookmarks: Sequence[Bookmark]) -> None:
        """Save the bookmarks, in one transaction."""
        if self._database.is_shared and bookmarks:
            with self._database.write() as session:
                session.execute(_save_all(), _in_columns(bookmarks))
            return
        with self._database.write() as session:
            for bookmark in bookmarks:
                row = bookmark.model_dump()
                place = {f"the_{name}": row[name] for name in _PLACE}
                # another thread may have set `compared_at`
                changes = {name: value for name, value in row.items() if name != "compared_at"}
                if not session.connection().execute(_SAVE, {**place, **changes}).rowcount:
                    session.connection().execute(insert(table_of(Bookmark)), row)

    def compared(self, mailbox: str, channel: Channel, now: datetime) -> None:
        """Record that every letter of a polled channel is stored or noted, as of now."""
        place = {
            "mailbox": mailbox,
            "party": channel.party,
            "service": channel.service,
            "resource": channel.resource,
        }
        with self._database.write() as session:
            session.execute(update(Bookmark).filter_by(**place, begun=True).values(compared_at=now))

    def retire(self, mailbox: str, channels: Sequence[Channel], now: datetime) -> int:
        """Retire the bookmarks of channels that are not among these, which are all channels.

        Returns how many are newly retired.
        """
        known = {(each.party, each.service, each.resource) for each in channels}
        wanted = select(Bookmark).where(
            Bookmark.mailbox == mailbox, col(Bookmark.retired_at).is_(None)
        )
        with self._database.read() as session:
            left = [
                each
                for each in session.exec(wanted)
                if (each.party, each.service, each.resource) not in known
            ]
        for bookmark in left:
            bookmark.retired_at, bookmark.failing_since = now, None
        if left:
            self.save(left)
        return len(left)


@cache
def _save_all() -> TextClause:
    """Return one statement for many bookmarks, on PostgreSQL: nodes share its time."""
    kinds = {name: _KINDS.get(type(each.type), "text") for name, each in _columns().items()}
    names = ", ".join(kinds)
    arrays = ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in kinds.items())
    # another thread may have set `compared_at`
    changes = (name for name in kinds if name not in (*_PLACE, "compared_at"))
    return text(
        f"INSERT INTO bookmarks ({names}) SELECT * FROM unnest({arrays}) "  # noqa: S608  # names
        f"ON CONFLICT ({', '.join(_PLACE)}) DO UPDATE SET "
        + ", ".join(f"{name} = excluded.{name}" for name in changes)
    )


def _columns() -> Mapping[str, Column[Any]]:
    return dict(table_of(Bookmark).c.items())


def _in_columns(bookmarks: Sequence[Bookmark]) -> dict[str, object]:
    # the last one of a place is what counts
    rows = {tuple(getattr(each, name) for name in _PLACE): each for each in bookmarks}
    return {name: [getattr(each, name) for each in rows.values()] for name in _columns()}


def _new_bookmark(mailbox: str, party: str, service: str, resource: str) -> Bookmark:
    return Bookmark(mailbox=mailbox, party=party, service=service, resource=resource)
