"""What each comparison of a channel has found, and what that says of all channels together."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, case, delete, func, or_
from sqlalchemy import select as sql_select
from sqlmodel import Session, col, select

from daemon.core.bookkeeping import Bookmark
from daemon.core.completeness import STALE_AFTER, Account, ChannelState, CompletenessRow
from daemon.core.ports import Channel
from daemon.core.times import shifted
from daemon.store.database import Database
from daemon.store.pages import ROWS, pieces

_NUMBERS = tuple(Account().numbers())
_AHEAD = timedelta(hours=1)
_ORDER = tuple(col(getattr(Bookmark, name)) for name in ("mailbox", "party", "service", "resource"))
_SAME_CHANNEL = and_(
    col(CompletenessRow.newest).is_(True),
    *(
        col(getattr(CompletenessRow, name)) == col(getattr(Bookmark, name))
        for name in ("mailbox", "party", "service", "resource")
    ),
)
_FORGOTTEN = 1000  # rows in one transaction


@dataclass(frozen=True, kw_only=True)
class PartyAccount:
    """The channels of one organisation in one mailbox that are in one state."""

    mailbox: str
    party: str
    state: ChannelState
    channels: int
    account: Account
    checked_at: datetime | None
    """The earliest of their last comparisons."""
    begins_at: datetime | None
    """The earliest time from which they are read; None if one is read whole."""
    begins_at_last: datetime | None
    """The latest time from which one is read; None if all are read whole."""


@dataclass(frozen=True, kw_only=True)
class ChannelAccount:
    """One channel, its state, and its newest row, if it has one."""

    bookmark: Bookmark
    state: ChannelState
    row: CompletenessRow | None


class CompletenessRows:
    """Results of comparisons."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, mailbox: str, channel: Channel, account: Account, now: datetime) -> None:
        """Record what a comparison of a whole channel has found."""
        self._note(mailbox, channel, account, now, "")

    def note_failure(self, mailbox: str, channel: Channel, problem: str, now: datetime) -> None:
        """Record why a channel could not be compared; its numbers stay those of the last time."""
        self._note(mailbox, channel, None, now, problem)

    def _note(
        self, mailbox: str, channel: Channel, account: Account | None, now: datetime, problem: str
    ) -> None:
        with self._database.write() as session:
            old = _newest(session, mailbox, channel)
            new = CompletenessRow(
                mailbox=mailbox,
                party=channel.party,
                service=channel.service,
                resource=channel.resource,
                first_at=now,
                tried_at=now,
                problem=problem,
            )
            new.checked_at = now if account else (old.checked_at if old else None)
            for name, number in (account or (old.account if old else Account())).numbers().items():
                setattr(new, name, number)
            if old and (old.account, old.problem) == (new.account, problem):
                old.tried_at, old.checked_at, old.checks = now, new.checked_at, old.checks + 1
                session.add(old)
                return
            if old:
                old.newest = False
                session.add(old)
            session.add(new)

    def parties(self, now: datetime, mailboxes: Collection[str]) -> Iterator[PartyAccount]:
        """Yield the sums of every organisation's channels, by state, in pieces.

        Those of other mailboxes than these, which are read, have ended.
        An organisation whose channels are in two pieces comes twice.
        """
        state = _state(now, mailboxes)
        wanted = (
            sql_select(
                col(Bookmark.mailbox),
                col(Bookmark.party),
                state,
                func.count(),
                func.min(col(CompletenessRow.checked_at)),
                func.count(col(Bookmark.begins_at)),
                func.min(col(Bookmark.begins_at)),
                func.max(col(Bookmark.begins_at)),
                *(func.sum(col(getattr(CompletenessRow, name))) for name in _NUMBERS),
            )
            .select_from(Bookmark)
            .outerjoin(CompletenessRow, _SAME_CHANNEL)
            .group_by(col(Bookmark.mailbox), col(Bookmark.party), state)
        )
        for piece in pieces(self._database, _ORDER, size=ROWS):
            with self._database.read_one() as connection:
                rows = connection.execute(wanted.where(piece)).all()
            yield from (_party(row) for row in rows)

    def channels(self, now: datetime, mailboxes: Collection[str]) -> Iterator[ChannelAccount]:
        """Yield every channel, in pieces; those of other mailboxes have ended, as in `parties`."""
        wanted = (
            sql_select(Bookmark, CompletenessRow, _state(now, mailboxes))
            .outerjoin(CompletenessRow, _SAME_CHANNEL)
            .order_by(*_ORDER)
        )
        for piece in pieces(self._database, _ORDER, size=ROWS):
            with self._database.read() as session:
                rows = session.execute(wanted.where(piece)).all()
            for bookmark, row, state in rows:
                yield ChannelAccount(bookmark=bookmark, row=row, state=ChannelState(state))

    def unexplained(self) -> Sequence[CompletenessRow]:
        """Return the channels with letters that cannot be explained, and are still read."""
        wanted = (
            select(CompletenessRow)
            .join(Bookmark, _SAME_CHANNEL)
            .where(col(CompletenessRow.unexplained) > 0, col(Bookmark.retired_at).is_(None))
            .order_by(*_ORDER)
        )
        return self._database.rows(wanted)

    def forget(self, before: datetime) -> int:
        """Remove what was found before that time and has changed since; return how many rows."""
        old = and_(col(CompletenessRow.newest).is_(False), col(CompletenessRow.tried_at) < before)
        some = select(CompletenessRow.id).where(old).limit(_FORGOTTEN)
        removed = 0
        while True:
            with self._database.write() as session:
                ids = list(session.exec(some))
                session.exec(delete(CompletenessRow).where(col(CompletenessRow.id).in_(ids)))
            removed += len(ids)
            if len(ids) < _FORGOTTEN:
                return removed


