"""What another program does to the database of a store, whichever that is."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"


def by_hand(url: str, statement: str, values: Sequence[Any] = ()) -> list[Any]:
    """Run a statement, and return its rows. Values stand where it has question marks."""
    if path := file_of(url):
        with closing(sqlite3.connect(path)) as file, file:
            return file.execute(statement, values).fetchall()
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        cursor = connection.execute(statement.replace("?", "%s").encode(), values or None)
        return cursor.fetchall() if cursor.description else []


def everything_in(url: str) -> bytes:
    """All that is kept: the bytes of the file, or the rows of all tables of a server."""
    if path := file_of(url):
        return path.read_bytes()
    tables = [name for (name,) in by_hand(url, _TABLES)]
    rows = [by_hand(url, f"SELECT t::text FROM {name} AS t") for name in tables]
    return repr(rows).encode()


def file_of(url: str) -> Path | None:
    """The file of SQLite; None on a server."""
    return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:") else None
