"""Captures what a transaction changes in the bound tables, whatever statement changes it.

Triggers call a function of this process, for each row. They are temporary: they belong to one
connection and are not in the file. So what the service does is captured, in every transaction and
by every statement, and what another program does to the file is not: its changes are found.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from daemon.store.journal.bindings import BINDINGS, Binding
from daemon.store.journal.rows import State, state_of

ADDED, CHANGED, REMOVED = "+", "~", "-"
_FUNCTION = "journal_note"
_KEY = "what the journal is to have"  # what is remembered with a connection


@dataclass(frozen=True, kw_only=True)
class RowChange:
    """What happened to a row of a table: what it is now, or only its key if it was removed."""

    binding: Binding
    what: str
    subject: str
    key: tuple[Any, ...]
    state: State | None


def captured(connection: Any) -> list[RowChange]:
    """Return what the transaction has changed so far; the list of this connection."""
    changes: list[RowChange] = connection.info.get(_KEY, [])
    return changes


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
    changes: list[RowChange] = []
    # a connection of sqlite3's
    connection.connection.dbapi_connection.create_function(
        _FUNCTION, -1, lambda *values: changes.append(_change(*values))
    )
    for number, binding in enumerate(BINDINGS):
        for statement in _triggers(number, binding):
            connection.exec_driver_sql(statement)
    connection.info[_KEY] = changes


def _change(number: int, what: str, subject: Any, *values: Any) -> RowChange:
    binding = BINDINGS[number]
    state = None if what == REMOVED else state_of(binding, values)
    key = tuple(values[: len(binding.key)])
    return RowChange(binding=binding, what=what, subject=str(subject), key=key, state=state)


def _triggers(number: int, binding: Binding) -> Iterator[str]:
    table, subject = binding.table, binding.subject
    name = f"CREATE TEMP TRIGGER IF NOT EXISTS journal_{table}"
    new = f"{subject.format(row='NEW')}, {binding.values('NEW')}"
    call = f"SELECT {_FUNCTION}({number}"
    yield f"{name}_added AFTER INSERT ON main.{table} BEGIN {call}, '{ADDED}', {new}); END"
    columns = ", ".join(f'"{column}"' for column in binding.columns)
    yield (
        f"{name}_changed AFTER UPDATE OF {columns} ON main.{table} "
        f"WHEN ({binding.values('OLD')}) IS NOT ({binding.values('NEW')}) "
        f"BEGIN {call}, '{CHANGED}', {new}); END"
    )
    key = ", ".join(filter(None, (subject.format(row="OLD"), binding.values("OLD", binding.key))))
    yield f"{name}_removed AFTER DELETE ON main.{table} BEGIN {call}, '{REMOVED}', {key}); END"
