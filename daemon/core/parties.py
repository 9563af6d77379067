"""What a mailbox offers that finds out by itself which organisations it may read for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol, runtime_checkable

from sqlmodel import Field, SQLModel


class NamedParty(NamedTuple):
    """An organisation."""

    number: str
    name: str
    """Empty if it is not known."""


@runtime_checkable
class FindsParties(Protocol):
    """A mailbox that can find the organisations for which it may read."""

    finds_parties: bool
    """Whether it is configured to."""

    def find_parties(self) -> Sequence[NamedParty]:
        """Ask which organisations there are; changes nothing.

        Raises MailboxUnavailable or AccessRefused.
        """

    def use_parties(self, numbers: Sequence[str]) -> None:
        """Read these organisations from now on; `channels` returns them at once."""


class MailboxParty(SQLModel, table=True):
    """An organisation that was found for a mailbox. Rows are kept when it goes."""

    __tablename__ = "mailbox_parties"

    mailbox: str = Field(primary_key=True)
    party: str = Field(primary_key=True, description="organisation number")
    name: str
    found_at: datetime = Field(description="when it was found first, or again")
    gone_at: datetime | None = Field(
        default=None, description="since when it is not found any more; None if it is"
    )
