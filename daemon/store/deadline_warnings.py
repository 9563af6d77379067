"""Who is warned of which deadline: stored first, and sent then."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid5

from sqlmodel import col, select

from daemon.core.bookkeeping import DeadlineWarning
from daemon.store.database import Database
from daemon.store.people_mails import failing_mails, set_put_off, set_told

_NAMESPACE = UUID("2d0a1e5c-7f4b-5b8e-9b57-0d6b1f3c4e28")
_AT_ONCE = 200  # mails that are read to be sent


@dataclass(frozen=True, kw_only=True)
class PlannedWarning:
    """A person is to be warned of a deadline."""

    message_id: UUID
    due_at: datetime
    step: str
    address: str

    @property
    def id(self) -> UUID:
        """The id, which is the same whenever it is planned again."""
        facts = f"{self.message_id} {self.due_at.isoformat()} {self.step} {self.address.lower()}"
        return uuid5(_NAMESPACE, facts)


@dataclass(frozen=True, kw_only=True)
class WarningMail:
    """One mail for one person."""

    id: UUID
    address: str
    planned_at: datetime
    attempts: int
    warnings: Sequence[PlannedWarning]


class DeadlineWarnings:
    """Warnings of deadlines."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def given(self, ids: Sequence[UUID]) -> set[tuple[UUID, datetime, str]]:
        """Return the letters, deadlines and steps of which somebody is or was to be warned."""
        wanted = select(
            DeadlineWarning.message_id, DeadlineWarning.due_at, DeadlineWarning.step
        ).where(col(DeadlineWarning.message_id).in_(ids))
        with self._database.read() as session:
            return {(key, due_at, step) for key, due_at, step in session.exec(wanted)}

    def keep(self, planned: Sequence[PlannedWarning], now: datetime) -> int:
        """Store what is planned, one mail for each person; return how many are new."""
        mails: dict[str, UUID] = {}
        count = 0
        with self._database.write() as session:
            for each in planned:
                if session.get(DeadlineWarning, each.id):
                    continue
                session.add(
                    DeadlineWarning(
                        id=each.id,
                        message_id=each.message_id,
                        due_at=each.due_at,
                        step=each.step,
                        address=each.address,
                        mail=mails.setdefault(each.address.lower(), each.id),
                        planned_at=now,
                        try_at=now,
                    )
                )
                count += 1
        return count

    def due_mails(self, now: datetime) -> list[WarningMail]:
        """Return the mails that may be sent now, each with all of its warnings."""
        due = col(DeadlineWarning.try_at)
        mails = select(DeadlineWarning.mail).where(due <= now).distinct().limit(_AT_ONCE)
        wanted = (
            select(DeadlineWarning)
            .where(col(DeadlineWarning.mail).in_(mails), due.is_not(None))
            .order_by(due, col(DeadlineWarning.id))
        )
        found: defaultdict[UUID, list[DeadlineWarning]] = defaultdict(list)
        for row in self._database.rows(wanted):
            found[row.mail].append(row)
        return [
            WarningMail(
                id=key,
                address=some[0].address,
                planned_at=some[0].planned_at,
                attempts=some[0].attempts,
                warnings=[
                    PlannedWarning(
                        message_id=each.message_id,
                        due_at=each.due_at,
                        step=each.step,
                        address=each.address,
                    )
                    for each in some
                ],
            )
            for key, some in found.items()
        ]

    def told(self, mail: UUID, now: datetime | None) -> None:
        """Record that a mail was accepted; without a time, that nothing was left to say in it."""
        set_told(self._database, DeadlineWarning, col(DeadlineWarning.mail) == mail, now)

    def put_off(self, mail: UUID, try_at: datetime, reason: str) -> None:
        """Record that a mail could not be sent, and when it is tried again."""
        these = col(DeadlineWarning.mail) == mail
        set_put_off(self._database, DeadlineWarning, these, try_at, reason)

    def failing(self, now: datetime) -> tuple[int, datetime | None, str]:
        """Return how many mails cannot be sent, since when, and the reason of one of them.

        Nothing is left to say of a deadline that is past, even where nobody is warned any more.
        """
        mail, still = col(DeadlineWarning.mail), col(DeadlineWarning.due_at) > now
        return failing_mails(self._database, DeadlineWarning, mail, still)
