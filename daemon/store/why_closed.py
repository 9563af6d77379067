"""Whether a move has closed a store, read without opening it: nothing is made or changed."""

from __future__ import annotations

import sqlite3
from urllib.parse import quote

from sqlalchemy import NullPool, create_engine
from sqlalchemy.exc import SQLAlchemyError

from daemon.config.store import StoreSettings
from daemon.core.errors import StoreClosed, StoreError
from daemon.store.closed_store import refuse_closed
from daemon.store.postgresql_server import connected


def why_closed(settings: StoreSettings) -> str:
    """Return why nothing may use a store, with the remedy.

    An empty text if it is not closed, or cannot be read, which others say.
    """
    try:
        if settings.is_file:
            _look_into_file(settings)
        else:
            with connected(settings.database, settings.password) as connection:
                refuse_closed(connection, settings.database)
    except StoreClosed as error:
        return str(error)
    except (StoreError, SQLAlchemyError):
        return ""
    return ""


def _look_into_file(settings: StoreSettings) -> None:
    address = f"file:{quote(str(settings.beside))}?mode=ro"
    engine = create_engine(
        "sqlite://", creator=lambda: sqlite3.connect(address, uri=True), poolclass=NullPool
    )
    with engine.connect() as connection:
        refuse_closed(connection, settings.database)
