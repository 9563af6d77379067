"""Expand first, contract in a later version: the version before works with each new table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from daemon.store import BusyWait
from daemon.store.database import engine_of
from tests.processes.postgresql import PostgresqlServer

_FIRST = "0033"
"""The last one that nothing was promised of."""


def history() -> tuple[Config, ScriptDirectory]:
    """Alembic's."""
    config = Config()
    config.set_main_option("script_location", "daemon.store:migrations")
    return config, ScriptDirectory.from_config(config)


def promised() -> list[str]:
    """The migrations after `_FIRST`, oldest first."""
    return [each.revision for each in history()[1].iterate_revisions("head", _FIRST)][::-1]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def at_first(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Connection]:
    """In a transaction on a database of each kind, with the tables of `_FIRST`."""
    if request.param == "sqlite":
        with writing(f"sqlite:///{tmp_path_factory.mktemp('first')}/new.db") as found:
            yield found
        return
    server: PostgresqlServer = request.getfixturevalue("postgresql")
    name = f"test_{uuid4().hex}"
    server.run(f"CREATE DATABASE {name}")
    with writing(server.url(name)) as found:
        yield found
    server.run(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def connection(at_first: Connection) -> Iterator[Connection]:
    """The same, and what a test changes is undone."""
    with at_first.begin_nested() as changes:
        yield at_first
        changes.rollback()


@contextmanager
def writing(url: str) -> Iterator[Connection]:
    """A transaction in which tables can be changed."""
    engine = engine_of(url, BusyWait(), "")
    with engine.upgrader.begin() as connection:
        migrate(connection, _FIRST)
        yield connection
    engine.reader.dispose()


def migrate(connection: Connection, to: str) -> None:
    """Bring the tables there."""
    config, _ = history()
    config.attributes["connection"] = connection
    command.upgrade(config, to)


def tables(connection: Connection) -> dict[str, dict[str, Any]]:
    """What another version relies on."""
    found = inspect(connection)
    # all at once: table by table takes a second
    keys, unique = found.get_multi_pk_constraint(), found.get_multi_unique_constraints()
    indices, checks = found.get_multi_indexes(), found.get_multi_check_constraints()
    references = found.get_multi_foreign_keys()
    return {
        str(name[1]): {
            "columns": {each["name"]: each for each in columns},
            "unique": {
                tuple((keys[name] or {})["constrained_columns"]),
                *(tuple(each["column_names"]) for each in unique.get(name, ())),
                *(tuple(each["column_names"]) for each in indices.get(name, ()) if each["unique"]),
            },
            "rules": {
                *(each["sqltext"] for each in checks.get(name, ())),
                *(str(each["constrained_columns"]) for each in references.get(name, ())),
            },
        }
        for name, columns in found.get_multi_columns().items()
    }


def faults(before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]]) -> list[str]:
    """What the version before would miss, or could not write."""
    found = [f"{table} is gone" for table in before if table not in after]
    for table in before.keys() & after.keys():
        old, new = before[table]["columns"], after[table]["columns"]
        found += [f"{table}.{name} is gone" for name in old if name not in new]
        found += [
            f"{table}.{name}: {fault}"
            for name, column in new.items()
            for fault in column_faults(old.get(name), column)
        ]
        found += [
            f"{table}: {kind} is not the same"
            for kind in ("unique", "rules")
            if before[table][kind] != after[table][kind]
        ]
    return found


def column_faults(old: dict[str, Any] | None, new: dict[str, Any]) -> Iterator[str]:
    """What is wrong with a column."""
    filled = new["nullable"] or new.get("default") or new.get("identity")
    if not filled and (old is None or old["nullable"] or old.get("default")):
        yield "has no value where the version before names none"
    if old and not is_as_wide(str(old["type"]), str(new["type"])):
        yield f"was {old['type']} and is {new['type']}"


def is_as_wide(old: str, new: str) -> bool:
    """Whether a type has all values of another one: only texts may become longer."""
    length = r"VARCHAR\((\d+)\)"
    before, after = re.match(length, old), re.match(length, new)
    if before and new.startswith("VARCHAR"):
        return after is None or int(after[1]) >= int(before[1])
    return old == new


@pytest.mark.parametrize("revision", promised())
def test_the_version_before_can_go_on(connection: Connection, revision: str) -> None:
    """A migration says whether it only adds; if it says so, nothing is missing, renamed, narrower
    or without a value for a node that does not know it."""
    script = history()[1].get_revision(revision)
    migrate(connection, str(script.down_revision))
    before = tables(connection)
    migrate(connection, revision)
    found = faults(before, tables(connection))
    if script.module.expands:
        assert found == []


def added(*column: Any, **more: Any) -> Callable[[Operations], None]:
    """A column of polls."""
    return lambda op: op.add_column("polls", sa.Column("new", *column, **more))


def altered(column: str, **more: Any) -> Callable[[Operations], None]:
    """A change of a column of polls."""

    def change(op: Operations) -> None:
        with op.batch_alter_table("polls") as batch:
            batch.alter_column(column, **more)

    return change


def renamed(op: Operations) -> None:
    """A table."""
    op.rename_table("host_pauses", "pauses")


def dropped(op: Operations) -> None:
    """A column."""
    with op.batch_alter_table("polls") as batch:
        batch.drop_column("busy")


TAKES_AWAY: dict[str, Callable[[Operations], object]] = {
    "drops a table": lambda op: op.drop_table("host_pauses"),
    "renames a table": renamed,
    "drops a column": dropped,
    "renames a column": altered("busy", new_column_name="at_work"),
    "adds a column that must be filled": lambda op: op.add_column(
        "empty", sa.Column("new", sa.Integer(), nullable=False)
    ),
    "has a column filled that need not be": altered("owner", nullable=False),
    "narrows a text": altered("owner", type_=sa.String(10)),
    "makes a number of a text": altered(
        "owner", type_=sa.Integer(), postgresql_using="owner::bigint"
    ),
    "forbids two of one kind": lambda op: op.create_index(
        "one_owner", "polls", ["owner"], unique=True
    ),
}


@pytest.mark.parametrize("kind", TAKES_AWAY)
def test_what_takes_away_is_found(connection: Connection, kind: str) -> None:
    """Each kind of change that the version before could not live with."""
    assert faults(*around(connection, TAKES_AWAY[kind])) != []


ADDS: dict[str, Callable[[Operations], object]] = {
    "a table": lambda op: op.create_table("new", sa.Column("x", sa.Integer(), primary_key=True)),
    "a column": added(sa.String(), nullable=True),
    "a column with a default": added(sa.Integer(), nullable=False, server_default="0"),
    "an index": lambda op: op.create_index("polls_by_owner", "polls", ["owner"]),
    "an optional value": altered("due_at", nullable=True),
    "a longer text": lambda op: (
        op.alter_column("empty", "short", type_=sa.String(20))
        if op.get_context().dialect.name == "postgresql"
        else None
    ),
}


@pytest.mark.parametrize("kind", ADDS)
def test_what_only_adds_is_not_refused(connection: Connection, kind: str) -> None:
    """Each kind of change with which the version before goes on."""
    assert faults(*around(connection, ADDS[kind])) == []


def around(
    connection: Connection, change: Callable[[Operations], object]
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """The tables before and after a change."""
    op = Operations(MigrationContext.configure(connection))
    short = sa.Column("short", sa.String(10), nullable=True)
    op.create_table("empty", sa.Column("id", sa.Integer(), primary_key=True), short)
    before = tables(connection)
    change(op)
    return before, tables(connection)
