"""The numbers of rows, which go on after the highest that a row ever had."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlalchemy import Connection, text
from sqlmodel import SQLModel

from daemon.store.sql_words import run, words_of

_SEQUENCES = """
SELECT t.relname, a.attname, d.objid::regclass::text
FROM pg_class s
JOIN pg_depend d ON d.objid = s.oid AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
JOIN pg_class t ON t.oid = d.refobjid
JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
WHERE s.relkind = 'S' AND t.relnamespace = current_schema()::regnamespace
ORDER BY 1
"""
"""Of each table of a store, the column that is numbered by a sequence, and the sequence."""
_LAST_NUMBER = (
    "INSERT INTO last_numbers (name, number) VALUES (?, ?) "
    "ON CONFLICT (name) DO UPDATE SET number = greatest(last_numbers.number, excluded.number)"
)

_LAST_HERE = "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)"


def highest_numbers(connection: Connection) -> dict[str, int]:
    """Return the highest number that a row ever had, by table, as far as the database knows it."""
    if not words_of(connection).is_postgresql:
        found = connection.exec_driver_sql("SELECT name, seq FROM sqlite_sequence")
        return {str(name): int(number) for name, number in found}
    numbers: dict[str, int] = {}
    for table, _, sequence in _sequences(connection):
        last, is_called = connection.exec_driver_sql(
            f"SELECT last_value, is_called FROM {sequence}"  # noqa: S608  # the catalogue's name
        ).one()
        numbers[table] = int(last) if is_called else int(last) - 1
    for name, number in connection.exec_driver_sql("SELECT name, number FROM last_numbers"):
        numbers[name] = max(numbers.get(name, 0), int(number))
    return numbers


def go_on_after(connection: Connection, numbers: Mapping[str, int]) -> None:
    """Let new rows have numbers above these, and above those of the rows that are there."""
    if not words_of(connection).is_postgresql:
        for name in _never_again():
            number = max(numbers.get(name, 0), _highest(connection, name, "number"))
            run(connection, "DELETE FROM sqlite_sequence WHERE name = ?", (name,))
            if number:
                run(connection, _LAST_HERE, (name, number))
        return
    for table, column, sequence in _sequences(connection):
        number = max(numbers.get(table, 0), _highest(connection, table, column))
        connection.execute(
            text("SELECT setval(CAST(:name AS regclass), :number, :used)"),
            {"name": sequence, "number": max(number, 1), "used": number > 0},
        )
    for name in _never_again():
        if numbers.get(name):
            run(connection, _LAST_NUMBER, (name, numbers[name]))


def _never_again() -> Iterator[str]:
    """Yield the tables of which no number is used again, also of rows that are removed."""
    for table in SQLModel.metadata.sorted_tables:
        if table.dialect_options["sqlite"]["autoincrement"]:
            yield table.name


def _sequences(connection: Connection) -> list[tuple[str, str, str]]:
    known = SQLModel.metadata.tables
    rows = connection.exec_driver_sql(_SEQUENCES).all()
    return [(table, column, name) for table, column, name in rows if table in known]


def _highest(connection: Connection, table: str, column: str) -> int:
    highest = connection.exec_driver_sql(f'SELECT max("{column}") FROM "{table}"')  # noqa: S608  # our own names
    return int(highest.scalar() or 0)
