"""Looks at a database on a server without opening the store: nothing is made or brought up to date.

psycopg, which it needs, may not be installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from daemon.core.errors import StoreError
from daemon.store.busy import BusyWait
from daemon.store.database import engine_of
from daemon.store.sql_words import run
from daemon.store.upgrade import tables_of

_FACTS = (
    "SELECT current_setting('server_version'), current_database(), current_user, "
    "to_regclass('alembic_version') IS NOT NULL, "
    "coalesce(has_schema_privilege(current_schema(), 'CREATE'), false), "
    "coalesce((SELECT pg_has_role(relowner, 'USAGE') FROM pg_class "
    "WHERE oid = to_regclass('alembic_version')), false), "
    "coalesce(has_table_privilege(to_regclass('alembic_version'), 'SELECT'), false), "
    "current_setting('fsync') = 'on' AND current_setting('synchronous_commit') <> 'off', "
    "current_setting('transaction_read_only') = 'off'"
)


@dataclass(frozen=True, kw_only=True)
class ServerFacts:
    """What `check` says of it."""

    version: str
    database: str
    user: str
    has_tables: bool
    tables: str | None
    """The number of the tables; None if there are none of a store, or this user may not read it."""
    can_create: bool
    owns_tables: bool
    """Whether the user may change them."""
    is_durable: bool
    """Whether a commit is on the disk when it is acknowledged."""
    takes_writes: bool
    """Not a standby, nor set to be read only."""


def server_facts(url: str, password: str) -> ServerFacts:
    """Ask the server. Raises StoreError."""
    with connected(url, password) as connection:
        facts = run(connection, _FACTS).one()
        version, database, user, has_tables, create, owns, reads, durable, writes = facts
        tables = tables_of(connection) if reads else None
    return ServerFacts(
        version=version.split()[0],
        database=database,
        user=user,
        has_tables=has_tables,
        tables=tables,
        can_create=create,
        owns_tables=owns,
        is_durable=durable,
        takes_writes=writes,
    )


def asked(url: str, password: str, statement: str, parameters: Any = ()) -> list[Any] | None:
    """Return the rows of a query; None if the database does not have them. Never raises."""
    try:
        with connected(url, password) as connection:
            return list(run(connection, statement, parameters))
    except (StoreError, SQLAlchemyError):
        return None


@contextmanager
def connected(url: str, password: str) -> Iterator[Connection]:
    """Connect, for single statements. Raises StoreError."""
    engine = engine_of(url, BusyWait(), password)
    try:
        with engine.single.connect() as connection:
            yield connection
    except DBAPIError as error:
        raise engine.failed(error) from None
    finally:
        engine.reader.dispose()
