"""A database that nothing may use: a store that was moved, or one that a move is still filling.

The version of its tables is one that no program knows, so earlier programs refuse it, too. What is
moved refuses every change by itself, also those of a process that opened it before.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, inspect
from sqlmodel import SQLModel

from daemon.core.errors import StoreClosed
from daemon.store.sql_words import run, words_of

TABLE = "store_move"
"""What is known of the move, in both databases; the one that is filled loses it at the end."""
_SOURCE, _TARGET = "moved ", "filling "
"""How the version of the tables begins then."""
_CREATE = (
    f"CREATE TABLE {TABLE} (move VARCHAR NOT NULL, other VARCHAR NOT NULL, "
    "begun_at VARCHAR NOT NULL, ended_at VARCHAR, copied VARCHAR NOT NULL)"
)
_REFUSED = "this store was moved to another database"
_CODE = "PM001"
"""A code of our own (SQLSTATE): none of the server's says that what is wrong will not pass."""
_GUARD = "store_moved"
"""The triggers' function on PostgreSQL, and how their names begin."""
_CHANGES = ("INSERT", "UPDATE", "DELETE")


@dataclass(frozen=True, kw_only=True)
class MoveMark:
    """What a database says of the move that it is part of."""

    move: str
    """The same in both databases of one move, and in no others."""
    other: str
    """The URL of the other database, without a password."""
    begun_at: str
    ended_at: str | None = None
    copied: str = "null"
    """How far it is filled, in JSON."""
    is_source: bool
    version: str
    """That of its tables."""


def move_mark(connection: Connection) -> MoveMark | None:
    """Return the mark of a database; None if it is part of no move, or has no tables."""
    if not inspect(connection).has_table(TABLE):
        return None
    version = str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar())
    found = connection.exec_driver_sql(
        f"SELECT move, other, begun_at, ended_at, copied FROM {TABLE}"  # noqa: S608  # our own name
    ).one()
    move, other, begun_at, ended_at, copied = found
    return MoveMark(
        move=move,
        other=other,
        begun_at=begun_at,
        ended_at=ended_at,
        copied=copied,
        is_source=version.startswith(_SOURCE),
        version=version.removeprefix(_SOURCE).removeprefix(_TARGET),
    )


def refuse_closed(connection: Connection, shown: str) -> None:
    """Raise StoreClosed, with the remedy, if the database is part of a move."""
    mark = move_mark(connection)
    if mark is None:
        return
    here, there = shlex.quote(shown), shlex.quote(mark.other)
    if not mark.is_source:
        raise StoreClosed(
            f"the database {shown} has only a part of the store that is being moved to it from "
            f"{mark.other}. To go on, write that one into [store] database again, and run: "
            f"postmottak store move --to {here}"
        )
    reopen = "to use this one all the same, see `postmottak store reopen --help`"
    if mark.ended_at:
        raise StoreClosed(
            f"the store {shown} was moved to {mark.other}. Write that one into [store] database; "
            f"{reopen}"
        )
    raise StoreClosed(
        f"the store {shown} is being moved. To go on, run: postmottak store move --to {there}; "
        f"{reopen}"
    )


def write_mark(connection: Connection, mark: MoveMark) -> None:
    """Mark a database; one that is moved away is closed by that, until `reopen`."""
    connection.exec_driver_sql(_CREATE)
    values = (mark.move, mark.other, mark.begun_at, mark.copied)
    run(
        connection,
        f"INSERT INTO {TABLE} (move, other, begun_at, copied) VALUES (?, ?, ?, ?)",  # noqa: S608  # our own name
        values,
    )
    beginning = _SOURCE if mark.is_source else _TARGET
    run(connection, "UPDATE alembic_version SET version_num = ?", (beginning + mark.version,))
    if mark.is_source:
        for statement in _guards(is_postgresql=words_of(connection).is_postgresql):
            connection.exec_driver_sql(statement)


def note_copied(connection: Connection, copied: str) -> None:
    """Note how far the database is filled."""
    run(connection, f"UPDATE {TABLE} SET copied = ?", (copied,))  # noqa: S608  # our own name


def note_end(connection: Connection, ended_at: str) -> None:
    """Note in what was moved that the move has ended, unless that is noted."""
    run(connection, f"UPDATE {TABLE} SET ended_at = coalesce(ended_at, ?)", (ended_at,))  # noqa: S608  # our own name


def remove_mark(connection: Connection, mark: MoveMark) -> None:
    """Let the database be used."""
    if mark.is_source:
        _remove_guards(connection)
    connection.exec_driver_sql(f"DROP TABLE {TABLE}")
    run(connection, "UPDATE alembic_version SET version_num = ?", (mark.version,))


def _guards(*, is_postgresql: bool) -> Iterator[str]:
    """Yield statements after which no row of the store can be changed."""
    tables = sorted(SQLModel.metadata.tables)
    if is_postgresql:
        yield (
            f"CREATE FUNCTION {_GUARD}() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE '{_REFUSED}' USING ERRCODE = '{_CODE}'; END $$"
        )
        for table in tables:
            yield (
                f"CREATE TRIGGER {_GUARD} BEFORE {' OR '.join(_CHANGES)} ON {table} "
                f"FOR EACH STATEMENT EXECUTE FUNCTION {_GUARD}()"
            )
        return
    for table in tables:
        for change in _CHANGES:
            yield (
                f"CREATE TRIGGER {_GUARD}_{table}_{change.lower()} BEFORE {change} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{_REFUSED}'); END"
            )


def _remove_guards(connection: Connection) -> None:
    if words_of(connection).is_postgresql:
        connection.exec_driver_sql(f"DROP FUNCTION {_GUARD}() CASCADE")
        return
    named = run(
        connection,
        "SELECT name FROM sqlite_master WHERE type = 'trigger' AND substr(name, 1, ?) = ?",
        (len(_GUARD) + 1, f"{_GUARD}_"),
    )
    for (name,) in named.all():
        connection.exec_driver_sql(f"DROP TRIGGER {name}")
