"""Alembic makes the tables of a new database in some 200 milliseconds. An installation has one new
database; the tests have thousands, and here it makes those of the first only."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from sqlalchemy import Engine, inspect


def share(change: Callable[[object, str, object], None]) -> None:
    """Give every new database the tables that Alembic has made in the first one.

    What has tables already is migrated as ever. `change` is `setattr`, or that of a MonkeyPatch.
    """
    from daemon.store import database

    migrate, statements = database._upgrade, list[str]()

    def upgrade(engine: database.StoreEngine) -> None:
        if engine.upgrader.dialect.name != "sqlite":
            migrate(engine)
            return
        with engine.upgrader.begin() as connection:
            is_new = not inspect(connection).get_table_names()
            for each in statements if is_new else ():
                connection.exec_driver_sql(each)
        if not (is_new and statements):
            migrate(engine)
        if is_new and not statements:
            statements.extend(_made(engine.upgrader))

    change(database, "_upgrade", upgrade)


def _made(engine: Engine) -> Sequence[str]:
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        return list(driver.iterdump())[1:-1]  # without BEGIN and COMMIT
