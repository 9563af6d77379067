"""What coverage lacks: findings, and when they were last looked for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, delete, func, update
from sqlalchemy import select as sql_select
from sqlmodel import col, select

from daemon.core.coverage import CoverageFinding, CoverageLook, FindingKey, FindingKind
from daemon.store.database import Database, table_of

_OPEN = col(CoverageFinding.ended_at).is_(None)
_FORGOTTEN = 1000  # rows in one transaction


@dataclass(frozen=True, kw_only=True)
class CoverageChange:
    """What a comparison has changed."""

    begun: Sequence[CoverageFinding] = ()
    ended: Sequence[CoverageFinding] = ()


class Coverage:
    """Findings by mailbox."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, *kinds: FindingKind, mailbox: str | None = None) -> Sequence[CoverageFinding]:
        """Return what is so now, of these kinds or of all, in order."""
        wanted = select(CoverageFinding).where(_OPEN)
        if kinds:
            wanted = wanted.where(col(CoverageFinding.kind).in_(kinds))
        if mailbox is not None:
            wanted = wanted.where(CoverageFinding.mailbox == mailbox)
        order = (CoverageFinding.mailbox, CoverageFinding.party, CoverageFinding.id)
        return self._database.rows(wanted.order_by(*map(col, order)))

    def note(
        self,
        mailbox: str,
        kinds: Collection[FindingKind],
        found: Iterable[CoverageFinding],
        now: datetime,
    ) -> CoverageChange:
        """Record all that is so of these kinds in a mailbox: what is not among it ends.

        What goes on keeps its row. May be called again; writes only what has changed.
        """
        by_key = {each.key: each for each in found}
        open_ones = {each.key: each for each in self.open(*kinds, mailbox=mailbox)}
        begun = [each for key, each in by_key.items() if key not in open_ones]
        ended = [each for key, each in open_ones.items() if key not in by_key]
        if begun or ended:
            with self._database.write() as session:
                session.add_all(CoverageFinding(**each.model_dump()) for each in begun)
                ids = [each.id for each in ended]
                for start in range(0, len(ids), _FORGOTTEN):
                    which = col(CoverageFinding.id).in_(ids[start : start + _FORGOTTEN])
                    session.execute(update(CoverageFinding).where(which).values(ended_at=now))
        return CoverageChange(begun=begun, ended=ended)

    def end_others(self, mailboxes: Collection[str], now: datetime) -> None:
        """End what is of mailboxes that are not among these."""
        others = {each.mailbox for each in self.open()} - {"", *mailboxes}
        for each in others:
            self.note(each, tuple(FindingKind), (), now)

    def last_of_senders(self) -> dict[FindingKey, datetime]:
        """Return the latest `since` of each sender's rows, ended or not, by what they are about."""
        row, kind = table_of(CoverageFinding).c, FindingKind.SENDER
        about = (row.mailbox, row.party, row.subject, row.confidential)
        wanted = sql_select(*about, func.max(row.since)).where(row.kind == kind).group_by(*about)
        with self._database.read_one() as connection:
            rows = connection.execute(wanted).all()
        return {
            (kind.value, mailbox, party, subject, bool(secret)): since
            for mailbox, party, subject, secret, since in rows
        }

    def look(self, mailbox: str) -> CoverageLook | None:
        """Return when a mailbox was last compared; None if it never was."""
        return self._database.find(CoverageLook, mailbox)

    def looked(self, look: CoverageLook) -> None:
        """Save when a mailbox was compared."""
        with self._database.write() as session:
            session.merge(CoverageLook(**look.model_dump()))

    def forget(self, before: datetime) -> int:
        """Remove what ended before that time, and return how many rows that were."""
        ended_at = col(CoverageFinding.ended_at)
        old = and_(ended_at.is_not(None), ended_at < before)
        some, removed = select(CoverageFinding.id).where(old).limit(_FORGOTTEN), 0
        while True:
            with self._database.write() as session:
                ids = list(session.exec(some))
                session.exec(delete(CoverageFinding).where(col(CoverageFinding.id).in_(ids)))
            removed += len(ids)
            if len(ids) < _FORGOTTEN:
                return removed
