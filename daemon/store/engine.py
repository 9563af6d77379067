"""What the rest of the store knows of its database, of whatever kind."""

from __future__ import annotations

from typing import Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from daemon.core.errors import NotStorable, PostmottakError


class StoreEngine(Protocol):
    """Connections to one database, of one kind."""

    shown: str
    """The URL as messages have it, without a password."""
    reader: Engine
    """For transactions that see one state."""
    single: Engine
    """For single statements."""
    writer: Engine
    """For transactions that write, one after the other, and what they change into the journal."""
    upgrader: Engine
    """For migrations, while nobody else writes."""
    beats: Engine | None
    """For heartbeats, with a connection of their own; None if the database has no nodes."""

    def complete(self, connection: Connection) -> None:
        """Add to the tables what the migrations leave to each kind. May be called again."""

    def is_complete(self, connection: Connection) -> bool:
        """Whether the tables have that as this version makes it."""

    def rejected(self, error: DBAPIError) -> NotStorable:
        """Return what a rejected value becomes."""

    def failed(self, error: DBAPIError) -> PostmottakError:
        """Return what another failure becomes."""
