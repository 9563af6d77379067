"""Alembic makes the tables of a new database in some 200 milliseconds. An installation has one new
database; the tests have thousands, and here it makes those of the first only."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from sqlalchemy import Connection, Engine, inspect

from daemon.core.callbacks import do_nothing


def share(change: Callable[[object, str, object], None]) -> None:
    """Give every new database the tables that Alembic has made in the first one.

    What has tables already is migrated as ever. `change` is `setattr`, or that of a MonkeyPatch.
    """
    from daemon.store import database
    from daemon.store.engine import StoreEngine
    from daemon.store.upgrade import upgrade as migrate

    statements = list[str]()

    def upgrade(
        engine: StoreEngine,
        then: Callable[[Connection], object] = do_nothing,
        *,
        alone: bool = False,
    ) -> str | None:
        if engine.upgrader.dialect.name != "sqlite" or then is not do_nothing:
            return migrate(engine, then, alone=alone)
        with engine.upgrader.begin() as connection:
            is_new = not inspect(connection).get_table_names()
            for each in statements if is_new else ():
                connection.exec_driver_sql(each)
        if not (is_new and statements):
            migrate(engine, alone=alone)
        if is_new and not statements:
            statements.extend(_made(engine.upgrader))
        return None

    change(database, "upgrade", upgrade)


def _made(engine: Engine) -> Sequence[str]:
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        return list(driver.iterdump())[1:-1]  # without BEGIN and COMMIT
