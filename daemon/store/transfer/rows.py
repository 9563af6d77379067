"""Rows of a table as both databases have them: in one order, with the same plain values.

A plain value is what SQLite keeps: times and JSON as their texts, truth as 0 or 1. Nothing is
parsed that need not be, so that what is odd stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Date, DateTime, Integer, LargeBinary, Table
from sqlmodel import SQLModel

from daemon.core.errors import StoreError
from daemon.store.postgresql_schema import numbered_tables
from daemon.store.sql_words import words_of
from daemon.store.transfer.side import Side

_ROWS = 2000
_BYTES = 4 << 20
"""A page ends with the row after which its texts are so long."""
_AT_ONCE = 20  # rows that the driver holds
_NUMBER = "rowid"
_MOMENT = len("2026-11-29 23:05:00.000000")
_LAST = "row_counts"
"""Kept by triggers while others are filled, and therefore replaced at the end."""
Row = tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class MovedTable:
    """One table: what of it is moved, and in which order."""

    name: str
    columns: tuple[str, ...]
    order: tuple[str, ...]
    """Columns that number the rows in the order in which they came, or else the primary key."""
    moments: tuple[int, ...]
    """The places of the columns with times."""
    texts: tuple[str, ...]

    @property
    def listed(self) -> str:
        """The columns in SQL."""
        return ", ".join(_quoted(each) for each in self.columns)

    def key(self, row: Row) -> list[Any]:
        """Return what the next page begins after."""
        return [row[self.columns.index(each)] for each in self.order]


def moved_tables() -> list[MovedTable]:
    """Return all tables of a store, each after those that it refers to."""
    numbered = frozenset(numbered_tables())
    found = [_moved(each, numbered) for each in SQLModel.metadata.sorted_tables]
    return sorted(found, key=lambda table: table.name == _LAST)


def _moved(table: Table, numbered: frozenset[str]) -> MovedTable:
    kinds = {name: _kind(column.type) for name, column in table.columns.items()}
    has_number = table.name in numbered
    columns = (*kinds, *((_NUMBER,) if has_number else ()))
    other = (DateTime, Date, Integer, LargeBinary)
    return MovedTable(
        name=table.name,
        columns=columns,
        order=(_NUMBER,) if has_number else tuple(each.name for each in table.primary_key),
        moments=tuple(
            place for place, kind in enumerate(kinds.values()) if isinstance(kind, DateTime)
        ),
        texts=tuple(name for name, kind in kinds.items() if not isinstance(kind, other)),
    )


def _kind(kind: Any) -> Any:
    return getattr(kind, "impl_instance", kind)


def _quoted(name: str) -> str:
    return name if name == _NUMBER else f'"{name}"'


def pages(side: Side, table: MovedTable, after: Sequence[Any] | None = None) -> Iterator[list[Row]]:
    """Yield the rows after a key, in pages of bounded size. No transaction is open meanwhile."""
    while page := _page(side, table, after):
        yield page
        after = table.key(page[-1])


def _page(side: Side, table: MovedTable, after: Sequence[Any] | None) -> list[Row]:
    found: list[Row] = []
    size = 0
    with side.reading() as connection:
        statement = _select(connection, table, is_first=after is None)
        streaming = connection.execution_options(stream_results=True, max_row_buffer=_AT_ONCE)
        rows = streaming.exec_driver_sql(statement, tuple(after or ()))
        while size < _BYTES and (some := rows.fetchmany(_AT_ONCE)):
            found += [_plain(table, tuple(row)) for row in some]
            size += sum(len(each) for row in some for each in row if isinstance(each, str | bytes))
        rows.close()
    return found


def _select(connection: Connection, table: MovedTable, *, is_first: bool) -> str:
    words = words_of(connection)
    values = ", ".join(words.plain(table.name, each, _quoted(each)) for each in table.columns)
    order = ", ".join(map(_quoted, table.order))
    places = ", ".join("?" for _ in table.order)
    where = "" if is_first else f" WHERE ({order}) > ({places})"
    return words.statement(
        f'SELECT {values} FROM "{table.name}"{where} ORDER BY {order} LIMIT {_ROWS}'  # noqa: S608  # our own names
    )


def _plain(table: MovedTable, row: Row) -> Row:
    """Return a row as SQLite would have it. Raises StoreError for what is not a valid time."""
    wrong = [
        place
        for place in table.moments
        if row[place] is not None and len(str(row[place])) != _MOMENT
    ]
    values = [
        each.isoformat() if isinstance(each, date) else bytes(each) if _is_view(each) else each
        for each in row
    ]
    for place in wrong:
        try:
            moment = datetime.fromisoformat(str(row[place]))
        except ValueError as error:
            raise StoreError(
                f"the table {table.name} cannot be moved: {table.columns[place]} of the row "
                f"{table.key(row)} is not a time; report this as a fault"
            ) from error
        values[place] = moment.isoformat(" ", "microseconds")[:_MOMENT]
    return tuple(values)


def _is_view(value: object) -> bool:
    return isinstance(value, memoryview | bytearray)


def insert(connection: Connection, table: MovedTable, rows: Sequence[Row]) -> None:
    """Insert rows, in a transaction that writes."""
    if words_of(connection).is_postgresql:
        _copy(connection, table, rows)
        return
    places = ", ".join("?" for _ in table.columns)
    connection.exec_driver_sql(
        f'INSERT INTO "{table.name}" ({table.listed}) VALUES ({places})',  # noqa: S608  # our own names
        list(rows),
    )


def _copy(connection: Connection, table: MovedTable, rows: Sequence[Row]) -> None:
    """Hand them over by COPY, which takes a fifth of the time. Times are in UTC."""
    connection.exec_driver_sql("SET LOCAL TimeZone = 'UTC'")
    cursor: Any = connection.connection.cursor()  # psycopg's
    with cursor, cursor.copy(f'COPY "{table.name}" ({table.listed}) FROM STDIN') as copy:
        for row in rows:
            copy.write_row(row)


def remove_all(connection: Connection, table: MovedTable) -> None:
    """Remove what the migrations and triggers have put into a table."""
    connection.exec_driver_sql(f'DELETE FROM "{table.name}"')  # noqa: S608  # our own names


def digest(side: Side, table: MovedTable) -> tuple[int, str]:
    """Read a table, and return how many rows it has and a hash of all of them in their order."""
    count, hashed = 0, sha256()
    for page in pages(side, table):
        count += len(page)
        for row in page:
            hashed.update(repr(row).encode("utf-8", "surrogatepass"))
    return count, hashed.hexdigest()
