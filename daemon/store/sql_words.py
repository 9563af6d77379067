"""What SQLite and PostgreSQL call differently, in one place.

Rows have a number in both: SQLite's `rowid`, or, on PostgreSQL, the integer that is the primary
key, and else a column of that name (`postgresql_schema`). Texts, ids and JSON are the same texts in
both, and are ordered by their bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any

from sqlalchemy import Boolean, Connection, DateTime, Integer, String
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine
from sqlmodel import SQLModel

POSTGRESQL = "postgresql"
_AT_ONCE = 500  # rows; a statement has at most 65,535 values


@dataclass(frozen=True)
class SqlWords:
    """Pieces of SQL in the words of one database."""

    is_postgresql: bool
    differ: str
    """Whether the row of two lists of values differ."""
    texts: str
    """The texts of a parameter that is a list in JSON."""
    numbers: str
    """Likewise, numbers."""
    in_order: str
    """What orders rows that are found by their numbers, if that is not their order anyway."""
    last_number: str
    """The query for the highest number that a row of the table `:name` ever had."""
    decided_again: str
    """The query for a number that changes when a stored letter is decided again."""

    def statement(self, text: str) -> str:
        """Return a statement with the driver's placeholders. It is written with question marks."""
        return text.replace("?", "%s") if self.is_postgresql else text

    def row_number(self, table: str) -> str:
        """Return the column with the number of a row."""
        return _integer_key(table) or "rowid" if self.is_postgresql else "rowid"

    def padded(self, number: str) -> str:
        """Return a number as a text of twelve digits, or of more if it is longer."""
        if self.is_postgresql:
            return f"lpad({number}::text, greatest(12, length({number}::text)), '0')"
        return f"printf('%012d', {number})"

    def plain(self, table: str, column: str, value: str) -> str:
        """Return a value as SQLite has it: times as text in UTC, truth as 0 or 1."""
        if not self.is_postgresql:
            return value
        kind = _type_of(table, column)
        if isinstance(kind, DateTime):
            return f"to_char({value} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
        return f"{value}::int" if isinstance(kind, Boolean) else value


SQLITE_WORDS = SqlWords(
    is_postgresql=False,
    differ="({before}) IS NOT ({after})",
    texts="SELECT value FROM json_each(?)",
    numbers="SELECT value FROM json_each(?)",
    in_order="",
    last_number="SELECT seq FROM sqlite_sequence WHERE name = :name",
    # each letter that comes adds a row to both, each later decision to one, and none leaves a gap
    decided_again=("SELECT (SELECT max(rowid) FROM decisions) - (SELECT max(rowid) FROM messages)"),
)
POSTGRESQL_WORDS = SqlWords(
    is_postgresql=True,
    differ="ROW({before}) IS DISTINCT FROM ROW({after})",
    texts="SELECT json_array_elements_text(?::json)",
    numbers="SELECT json_array_elements_text(?::json)::bigint",
    in_order=" ORDER BY 1",
    last_number="SELECT number FROM last_numbers WHERE name = :name",
    decided_again="SELECT max(rowid) FROM decisions WHERE number > 1",
)


def words_of(connection: Connection) -> SqlWords:
    """Return the words of the database of a connection."""
    return POSTGRESQL_WORDS if connection.dialect.name == POSTGRESQL else SQLITE_WORDS


def run(connection: Connection, statement: str, parameters: Any = ()) -> Any:
    """Run a statement that is written with question marks, and return its result."""
    words = words_of(connection)
    return connection.exec_driver_sql(words.statement(statement), parameters)


def insert(connection: Connection, table: str, rows: Sequence[Sequence[Any]]) -> None:
    """Insert rows, each with a value for every column of the table; on a server at once."""
    row = f"({', '.join('?' * len(rows[0]))})"
    if not words_of(connection).is_postgresql:
        run(connection, f"INSERT INTO {table} VALUES {row}", rows)  # noqa: S608  # our own names
        return
    for start in range(0, len(rows), _AT_ONCE):
        some = rows[start : start + _AT_ONCE]
        statement = f"INSERT INTO {table} VALUES {', '.join([row] * len(some))}"  # noqa: S608  # likewise
        run(connection, statement, tuple(chain.from_iterable(some)))


@lru_cache
def _integer_key(table: str) -> str:
    """Return the primary key of a table, if it is one integer."""
    keys = SQLModel.metadata.tables[table].primary_key.columns
    return "".join(each.name for each in keys if isinstance(each.type, Integer) and len(keys) == 1)


@lru_cache(maxsize=500)
def _type_of(table: str, column: str) -> TypeEngine[Any] | None:
    columns = SQLModel.metadata.tables[table].columns
    found = columns[column].type if column in columns else None
    return getattr(found, "impl_instance", found)


class has_text(FunctionElement[bool]):  # noqa: N801  # it reads like a function of the database
    """Whether one text holds another, in the same case."""

    type = Boolean()
    inherit_cache = True


class earlier_day(FunctionElement[str]):  # noqa: N801  # likewise
    """The day of the earlier one of two moments, in UTC, as ISO 8601."""

    type = String()
    inherit_cache = True


class member_text(FunctionElement[str]):  # noqa: N801  # likewise
    """The text of a member of an object in JSON; the member's name is a literal."""

    type = String()
    inherit_cache = True


def _arguments(element: FunctionElement[Any], compiler: Any, **options: Any) -> Iterable[str]:
    clauses: Iterable[ColumnElement[Any]] = element.clauses
    return (compiler.process(each, **options) for each in clauses)


@compiles(has_text)
def _has_text(element: has_text, compiler: Any, **options: Any) -> str:
    return "instr({}, {}) > 0".format(*_arguments(element, compiler, **options))


@compiles(has_text, POSTGRESQL)
def _has_text_postgresql(element: has_text, compiler: Any, **options: Any) -> str:
    return "strpos({}, {}) > 0".format(*_arguments(element, compiler, **options))


@compiles(earlier_day)
def _earlier_day(element: earlier_day, compiler: Any, **options: Any) -> str:
    return "substr(min({}, {}), 1, 10)".format(*_arguments(element, compiler, **options))


@compiles(earlier_day, POSTGRESQL)
def _earlier_day_postgresql(element: earlier_day, compiler: Any, **options: Any) -> str:
    least = "least({}, {})".format(*_arguments(element, compiler, **options))
    return f"to_char({least} AT TIME ZONE 'UTC', 'YYYY-MM-DD')"


@compiles(member_text)
def _member_text(element: member_text, compiler: Any, **options: Any) -> str:
    return "json_extract({}, '$.' || {})".format(*_arguments(element, compiler, **options))


@compiles(member_text, POSTGRESQL)
def _member_text_postgresql(element: member_text, compiler: Any, **options: Any) -> str:
    return "({}::json ->> {})".format(*_arguments(element, compiler, **options))
