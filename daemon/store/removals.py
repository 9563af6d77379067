"""How nobody removes bytes that a letter needs, whichever node removes and whichever stores.

Bytes are stored before the transaction of their letter, and removed after a transaction that finds
no letter which needs them. In between, the other side may have looked. So a removal is recorded
before it begins, in a transaction that looks again; the transaction of a letter looks for such
records, and leaves out a letter whose bytes are being removed, or were removed after it had stored
them: it is fetched again. Write transactions come one after the other, so one of the two sees the
other.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, update
from sqlalchemy import select as sql_select
from sqlmodel import Session, col, select

from daemon.core.errors import ContentMissing, StoreError
from daemon.core.model import KEPT_STATES, Attachment
from daemon.core.removals import Removal
from daemon.store.database import Database, table_of

_ABANDONED = timedelta(minutes=10)
"""After this time a node that began a removal has ended, or does not go on with it."""
_ANY = sql_select(col(Removal.sha256)).limit(1)
_MANY = 500

Has = Callable[[str], bool]
"""Says whether bytes are there now, as ContentStore.has does."""


def not_known(_sha256: str) -> bool:
    """Say that bytes are not there, so that what needs them is fetched again."""
    return False


class Removals:
    """Removals of bytes that no letter needs.

    Of a store that machines do not share, only one process at a time removes (`guarded`): what
    another has begun, it does not go on with.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._patience = _ABANDONED if database.is_shared else timedelta(0)

    def begin(self, hashes: Collection[str], now: datetime) -> list[str]:
        """Record that these bytes are being removed; return those that may be removed now.

        What a letter needs, and what another has just begun to remove, is left out.
        """
        with self._database.write() as session:
            wanted = set(hashes) - _needed(session, hashes)
            for each in session.exec(select(Removal).where(col(Removal.sha256).in_(wanted))).all():
                if each.ended_at is None and now - each.begun_at < self._patience:
                    wanted.discard(each.sha256)
                else:
                    session.delete(each)
            session.flush()
            session.add_all(Removal(sha256=each, begun_at=now) for each in wanted)
        return sorted(wanted)

    def end(self, hashes: Sequence[str], now: datetime) -> None:
        """Record that nobody removes these bytes any more, whether they are gone or not."""
        with self._database.write() as session:
            session.execute(
                update(Removal)
                .where(col(Removal.sha256).in_(hashes), col(Removal.ended_at).is_(None))
                .values(ended_at=now)
            )

    def abandoned(self, now: datetime) -> Sequence[str]:
        """Return what began to be removed, by somebody who was killed, and did not end."""
        return self._database.rows(
            select(Removal.sha256)
            .where(col(Removal.ended_at).is_(None), Removal.begun_at <= now - self._patience)
            .order_by(Removal.sha256)
        )

    def under_way(self) -> bool:
        """Whether something is being removed, or was when somebody was killed."""
        return bool(self._database.rows(select(Removal).where(col(Removal.ended_at).is_(None))))

    def forget(self, before: datetime) -> None:
        """Forget removals that ended before that time.

        By then, no letter may wait to be stored whose bytes were there before the removal.
        """
        with self._database.write() as session:
            session.execute(delete(Removal).where(col(Removal.ended_at) < before))


def taken_away(session: Session, hashes: Iterable[str], has: Has) -> set[str]:
    """Return those of the bytes that a letter must not refer to, in the transaction that stores it.

    For the others, what was recorded of a removal is void from now on.
    """
    if session.connection().execute(_ANY).first() is None:
        return set()
    lacking = set()
    for some in _pieces(set(hashes)):
        for each in session.exec(select(Removal).where(col(Removal.sha256).in_(some))).all():
            if each.ended_at is not None and _is_there(each.sha256, has):
                session.delete(each)
            else:
                lacking.add(each.sha256)
    session.flush()
    return lacking


def require(session: Session, hashes: Iterable[str], has: Has) -> None:
    """Raise ContentMissing if a letter must not refer to one of the bytes."""
    if lacking := sorted(taken_away(session, hashes, has)):
        raise ContentMissing(
            f"the content {lacking[0]} was being removed while it was needed again; fetch it again"
        )


def _is_there(sha256: str, has: Has) -> bool:
    try:
        return has(sha256)
    except (ContentMissing, StoreError):
        return False


def _needed(session: Session, hashes: Collection[str]) -> set[str]:
    attachments = table_of(Attachment).c
    return {
        sha256
        for some in _pieces(hashes)
        for (sha256,) in session.execute(
            sql_select(attachments.sha256)
            .where(attachments.sha256.in_(some), attachments.state.in_(KEPT_STATES))
            .distinct()
        )
    }


def _pieces(hashes: Collection[str]) -> list[list[str]]:
    ordered = sorted(hashes)
    return [ordered[start : start + _MANY] for start in range(0, len(ordered), _MANY)]
