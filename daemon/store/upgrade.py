"""Brings the tables up to date, and refuses where another version is in the way."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from daemon.core.callbacks import do_nothing
from daemon.core.errors import StoreError
from daemon.core.nodes import SILENT_AFTER
from daemon.store.closed_store import refuse_closed
from daemon.store.engine import StoreEngine
from daemon.store.migrations import HEAD
from daemon.store.sql_words import run

_NO_RIGHT = "42501"
_FENCE_SILENT = text(
    "UPDATE nodes SET fenced_at = clock_timestamp() WHERE stopped_at IS NULL "
    "AND fenced_at IS NULL AND seen_at <= clock_timestamp() - make_interval(secs => :seconds)"
)
_LIVING = text(
    "SELECT name, host, version FROM nodes WHERE stopped_at IS NULL AND fenced_at IS NULL "
    "ORDER BY name"
)


def tables_of(connection: Connection) -> str | None:
    """Return the number of the tables that a database has; None if it has none of a store."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def upgrade(
    engine: StoreEngine,
    then: Callable[[Connection], object] = do_nothing,
    *,
    alone: bool = False,
) -> str | None:
    """Make the tables, or bring them up to date, and do something more in the same transaction.

    Returns the number of the tables that there were, or None. `alone` says that no other program
    may be working with the database, but for other nodes. Raises StoreError if its tables are of a
    later version, if this user may not change them, or if that must wait for nodes of an earlier
    version; and StoreClosed.
    """
    with engine.upgrader.begin() as connection:
        before = tables_of(connection)
        if before and before != HEAD:
            refuse_closed(connection, engine.shown)
        try:
            if before != HEAD:
                _change(engine, connection, before, alone=alone)
            elif not engine.is_complete(connection):
                engine.complete(connection)
            then(connection)
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) == _NO_RIGHT:
                raise StoreError(_no_right(engine.shown, before)) from None
            raise
    return before


def _change(
    engine: StoreEngine, connection: Connection, before: str | None, *, alone: bool
) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    from daemon.runtime.process import own_version

    config = Config()
    config.set_main_option("script_location", "daemon.store:migrations")
    config.attributes["connection"] = connection
    history = ScriptDirectory.from_config(config)
    try:
        history.get_revision(before or "base")
    except CommandError as error:
        raise StoreError(
            f"the database {engine.shown} was made by a later version of Postmottak"
            f"{_later(connection, before)}; install that one"
        ) from error
    steps = history.iterate_revisions("head", before or "base")
    if before and not all(_expands(each.module) for each in steps):
        _refuse_contraction(engine, connection, alone=alone)
    command.upgrade(config, "head")
    engine.complete(connection)
    run(connection, "DELETE FROM upgrades WHERE tables = ?", (HEAD,))
    values = (HEAD, own_version())
    run(connection, "INSERT INTO upgrades (tables, version) VALUES (?, ?)", values)


def _expands(migration: ModuleType) -> bool:
    """Whether the version before can go on; nothing before 0034 had two versions at once."""
    return bool(getattr(migration, "expands", True))


def _refuse_contraction(engine: StoreEngine, connection: Connection, *, alone: bool) -> None:
    """Raise StoreError where the version before may be at work, which needs what is taken away.

    Silent nodes are fenced off, so that none comes back to tables that it does not know.
    """
    shown = engine.shown
    if not alone:
        raise StoreError(
            f"the database {shown} has tables of an earlier version, which is still to end its "
            "work with them: stop that one, and start the service, or run `postmottak db upgrade`"
        )
    if engine.beats is None or not inspect(connection).has_table("nodes"):
        return
    connection.execute(_FENCE_SILENT, {"seconds": SILENT_AFTER.total_seconds()})
    living = [
        f"{name} on {host} ({version})" for name, host, version in connection.execute(_LIVING)
    ]
    if living:
        raise StoreError(
            f"the database {shown} cannot be brought up to date while nodes of an earlier version "
            f"work with it; stop them: {', '.join(living)}"
        )


def _no_right(shown: str, before: str | None) -> str:
    has = f"the tables {before}, and this version needs {HEAD}" if before else "no tables"
    if before == HEAD:
        has = "tables of another owner"
    return (
        f"the database {shown} has {has}, and its user may not make them; run `postmottak db "
        "upgrade --user NAME`, with the name of their owner"
    )


def _later(connection: Connection, tables: str | None) -> str:
    """Name the version that made the tables, as it has noted itself."""
    version = None
    if inspect(connection).has_table("upgrades"):
        asked = "SELECT version FROM upgrades WHERE tables = ?"
        version = run(connection, asked, (tables,)).scalar()
    name = f", {version}" if version else ""
    return f"{name} (it has the tables {tables}, and this one knows {HEAD})"
