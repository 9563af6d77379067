"""What the service's user may do with tables that another user owns, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, bindparam, text
from sqlmodel import SQLModel

from daemon.store.postgresql_schema import NOTE_NUMBERS

_BESIDE = ("last_numbers", "journal_notes")
"""Tables that only PostgreSQL has; triggers write to them as the user who changes a row."""
_READ_ONLY = ("alembic_version", "upgrades")
_SEQUENCES = text(
    "SELECT DISTINCT c.relname FROM pg_class c JOIN pg_depend d ON d.objid = c.oid "
    "AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') "
    "JOIN pg_class t ON t.oid = d.refobjid WHERE c.relkind = 'S' "
    "AND t.relnamespace = current_schema()::regnamespace AND t.relname IN :tables"
).bindparams(bindparam("tables", expanding=True))


def grant_use(connection: Connection, user: str) -> None:
    """Let the user read and write all rows, and change no table. Raises SQLAlchemyError."""
    for statement in _grants(connection, connection.dialect.identifier_preparer.quote(user)):
        connection.exec_driver_sql(statement)


def _grants(connection: Connection, user: str) -> Iterator[str]:
    written = sorted({*SQLModel.metadata.tables, *_BESIDE} - {*_READ_ONLY})
    (schema,) = connection.exec_driver_sql("SELECT quote_ident(current_schema())").one()
    yield f"GRANT USAGE ON SCHEMA {schema} TO {user}"
    yield f"GRANT SELECT ON {', '.join(_READ_ONLY)} TO {user}"
    yield f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(written)} TO {user}"
    owned = connection.execute(_SEQUENCES, {"tables": written}).scalars()
    for sequence in (NOTE_NUMBERS, *owned):
        yield f"GRANT USAGE, SELECT ON SEQUENCE {sequence} TO {user}"
