"""Odd rows in every table of a store on SQLite, and all that is in one."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import JSON, Boolean, Column, Date, DateTime, Float, Integer, LargeBinary, Uuid
from sqlmodel import SQLModel

from daemon.store.postgresql_schema import numbered_tables
from tests.unit.conftest import NOW

ODD = (
    "",
    "Ål og ærfugl, blåbær",
    "'; DROP TABLE messages; --",
    "\"to\", 'enkle' og \\N \\. \\x00",
    "linje\r\nlinje\ttab\u2028\x1b[31m\x7f",
    "\U0001d513ost 🏔️ e\u0301",
    "NULL",
    "{}",
    "%s %(navn)s ? :kolon $1 $$",
)
ODD_JSON = (
    "null",
    "{}",
    '{"b": 1, "a": 1, "b": 2}',
    "[1.0, 1e400, -0.0, 123456789012345678901234567890]",
    '{"a":\n\t"\\u0000 \\ud83d"}',
    "[" * 50 + "]" * 50,
    "ikke json",
)
MOMENTS = ("0001-01-01 00:00:00.000000", "9999-12-31 23:59:59.999999")
INTEGERS = (0, 1, -1, 2**63 - 1, -(2**63), 2**31)


def dump(path: Path) -> dict[str, list[Any]]:
    """Every row of every table of a file, with its number, as SQLite has it."""
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'"
        ).fetchall()
        numbered = set(numbered_tables())
        return {
            name: sorted(
                connection.execute(
                    f'SELECT {"rowid, " if name in numbered else ""}* FROM "{name}"'
                ).fetchall(),
                key=repr,
            )
            for (name,) in tables
            if name != "store_move"
        }


def plain(path: Path) -> dict[str, list[Any]]:
    """The same without what says that it was moved."""
    return {name: each for name, each in dump(path).items() if name != "alembic_version"}


def fill(path: Path, seed: int = 0) -> None:
    """Put odd rows into every table of a new store."""
    chance = random.Random(seed)
    numbers = count(1)
    made: dict[str, list[Mapping[str, Any]]] = {}
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM journal")
        for table in SQLModel.metadata.sorted_tables:
            for _ in range(5):
                row = {
                    column.name: _value(column, made, chance, numbers) for column in table.columns
                }
                made.setdefault(table.name, []).append(row)
                names = ", ".join(f'"{name}"' for name in row)
                places = ", ".join("?" for _ in row)
                connection.execute(
                    f'INSERT OR REPLACE INTO "{table.name}" ({names}) VALUES ({places})',
                    list(row.values()),
                )
        connection.execute("UPDATE sqlite_sequence SET seq = seq + 1000")


def _value(
    column: Column[Any],
    made: Mapping[str, list[Mapping[str, Any]]],
    chance: random.Random,
    numbers: Iterator[int],
) -> Any:
    for key in column.foreign_keys:
        parent, _, name = key.target_fullname.partition(".")
        return chance.choice(made[parent])[name]
    if column.nullable and chance.random() < 0.2:
        return None
    kind = getattr(column.type, "impl_instance", column.type)
    is_key = column.primary_key or column.name in {"external_id", "destination", "generation"}
    number = next(numbers)
    later = NOW + timedelta(microseconds=chance.randrange(10**12))
    values: tuple[tuple[Any, Any], ...] = (
        (DateTime, chance.choice((*MOMENTS, later.isoformat(" ", "microseconds")[:26]))),
        (Date, date(2026, 1, 1 + number % 28).isoformat()),
        (Boolean, number % 2),
        (Float, chance.choice((0.1, 1e-300, 3.0))),
        (LargeBinary, chance.randbytes(chance.randrange(40))),
        (Integer, number if is_key else chance.choice(INTEGERS)),
        (JSON, chance.choice(ODD_JSON)),
        (Uuid, f"{number:032x}"),
    )
    for of, value in values:
        if isinstance(kind, of):
            return value
    if getattr(kind, "length", None):
        return f"å{number}"
    return chance.choice(ODD) + (str(number) if is_key else "")