def _newest(session: Session, mailbox: str, channel: Channel) -> CompletenessRow | None:
    wanted = select(CompletenessRow).where(
        CompletenessRow.mailbox == mailbox,
        CompletenessRow.party == channel.party,
        CompletenessRow.service == channel.service,
        CompletenessRow.resource == channel.resource,
        col(CompletenessRow.newest).is_(True),
    )
    return session.exec(wanted).first()


def _state(now: datetime, mailboxes: Collection[str]) -> ColumnElement[str]:
    """Return the state of a channel, as `ChannelState` says it."""
    checked_at, problem = col(CompletenessRow.checked_at), col(CompletenessRow.problem)
    never_open = and_(
        col(Bookmark.refused).is_(True),
        col(Bookmark.begun).is_(False),
        col(Bookmark.failing_since).is_(None),
    )
    pending = and_(
        col(CompletenessRow.id).is_(None),
        col(Bookmark.refused).is_not(True),
        col(Bookmark.failing_since).is_(None),
    )
    unasked = or_(checked_at.is_(None), problem != "", col(Bookmark.refused).is_(True))
    # a time that has not come was recorded while the clock was wrong, and proves nothing
    stale = or_(checked_at < shifted(now, -STALE_AFTER), checked_at > shifted(now, _AHEAD))
    ended = or_(col(Bookmark.retired_at).is_not(None), col(Bookmark.mailbox).not_in(mailboxes))
    return case(
        (ended, ChannelState.ENDED.value),
        (never_open, ChannelState.CLOSED.value),
        (pending, ChannelState.PENDING.value),
        (unasked, ChannelState.UNASKED.value),
        (stale, ChannelState.STALE.value),
        (col(CompletenessRow.unexplained) > 0, ChannelState.SHORT.value),
        (col(CompletenessRow.failing) > 0, ChannelState.FAILING.value),
        else_=ChannelState.COMPLETE.value,
    )


def _party(row: Any) -> PartyAccount:
    mailbox, party, state, channels, checked_at, dated, first, last, *numbers = row
    return PartyAccount(
        mailbox=mailbox,
        party=party,
        state=ChannelState(state),
        channels=channels,
        account=Account(**dict(zip(_NUMBERS, (each or 0 for each in numbers), strict=True))),
        checked_at=checked_at,
        begins_at=first if dated == channels else None,
        begins_at_last=last,
    )
