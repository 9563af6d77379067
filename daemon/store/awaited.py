"""Letters that wait for a person, and who is told of them.

A step of the ladder is stored before anything of it is sent, so that a restart neither skips nor
repeats it.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, String, bindparam, func, insert, type_coerce, update
from sqlalchemy import select as sql_select
from sqlmodel import Session, col, select

from daemon.core.accounts import StoredGrant, User
from daemon.core.awaited import AwaitedLetter, LadderStep, Reminder, reminder_id
from daemon.core.model import Message
from daemon.core.times import FIRST
from daemon.core.working_days import term
from daemon.routing.facts import is_guarded
from daemon.routing.ladder import Directory, DueStep, Plan, Taken, WaitingLetter
from daemon.store.database import Database, table_of
from daemon.store.people_mails import failing_mails, set_put_off, set_told

_AWAITED, _REMINDERS = table_of(AwaitedLetter), table_of(Reminder)
OPEN: ColumnElement[bool] = _AWAITED.c.look_at >= FIRST
"""Letters that wait: said so that SQLite finds them by the index, and reads no others."""
_PAUSE = timedelta(seconds=10)
_LOOK_AGAIN = (
    update(_AWAITED)
    .where(_AWAITED.c.message_id == bindparam("letter"))
    .values(look_at=bindparam("at"))
)
_DROP = (
    update(_REMINDERS)
    .where(_REMINDERS.c.id == bindparam("reminder"))
    .values(try_at=None, last_error=None)
)
_MANY = 200  # letters that are planned in one transaction, which others wait for


@dataclass(frozen=True, kw_only=True)
class OpenLetter:
    """A letter that waits, and the steps that were taken for it."""

    message_id: UUID
    decision: int
    waiting: WaitingLetter
    taken: Mapping[LadderStep, Taken]


@dataclass(frozen=True, kw_only=True)
class ToldLetter:
    """What a mail says of one letter."""

    reminder: UUID
    message_id: UUID
    step: LadderStep
    sender: str
    title: str
    received_at: datetime
    due_at: datetime | None
    """When it must be acted on, as the sender says."""
    confidential: bool


@dataclass(frozen=True, kw_only=True)
class DueMail:
    """One mail for one person."""

    id: UUID
    person: str
    address: str
    planned_at: datetime
    attempts: int
    letters: tuple[ToldLetter, ...]


class Awaited:
    """Letters that wait for a person."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def is_any(self) -> bool:
        """Whether a letter waits, or somebody is still to be told of one."""
        with self._database.read() as session:
            waits = select(AwaitedLetter.message_id).where(OPEN)
            untold = select(Reminder.id).where(col(Reminder.try_at) >= FIRST)
            return bool(
                session.exec(waits.limit(1)).first() or session.exec(untold.limit(1)).first()
            )

    def to_look_at(self, now: datetime) -> list[OpenLetter]:
        """Return letters of which something may be due now, the longest waiting first."""
        wanted = (
            select(AwaitedLetter, Message.service, Message.confidential)
            .join(Message, col(Message.id) == AwaitedLetter.message_id)
            .where(col(AwaitedLetter.look_at) <= now)
            .order_by(col(AwaitedLetter.look_at), col(AwaitedLetter.message_id))
            .limit(_MANY)
        )
        with self._database.read() as session:
            rows = session.exec(wanted).all()
            taken = _taken(session, [row.message_id for row, _, _ in rows])
        return [
            OpenLetter(
                message_id=row.message_id,
                decision=row.decision,
                waiting=_waiting(row, service, confidential=confidential),
                taken=taken.get((row.message_id, row.decision), {}),
            )
            for row, service, confidential in rows
        ]

    def keep(
        self,
        plans: Sequence[tuple[OpenLetter, Plan]],
        mails: dict[str, UUID],
        now: datetime,
        again: datetime,
    ) -> int:
        """Store what is due, and when to look next, `again` at the latest; return how many.

        A letter that was answered or moved meanwhile is left out. A person who is told of several
        letters gets one mail: `mails` has its id by address, and is added to.
        """
        with self._database.write() as session:
            connection = session.connection()
            ids = [letter.message_id for letter, _ in plans]
            still = sql_select(_AWAITED.c.message_id, _AWAITED.c.decision).where(
                _AWAITED.c.message_id.in_(ids), _AWAITED.c.look_at.is_not(None)
            )
            here = {(key, number) for key, number in connection.execute(still)}
            kept = [each for each in plans if (each[0].message_id, each[0].decision) in here]
            rows = [
                row for letter, made in kept for due in made.due for row in _rows(letter, due, now)
            ]
            known = sql_select(_REMINDERS.c.id).where(_REMINDERS.c.message_id.in_(ids))
            before = set(connection.execute(known).scalars())
            new = [row for row in rows if row["id"] not in before]
            for row in new:
                row["mail"] = mails.setdefault(row["address"].lower(), row["id"])
            if new:
                connection.execute(insert(_REMINDERS), new)
            if kept:
                looks = [
                    {"letter": letter.message_id, "at": _bounded(made.look_at, now, again)}
                    for letter, made in kept
                ]
                connection.execute(_LOOK_AGAIN, looks)
        return len(new)

    def due_mails(self, now: datetime) -> list[DueMail]:
        """Return the mails that may be sent now; letters that were answered are left out.

        Nobody is told of these any more.
        """
        with self._database.read() as session:
            ids = session.exec(
                select(Reminder.mail).where(col(Reminder.try_at) <= now).distinct().limit(_MANY)
            ).all()
            rows = session.exec(
                select(Reminder, Message, AwaitedLetter)
                .join(Message, col(Message.id) == Reminder.message_id)
                .join(AwaitedLetter, col(AwaitedLetter.message_id) == Reminder.message_id)
                .where(col(Reminder.mail).in_(ids), col(Reminder.try_at).is_not(None))
                .order_by(col(Message.fetched_at), col(Message.id))
            ).all()
        open_ones: defaultdict[UUID, list[tuple[Reminder, Message]]] = defaultdict(list)
        moot: list[dict[str, UUID]] = []
        for reminder, message, awaited in rows:
            if awaited.look_at and awaited.decision == reminder.decision:
                open_ones[reminder.mail].append((reminder, message))
            else:
                moot.append({"reminder": reminder.id})
        if moot:
            with self._database.write() as session:
                session.connection().execute(_DROP, moot)
        return [_mail(each, some) for each, some in open_ones.items()]

    def told(self, mail: UUID, now: datetime | None) -> None:
        """Record that a mail was accepted; without a time, that nothing was left to say in it."""
        set_told(self._database, Reminder, _REMINDERS.c.mail == mail, now)

    def put_off(self, mail: UUID, try_at: datetime, reason: str) -> None:
        """Record that a mail could not be sent, and when it is tried again."""
        set_put_off(self._database, Reminder, _REMINDERS.c.mail == mail, try_at, reason)

    def failing(self) -> tuple[int, datetime | None, str]:
        """Return how many mails cannot be sent, since when, and the reason of one of them."""
        return failing_mails(self._database, Reminder, _REMINDERS.c.mail)

    def reminders(self, message_id: UUID) -> Sequence[Reminder]:
        """Return who was or will be told of a letter, in order."""
        return self._database.rows(
            select(Reminder)
            .where(Reminder.message_id == message_id)
            .order_by(col(Reminder.planned_at), col(Reminder.step), col(Reminder.address))
        )

    def reminder(self, key: UUID) -> Reminder | None:
        """Return a reminder by its id."""
        return self._database.find(Reminder, key)

    def of(self, message_id: UUID) -> AwaitedLetter | None:
        """Return since when a letter waits or waited; None if nobody has to acknowledge it."""
        return self._database.find(AwaitedLetter, message_id)

    def due_of(self, message_id: UUID) -> datetime | None:
        """Return until when a letter that waits must be acknowledged; None if it does not wait."""
        row = self.of(message_id)
        return term(row.within).after(row.begun_at) if row and row.look_at else None

    def counts(self, now: datetime) -> dict[str, tuple[int, int]]:
        """Return how many letters wait for each recipient, and how many of them are overdue.

        In the order of their names. Under an empty name are those whose route names no recipient.
        """
        as_text = type_coerce(_AWAITED.c.recipients, String)  # many have the same
        wanted = sql_select(_AWAITED.c.within, as_text, _AWAITED.c.begun_at).where(OPEN)
        groups: defaultdict[tuple[str, str], list[datetime]] = defaultdict(list)
        with self._database.read_one() as connection:
            for within, names, begun_at in connection.execute(wanted):
                groups[within, names].append(begun_at)
        waiting, overdue = Counter[str](), Counter[str]()
        for (within, names), begun in groups.items():
            after = term(within).after
            late = sum(after(each) <= now for each in begun)
            for name in json.loads(names) or [""]:
                waiting[name] += len(begun)
                overdue[name] += late
        return {name: (count, overdue[name]) for name, count in sorted(waiting.items())}

    def directory(self) -> Directory:
        """Return who can be told by mail."""
        users = self._database.rows(select(User))
        grants = self._database.rows(select(StoredGrant).where(StoredGrant.role == "router"))
        here = {each.name for each in users if not each.disabled_at}
        return Directory(
            addresses={name: name for name in here if "@" in name},
            left=frozenset(each.name for each in users if each.disabled_at),
            keepers=tuple(sorted({each.user for each in grants} & here)),
            languages={each.name: each.language for each in users},
        )


