"""SQLAlchemy compiles a statement once for each engine. A process of the service has one engine;
the tests have thousands, and here they share what is compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlmodel
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import Engine
from sqlalchemy.util import LRUCache


def share(change: Callable[[object, str, object], None]) -> None:
    """Let all engines share what is compiled, for their dialects are all alike.

    `change` is `setattr`, or that of a MonkeyPatch.
    """
    from daemon.store import sqlite_engine

    compiled = LRUCache[object, object](5000)

    def create_engine(*arguments: Any, **named: Any) -> Engine:
        engine = sqlmodel.create_engine(*arguments, **named)
        engine._compiled_cache = compiled  # type: ignore[assignment]
        return engine

    def alike(one: object, other: object) -> bool:
        return type(one) is type(other)

    change(sqlite_engine, "create_engine", create_engine)
    change(SQLiteDialect_pysqlite, "__eq__", alike)
    change(SQLiteDialect_pysqlite, "__hash__", lambda dialect: hash(type(dialect)))
