"""Edits of the database's file by hand, which the journal must reveal."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from daemon.store.journal.bindings import BINDINGS, Binding
from daemon.store.journal.rows import hash_of, leaf_of


@contextmanager
def by_hand(path: Path) -> Iterator[sqlite3.Connection]:
    """Somebody with the file, who may do anything but sign."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("PRAGMA synchronous = OFF")
        yield connection
        connection.commit()


def change(
    connection: sqlite3.Connection, table: str, column: str, row: int, by: random.Random
) -> None:
    """Change one value."""
    wanted = f'SELECT "{column}" FROM {table} WHERE rowid = ?'
    value = other_than(connection.execute(wanted, (row,)).fetchone()[0], by)
    connection.execute(f'UPDATE {table} SET "{column}" = ? WHERE rowid = ?', (value, row))


def other_than(value: Any, by: random.Random) -> Any:
    """Another value, as somebody might write it."""
    if value is None:
        return by.choice(["2026-01-01 00:00:00.000000", "x"])
    if isinstance(value, int):
        return value + by.choice([1000, 2000])
    place = by.randrange(len(value) + 1)
    if isinstance(value, bytes):
        return by.choice([None, value[:place] + b"x" + value[place:], value[1:]])
    return value[:place] + by.choice("abcx7") + value[place:]


def a_field(connection: sqlite3.Connection, by: random.Random) -> None:
    """Change one field of a table that is bound."""
    binding, (row,) = some_row(connection, by)
    change(connection, binding.table, by.choice([*binding.columns, binding.walked]), row, by)


def a_row_removed(connection: sqlite3.Connection, by: random.Random) -> None:
    """Remove a row."""
    binding, (row,) = some_row(connection, by)
    connection.execute(f"DELETE FROM {binding.table} WHERE rowid = ?", (row,))


def two_swapped(connection: sqlite3.Connection, by: random.Random) -> None:
    """Swap one value of two rows, which differs."""
    while True:
        binding, (row, other) = some_row(connection, by, count=2)
        column = by.choice([*binding.clear, *binding.private, *binding.body])
        wanted = f'SELECT "{column}" FROM {binding.table} WHERE rowid = ?'
        values = [connection.execute(wanted, (each,)).fetchone()[0] for each in (row, other)]
        if values[0] != values[1]:
            break
    for each, value in zip((other, row), values, strict=True):
        set_one = f'UPDATE {binding.table} SET "{column}" = ? WHERE rowid = ?'
        connection.execute(set_one, (value, each))


def one_inserted(connection: sqlite3.Connection, by: random.Random) -> None:
    """Insert a row like another one, under a key of its own."""
    binding, (row,) = some_row(connection, by)
    table = binding.table
    names = [each[1] for each in connection.execute(f"PRAGMA table_info({table})")]
    found = connection.execute(f"SELECT * FROM {table} WHERE rowid = ?", (row,)).fetchone()
    values = dict(zip(names, found, strict=True))
    keys = [each[1] for each in connection.execute(f"PRAGMA table_info({table})") if each[5]]
    for name in keys:
        old = values[name]
        values[name] = old + 1000 if isinstance(old, int) else f"{by.getrandbits(128):032x}"
    if table == "messages":
        values["external_id"] = "another"
    if table == "deliveries":
        values["generation"] = 77
    marks = ", ".join("?" * len(names))
    connection.execute(f"INSERT INTO {table} VALUES ({marks})", list(values.values()))


def some_row(
    connection: sqlite3.Connection, by: random.Random, count: int = 1
) -> tuple[Binding, list[int]]:
    """Some rows of a table that has as many."""
    while True:
        binding = by.choice(BINDINGS)
        rows = [each[0] for each in connection.execute(f"SELECT rowid FROM {binding.table}")]
        if len(rows) >= count:
            return binding, by.sample(rows, count)


def in_the_journal(connection: sqlite3.Connection, by: random.Random) -> None:
    """Change, remove, insert or move rows of the journal."""
    rows = [each[0] for each in connection.execute("SELECT sequence FROM journal")]
    what, row = by.randrange(4), by.choice(rows)
    if what == 0:
        change(connection, "journal", by.choice(COLUMNS), row, by)
    elif what == 1:
        connection.execute("DELETE FROM journal WHERE sequence = ?", (row,))
    elif what == 2:
        place = max(rows) + 1 if by.random() < 0.5 else -by.randrange(5)
        columns = ", ".join(COLUMNS[1:])
        connection.execute(
            f"INSERT INTO journal SELECT ?, {columns} FROM journal WHERE sequence = ?", (place, row)
        )
    else:
        other = by.choice([each for each in rows if each != row])
        for one, two in ((row, -9), (other, row), (-9, other)):
            connection.execute("UPDATE journal SET sequence = ? WHERE sequence = ?", (two, one))


def chain_recomputed(connection: sqlite3.Connection, by: random.Random) -> None:
    """Change, remove or insert a row of the journal, and calculate all later hashes anew."""
    rows = [list(row) for row in connection.execute("SELECT * FROM journal ORDER BY sequence")]
    place = by.randrange(len(rows))
    what = by.randrange(3)
    if what == 0:
        column = by.choice((1, 2, 3, 4))
        rows[place][column] = other_than(rows[place][column], by)
    elif what == 1:
        del rows[place]
    else:
        rows.insert(place, list(by.choice(rows)))
    connection.execute("DELETE FROM journal")
    previous = bytes(32)
    for number, row in enumerate(rows, start=1):
        row[0] = number
        row[7] = previous = hash_of(previous, leaf_of(*row[:5]))
        connection.execute("INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)


def a_lie(connection: sqlite3.Connection, by: random.Random) -> None:
    """Change a letter and what the journal has of it, and calculate all later hashes anew."""
    times = "SELECT id, fetched_at FROM messages ORDER BY id"
    key, at = by.choice(connection.execute(times).fetchall())
    new = at.replace("2026-11-24", f"2026-10-{by.randrange(10, 30)}")
    connection.execute("UPDATE messages SET fetched_at = ? WHERE id = ?", (new, key))
    connection.execute(
        "UPDATE journal SET facts = replace(facts, ?, ?) WHERE subject = ?",
        (f'"fetched_at":"{at}"', f'"fetched_at":"{new}"', key),
    )
    previous = bytes(32)
    for row in connection.execute("SELECT * FROM journal ORDER BY sequence").fetchall():
        this = hash_of(previous, leaf_of(*row[:5]))
        connection.execute("UPDATE journal SET hash = ? WHERE sequence = ?", (this, row[0]))
        previous = this


COLUMNS = ("sequence", "at", "kind", "subject", "facts", "salt", "body_salt", "hash")
EDITS = (
    *(a_field, a_row_removed, two_swapped, one_inserted),
    *(in_the_journal, chain_recomputed, a_lie),
)


def edit_at_random(database: Path, by: random.Random) -> Callable[..., None]:
    """Make one edit that the tables' constraints allow; return which."""
    while True:
        edit = by.choice(EDITS)
        with suppress(sqlite3.IntegrityError), by_hand(database) as connection:
            edit(connection, by)
            return edit