def _taken(
    session: Session, messages: Sequence[UUID]
) -> dict[tuple[UUID, int], dict[LadderStep, Taken]]:
    if not messages:
        return {}
    rows = session.execute(
        sql_select(
            _REMINDERS.c.message_id,
            _REMINDERS.c.decision,
            _REMINDERS.c.step,
            func.min(_REMINDERS.c.planned_at),
            func.max(_REMINDERS.c.planned_at),
            func.max(_REMINDERS.c.round),
        )
        .where(_REMINDERS.c.message_id.in_(messages))
        .group_by(_REMINDERS.c.message_id, _REMINDERS.c.decision, _REMINDERS.c.step)
    )
    found: defaultdict[tuple[UUID, int], dict[LadderStep, Taken]] = defaultdict(dict)
    for message, decision, step, begun, again, turns in rows:
        found[message, decision][step] = Taken(first_at=begun, last_at=again, rounds=turns + 1)
    return found


def _waiting(row: AwaitedLetter, service: str, *, confidential: bool) -> WaitingLetter:
    return WaitingLetter(
        begun_at=row.begun_at,
        within=term(row.within),
        recipients=tuple(row.recipients),
        service=service,
        confidential=confidential,
        rejected_at=row.rejected_at,
    )


def _bounded(look_at: datetime | None, now: datetime, latest: datetime) -> datetime:
    """Return when to look next: in the future, so that a look ends, and not too far."""
    return max(now + _PAUSE, min(look_at or latest, latest))


