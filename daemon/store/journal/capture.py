"""Captures what a transaction changes in the bound tables, whatever statement changes it.

Triggers of SQLite call a function of this process, which notes each row; what the row has is read
before the commit, once. They are temporary: they belong to one connection and are not in the file.
So what the service does is captured, in every transaction and by every statement, and what another
program does to the file is not: its changes are found. `capture_postgresql` has the same notes from
PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from daemon.store.journal.bindings import BINDINGS, Binding
from daemon.store.sql_words import SQLITE_WORDS

ADDED, CHANGED, REMOVED = "+", "~", "-"
_FUNCTION = "journal_note"
_KEY = "what the journal is to have"  # what is remembered with a connection


Note: TypeAlias = tuple[Any, ...]
"""What happened to a row of a table: the number of its binding, what, and its row number; if it was
removed, also its subject and its key."""


def captured(connection: Any) -> list[Note]:
    """Return what the transaction has changed so far; the list of this connection."""
    notes: list[Note] = connection.info.get(_KEY, [])
    return notes


def forget(connection: Any) -> None:
    """Forget what an earlier transaction changed, which was undone."""
    captured(connection).clear()


def capture(connection: Any) -> None:
    """Capture what transactions of this connection change, from the next one on.

    Called before it begins: a trigger that a transaction makes goes when it is undone. The tables
    must be there. Raises SQLAlchemyError.
    """
    if _KEY in connection.info:
        return
    notes: list[Note] = []
    # a connection of sqlite3's
    connection.connection.dbapi_connection.create_function(
        _FUNCTION, -1, lambda *note: notes.append(note)
    )
    for number, binding in enumerate(BINDINGS):
        for statement in _triggers(number, binding):
            connection.exec_driver_sql(statement)
    connection.info[_KEY] = notes


def _triggers(number: int, binding: Binding) -> Iterator[str]:
    table = binding.table
    name = f"CREATE TEMP TRIGGER IF NOT EXISTS journal_{table}"
    columns = ", ".join(f'"{column}"' for column in binding.columns)
    before, after = (binding.used(row) for row in ("OLD", "NEW"))
    differ = SQLITE_WORDS.differ.format(before=before, after=after)
    new = f"SELECT {_FUNCTION}({number}, '{{}}', NEW.rowid)"
    yield f"{name}_added AFTER INSERT ON main.{table} BEGIN {new.format(ADDED)}; END"
    yield (
        f"{name}_changed AFTER UPDATE OF {columns} ON main.{table} "
        f"WHEN {differ} BEGIN {new.format(CHANGED)}; END"
    )
    key = ", ".join(("OLD.rowid", binding.identity("OLD", SQLITE_WORDS)))
    yield (
        f"{name}_removed AFTER DELETE ON main.{table} "
        f"BEGIN SELECT {_FUNCTION}({number}, '{REMOVED}', {key}); END"
    )
