"""The organisations that were found for each mailbox."""

from __future__ import annotations

from collections.abc import Iterable

from sqlmodel import col, select

from daemon.core.parties import MailboxParty
from daemon.store.database import Database


class MailboxParties:
    """Organisations by mailbox."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, mailbox: str) -> dict[str, MailboxParty]:
        """Return all that were ever found, by number."""
        wanted = select(MailboxParty).where(col(MailboxParty.mailbox) == mailbox)
        with self._database.read() as session:
            return {each.party: each for each in session.exec(wanted)}

    def name_of(self, mailbox: str, party: str) -> str:
        """Return what an organisation is called; empty if that is not known."""
        wanted = select(MailboxParty.name).where(
            col(MailboxParty.mailbox) == mailbox, col(MailboxParty.party) == party
        )
        with self._database.read() as session:
            return session.exec(wanted).first() or ""

    def save(self, parties: Iterable[MailboxParty]) -> None:
        """Save these, in one transaction."""
        with self._database.write() as session:
            for each in parties:
                session.merge(MailboxParty(**each.model_dump()))