def _rows(letter: OpenLetter, due: DueStep, now: datetime) -> Iterator[dict[str, Any]]:
    """Yield a step's reminders, each without its mail."""
    for person, address in due.people.items():
        yield {
            "id": reminder_id(letter.message_id, letter.decision, due.step, due.round, address),
            "message_id": letter.message_id,
            "decision": letter.decision,
            "step": due.step,
            "round": due.round,
            "person": person,
            "address": address,
            "planned_at": now,
            "try_at": now,
            "attempts": 0,
        }


def _mail(key: UUID, some: Iterable[tuple[Reminder, Message]]) -> DueMail:
    rows = list(some)
    first = rows[0][0]
    return DueMail(
        id=key,
        person=first.person,
        address=first.address,
        planned_at=first.planned_at,
        attempts=first.attempts,
        letters=tuple(_letter(reminder, message) for reminder, message in rows),
    )


def _letter(reminder: Reminder, message: Message) -> ToldLetter:
    hidden = is_guarded(message.service, confidential=message.confidential)
    return ToldLetter(
        reminder=reminder.id,
        message_id=message.id,
        step=reminder.step,
        sender="" if hidden else message.sender_name,
        title="" if hidden else message.title,
        received_at=message.fetched_at,
        due_at=message.due_at,
        confidential=hidden,
    )
