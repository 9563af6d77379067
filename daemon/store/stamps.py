"""Times that were recorded while this machine's clock was wrong, and their correction."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Table, and_, delete, func, or_, update
from sqlalchemy import select as sql_select
from sqlmodel import Session, select

from daemon.core.awaited import AwaitedLetter, Reminder
from daemon.core.bookkeeping import Bookmark, DeadlineWarning, RoutingVersion
from daemon.core.canaries import Canary
from daemon.core.digests import Digest, DigestRound
from daemon.core.missing_files import MissingFile, OpeningRow
from daemon.core.model import Delivery, DeliveryState, Mark, MarkState, Message
from daemon.core.times import norwegian_day, shifted
from daemon.store.database import Database, table_of

_APART = timedelta(hours=1)
_MESSAGES, _DELIVERIES = table_of(Message), table_of(Delivery)
_MARKS, _BOOKMARKS, _VERSIONS = table_of(Mark), table_of(Bookmark), table_of(RoutingVersion)
_AWAITED, _REMINDERS = table_of(AwaitedLetter), table_of(Reminder)
_WARNINGS, _DIGESTS, _ROUNDS = (table_of(kind) for kind in (DeadlineWarning, Digest, DigestRound))
_ASKED_AGAIN = (table_of(MissingFile), table_of(OpeningRow))
"""What a mailbox is asked for again."""
_MAILS = (_REMINDERS, _WARNINGS, _DIGESTS)
"""What is mailed to people, by when it is tried."""
_CANARIES = table_of(Canary)
_UNDONE = _DELIVERIES.c.state.in_(
    (DeliveryState.PENDING, DeliveryState.CLAIMED, DeliveryState.HELD, DeliveryState.DEAD)
)
_WAITING = _DELIVERIES.c.state.in_((DeliveryState.PENDING, DeliveryState.HELD))
_NOT_DONE = _MARKS.c.state != MarkState.DONE


class Stamps:
    """Recorded times that say something about the clock."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def newest(self) -> datetime | None:
        """Return the last time at which a letter, a poll or a routing table was recorded.

        None in a new database.
        """
        questions = [
            sql_select(func.max(_MESSAGES.c.fetched_at)),
            sql_select(func.max(_BOOKMARKS.c.succeeded_at), func.max(_BOOKMARKS.c.failed_at)),
            sql_select(func.max(_VERSIONS.c.in_force_since)),
        ]
        with self._database.read() as session:
            times = [
                time for each in questions for row in session.execute(each) for time in row if time
            ]
        return max(times, default=None)

    def put_right(self, first: datetime, last: datetime, now: datetime, *, certain: bool) -> int:
        """Set to `now` what was recorded from `first` to `last`, and if `now` is `certain`, later.

        Only times by which something is decided change: when a letter came and a delivery was made,
        when something is due, how far a channel was read, since when a table is active. Delivered
        deliveries and attempts keep their times, as evidence. Returns how many rows changed.
        """
        changed, wrong = 0, partial(_wrong, first=first, last=last, latest=now if certain else None)
        with self._database.write() as session:
            if certain:
                _forget_what_comes(session, now)
            _keep_patience(session, wrong(_CANARIES.c.begun_at), now)
            for table, name, which in (
                (_MESSAGES, "fetched_at", None),
                (_DELIVERIES, "created_at", _UNDONE),
                (_DELIVERIES, "due_at", _WAITING),
                (_MARKS, "due_at", _NOT_DONE),
                *((each, "since", each.c.due_at.is_not(None)) for each in _ASKED_AGAIN),
                *((each, "due_at", None) for each in _ASKED_AGAIN),
                (_AWAITED, "begun_at", _AWAITED.c.look_at.is_not(None)),
                (_AWAITED, "rejected_at", None),
                (_AWAITED, "look_at", None),
                *((each, "planned_at", None) for each in _MAILS),
                *((each, "try_at", None) for each in (*_MAILS, _CANARIES)),
                (_CANARIES, "begun_at", None),
                (_BOOKMARKS, "succeeded_at", None),
                (_BOOKMARKS, "failed_at", None),
            ):
                done = session.execute(_dated(table, name, wrong(table.c[name]), which, now))
                changed += int(getattr(done, "rowcount", 0))
            if certain:
                session.execute(
                    _dated(_BOOKMARKS, "position", _BOOKMARKS.c.position > now + _APART, None, now)
                )
            return changed + _put_tables_right(session, wrong(_VERSIONS.c.in_force_since), now)

    def pull_back(self, now: datetime, longest: timedelta) -> int:
        """Make due now what is due more than `longest` in the future.

        Returns how many rows changed.
        """
        changed = 0
        with self._database.write() as session:
            for table, name, which in (
                (_DELIVERIES, "due_at", _WAITING),
                (_MARKS, "due_at", _NOT_DONE),
                *((each, "due_at", None) for each in _ASKED_AGAIN),
                (_AWAITED, "look_at", None),  # which only looks again
                *((each, "try_at", None) for each in (*_MAILS, _CANARIES)),
            ):
                done = session.execute(
                    _dated(table, name, table.c[name] > now + longest, which, now)
                )
                changed += int(getattr(done, "rowcount", 0))
        return changed


def _forget_what_comes(session: Session, now: datetime) -> None:
    """Let people be told, when it is time, what they were told of a day that had not come."""
    session.execute(delete(_WARNINGS).where(_WARNINGS.c.planned_at > now + _APART))
    for kind in (_DIGESTS, _ROUNDS):
        session.execute(delete(kind).where(kind.c.day > norwegian_day(now)))


def _keep_patience(session: Session, wrong: ColumnElement[bool], now: datetime) -> None:
    """Give canaries that were sent at a wrong time as long as they had, from `now` on."""
    sent = select(Canary).where(wrong, _CANARIES.c.ended_at.is_(None))
    for each in session.exec(sent).all():
        each.give_up_at = shifted(now, each.give_up_at - each.begun_at)
        session.add(each)
    session.flush()


def _put_tables_right(session: Session, wrong: ColumnElement[bool], now: datetime) -> int:
    """Correct routing tables, which keep their order: the newest is the active one."""
    rows = sql_select(_VERSIONS.c.version).where(wrong).order_by(_VERSIONS.c.in_force_since)
    versions = session.execute(rows).scalars().all()
    for place, version in enumerate(versions):
        then = now + place * timedelta(microseconds=1)
        session.execute(
            update(_VERSIONS).where(_VERSIONS.c.version == version).values(in_force_since=then)
        )
    return len(versions)


def _wrong(
    column: ColumnElement[datetime], first: datetime, last: datetime, latest: datetime | None
) -> ColumnElement[bool]:
    meanwhile = and_(column >= first, column <= last)
    return meanwhile if latest is None else or_(meanwhile, column > latest + _APART)


def _dated(
    table: Table,
    name: str,
    wrong: ColumnElement[bool],
    which: ColumnElement[bool] | None,
    now: datetime,
) -> Any:
    return update(table).where(wrong, *([] if which is None else [which])).values({name: now})
