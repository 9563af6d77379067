"""How columns are kept on PostgreSQL: as SQLite keeps them, but for times and truth.

- Texts, ids and JSON are texts, compared and ordered by their bytes: in a database of Norwegian
  collation "aa" would come after "z", and a range of hashes would miss some.
- An id is its 32 hexadecimal digits, so the journal has the same subjects, in the same order, and
  rows can be taken from one database to the other as they are.
- Integers have 64 bits.
- Indices of some rows have the condition that they have on SQLite.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Dialect, Engine, Integer, SmallInteger, Uuid, text
from sqlalchemy.dialects.postgresql.base import PGDDLCompiler, PGTypeCompiler

from daemon.store.column_text import json_of, json_text

_BY_BYTES = ' COLLATE "C"'
_CONDITIONS = {"newest = 1": "newest"}
"""Conditions of indices that SQLite has with a number, because it has no truth values."""


class _TypeNames(PGTypeCompiler):
    def visit_VARCHAR(self, type_: Any, **kw: Any) -> str:  # noqa: N802  # SQLAlchemy names it
        return super().visit_VARCHAR(type_, **kw) + _BY_BYTES

    def visit_TEXT(self, type_: Any, **kw: Any) -> str:  # noqa: N802  # SQLAlchemy names it
        return super().visit_TEXT(type_, **kw) + _BY_BYTES

    def visit_CHAR(self, type_: Any, **kw: Any) -> str:  # noqa: N802  # SQLAlchemy names it
        return self.visit_VARCHAR(type_, **kw)

    def visit_uuid(self, type_: Any, **kw: Any) -> str:  # noqa: ARG002
        return f"VARCHAR(32){_BY_BYTES}"

    def visit_JSON(self, type_: Any, **kw: Any) -> str:  # noqa: ARG002, N802
        return f"TEXT{_BY_BYTES}"

    def visit_INTEGER(self, type_: Any, **kw: Any) -> str:  # noqa: ARG002, N802
        return "BIGINT"


class _TableTexts(PGDDLCompiler):
    def get_column_specification(self, column: Any, **kwargs: Any) -> str:
        found = str(super().get_column_specification(column, **kwargs))  # type: ignore[no-untyped-call]
        return found.replace(" SERIAL", " BIGSERIAL")

    def visit_create_index(self, create: Any, *args: Any, **kw: Any) -> str:
        options = create.element.dialect_options
        condition = options["sqlite"]["where"]
        if condition is not None:
            words = str(condition)
            for number, truth in _CONDITIONS.items():
                words = words.replace(number, truth)
            options["postgresql"]["where"] = text(words)
        return str(super().visit_create_index(create, *args, **kw))  # type: ignore[no-untyped-call]


class _JsonAsText(JSON):
    """JSON that is kept as the text that it was written as."""

    def bind_processor(self, dialect: Dialect) -> Any:  # noqa: ARG002
        """Return the function that makes a text of it; that of SQLite."""
        return self._make_bind_processor(None, json_text)  # type: ignore[no-untyped-call]

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:  # noqa: ARG002
        """Return the function that parses the text; the catalogue's own JSON is parsed already."""
        return lambda value: json_of(value) if isinstance(value, str) else value


def keep_as_sqlite_does(engine: Engine) -> None:
    """Have a new engine of PostgreSQL keep columns so."""
    dialect: Any = engine.dialect
    plain = (Integer, BigInteger, SmallInteger, Uuid)
    known = {kind: each for kind, each in dialect.colspecs.items() if kind not in plain}
    dialect.colspecs = {**known, JSON: _JsonAsText}
    dialect.supports_native_uuid = False
    dialect.type_compiler_instance = _TypeNames(dialect)
    dialect.ddl_compiler = _TableTexts
