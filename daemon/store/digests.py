"""Who is told at a time of day what waits for them: stored first, and sent then."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlmodel import col, delete, select

from daemon.core.awaited import AwaitedLetter
from daemon.core.digests import Digest, DigestRound, digest_id
from daemon.core.times import norwegian_day
from daemon.store.awaited import OPEN
from daemon.store.database import Database
from daemon.store.people_mails import failing_mails, set_put_off, set_told

_KEPT = timedelta(days=30)
_AT_ONCE = 200


class Digests:
    """Digests."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def planned(self, day: date) -> set[str]:
        """Return the times of day of which this day's digests have been planned."""
        return set(self._database.rows(select(DigestRound.at).where(DigestRound.day == day)))

    def keep(
        self, day: date, at: str, letters: Mapping[str, Sequence[UUID]], now: datetime
    ) -> None:
        """Store the digests of a day and time, by address, and that they have been planned.

        Those that are a month old are removed.
        """
        with self._database.write() as session:
            session.merge(DigestRound(day=day, at=at))
            for address, waiting in letters.items():
                key = digest_id(day, at, address)
                if session.get(Digest, key) is None:
                    session.add(
                        Digest(
                            id=key,
                            day=day,
                            at=at,
                            address=address,
                            letters=[str(each) for each in waiting],
                            planned_at=now,
                            try_at=now,
                        )
                    )
            for kind, dated in ((Digest, col(Digest.day)), (DigestRound, col(DigestRound.day))):
                session.exec(delete(kind).where(dated < day - _KEPT))

    def due(self, now: datetime) -> Sequence[Digest]:
        """Return the mails that may be sent now."""
        wanted = select(Digest).where(col(Digest.try_at) <= now)
        order = col(Digest.try_at), col(Digest.id)
        return self._database.rows(wanted.order_by(*order).limit(_AT_ONCE))

    def told(self, key: UUID, now: datetime | None) -> None:
        """Record that a mail was accepted; without a time, that nothing was left to say in it."""
        set_told(self._database, Digest, col(Digest.id) == key, now)

    def put_off(self, key: UUID, try_at: datetime, reason: str) -> None:
        """Record that a mail could not be sent, and when it is tried again."""
        set_put_off(self._database, Digest, col(Digest.id) == key, try_at, reason)

    def failing(self, now: datetime) -> tuple[int, datetime | None, str]:
        """Return how many mails cannot be sent, since when, and the reason of one of them.

        Those of another day have nothing more to say, even where nobody has a digest any more.
        """
        still = col(Digest.day) == norwegian_day(now)
        return failing_mails(self._database, Digest, col(Digest.id), still)

    def unacknowledged(self, ids: Collection[UUID] | None = None) -> dict[UUID, tuple[str, ...]]:
        """Return the letters that wait for their recipients, which are named before delegation.

        A letter that its recipient has rejected waits for others. With `ids`, only those of them.
        """
        wanted = select(AwaitedLetter.message_id, AwaitedLetter.recipients).where(
            OPEN, col(AwaitedLetter.rejected_at).is_(None)
        )
        if ids is not None:
            wanted = wanted.where(col(AwaitedLetter.message_id).in_(ids))
        with self._database.read() as session:
            return {key: tuple(names) for key, names in session.exec(wanted)}
