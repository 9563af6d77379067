"""Changes many rows, each to values of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, bindparam, update

from daemon.store.sql_words import words_of


def change_each(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Change the rows with these values of `id`; all name the same columns.

    On a server that is one statement: each would be parsed, and run the triggers, on its own.
    """
    if not words_of(connection).is_postgresql:
        changed = update(table).where(table.c.id == bindparam("changed"))
        connection.execute(changed, [{"changed": row["id"], **_without_id(row)} for row in rows])
        return
    name = connection.dialect.identifier_preparer.format_table(table)
    columns = ", ".join(f"{each} = new.{each}" for each in _without_id(rows[0]))
    statement = (
        f"UPDATE {name} SET {columns} "  # noqa: S608  # our own names
        f"FROM json_populate_recordset(NULL::{name}, %s::json) AS new WHERE {name}.id = new.id"
    )
    connection.exec_driver_sql(statement, (_as_json(connection, table, rows),))


def _without_id(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "id"}


def _as_json(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows with each value as the database would get it as a parameter."""
    bound = {name: _processor(connection, table, name) for name in rows[0]}
    values = [{name: bound[name](value) for name, value in row.items()} for row in rows]
    return json.dumps(values, default=str, ensure_ascii=False)


def _processor(connection: Connection, table: Table, name: str) -> Callable[[Any], Any]:
    kind = table.c[name].type
    made = kind.dialect_impl(connection.dialect).bind_processor(connection.dialect)
    return made or _as_it_is


def _as_it_is(value: Any) -> Any:
    return value
