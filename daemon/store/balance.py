"""What of the messages here was never listed in a mailbox: Postmottak's own notices. Read-only."""

from __future__ import annotations

from sqlalchemy import func
from sqlalchemy import select as sql_select
from sqlmodel import col

from daemon.core.model import Message
from daemon.core.notice_ids import NOTICE_SUFFIX
from daemon.store.database import Database, table_of
from daemon.store.pages import COUNTED, pieces


class Balance:
    """Counts for the balance of letters: listed is here, or is elsewhere for a named reason."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def notices(self) -> int:
        """Count the notices, in pieces, by an index of the letters' ids in their mailboxes."""
        order = (col(Message.mailbox), col(Message.external_id))
        counted = sql_select(func.count()).select_from(table_of(Message))
        is_notice = col(Message.external_id).endswith(NOTICE_SUFFIX)
        found = 0
        for piece in pieces(self._database, order, size=COUNTED):
            with self._database.read_one() as connection:
                found += connection.execute(counted.where(piece, is_notice)).scalar_one()
        return found
