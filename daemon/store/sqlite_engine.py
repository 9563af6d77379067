"""Opens SQLite.

With a rollback journal and `synchronous=EXTRA`, not WAL: the SQLite that Debian 12 and 13 ship can
lose acknowledged rows in WAL mode when a second program checkpoints, and in the default mode a
power cut lost an acknowledged commit; EXTRA syncs the folder too.
"""

from __future__ import annotations

import sqlite3
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, event, make_url
from sqlalchemy.exc import DBAPIError
from sqlmodel import create_engine

from daemon.core.errors import DiskFull, NotStorable, PostmottakError, StoreBusy, StoreError
from daemon.runtime.owner import create_file, make_folder
from daemon.store.busy import BusyWait, is_busy
from daemon.store.column_text import any_text, json_of, json_text, write_moments_fast
from daemon.store.journal.capture import capture, captured, forget
from daemon.store.journal.writing import write_captured
from daemon.store.kept_journals import JournalKeeper

_PRAGMAS = (
    "journal_mode=TRUNCATE",
    "synchronous=EXTRA",
    "foreign_keys=ON",
    "trusted_schema=OFF",
    "secure_delete=ON",  # what retention deletes is overwritten, and not only forgotten
)
_KEPT = "journals are kept"  # what is remembered with a connection
_KEEPING = ("journal_mode=DELETE", "cache_spill=OFF")
_NOT_KEEPING = ("journal_mode=TRUNCATE", "cache_spill=ON")
_PASSES = ("disk is full", "unable to open database file", "out of memory")
"""What SQLite reports when the system has no more space, files or memory (sqlite3_errstr). The
service waits for them, and does not end.
"""


class SqliteEngine:
    """Connections to a file. It is created if it is missing, with its folder."""

    def __init__(self, url: str, busy_wait: BusyWait) -> None:
        self.shown = url
        self.reader: Engine = _open(url, busy_wait)
        self.upgrader: Engine = self.reader.execution_options(immediate=True)
        self.writer: Engine = self.reader.execution_options(immediate=True, journal=True)
        self.single: Engine = self.reader.execution_options(single=True)
        self.beats: Engine | None = None  # one node has it for itself

    def complete(self, connection: Connection) -> None:
        """Add nothing: the migrations have made everything."""

    def is_complete(self, connection: Connection) -> bool:  # noqa: ARG002  # as in `complete`
        """Return True: what notes changes for the journal, each connection makes for itself."""
        return True

    def rejected(self, error: DBAPIError) -> NotStorable:
        """Return what a rejected value becomes."""
        return NotStorable(f"value rejected by the database: {error.orig}")

    def failed(self, error: DBAPIError) -> PostmottakError:
        """Return what another failure becomes."""
        if is_busy(error.orig):
            return StoreBusy(
                f"the database {self.shown} is busy: another program keeps it locked; try again "
                "later"
            )
        kind = DiskFull if any(words in str(error.orig) for words in _PASSES) else StoreError
        return kind(f"the database {self.shown} failed: {error.orig}")


def _open(url: str, busy_wait: BusyWait) -> Engine:
    database = make_url(url).database
    if database:
        make_folder(Path(database).parent)
        # SQLite would leave it to the umask who may read it
        create_file(Path(database))
    engine = create_engine(
        url,
        hide_parameters=True,
        pool_use_lifo=True,
        json_serializer=json_text,
        json_deserializer=json_of,
    )
    write_moments_fast(engine.dialect)
    event.listen(engine, "connect", partial(_prepare_connection, busy_wait))
    event.listen(engine, "do_execute", partial(_execute, busy_wait))
    journals = JournalKeeper(Path(database or ":memory:"))
    event.listen(engine, "begin", partial(_begin, journals))
    event.listen(engine, "commit", partial(_commit, journals))
    return engine


def _prepare_connection(busy_wait: BusyWait, connection: Any, _record: object) -> None:
    connection.isolation_level = None  # `_begin` begins transactions
    connection.text_factory = any_text
    connection.execute("PRAGMA busy_timeout=0")  # `busy_wait` waits, also for the others
    for pragma in _PRAGMAS:
        busy_wait.until_free(partial(connection.execute, f"PRAGMA {pragma}"))


def _execute(
    busy_wait: BusyWait, cursor: Any, statement: str, parameters: Any, _context: object
) -> bool:
    """Run a statement instead of the dialect, and wait while the database is busy."""
    busy_wait.until_free(partial(cursor.execute, statement, parameters))
    return True


def _begin(journals: JournalKeeper, connection: Connection) -> None:
    """Begin, with the write lock at once for writers.

    A transaction that takes it later fails with `database is locked` without waiting.
    """
    options = connection.get_execution_options()
    forget(connection)
    if options.get("immediate", False):
        if options.get("journal", False):
            capture(connection)
        _begin_to_write(journals, connection)
    elif not options.get("single", False):
        connection.exec_driver_sql("BEGIN")


def _begin_to_write(journals: JournalKeeper, connection: Connection) -> None:
    """Begin to write, with the kind of journal that a copy needs while one is under way.

    Pages are changed in the file by the commit only then, when the journal has its second name.
    """
    while True:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        wanted = journals.is_wanted()
        if connection.info.get(_KEPT, False) == wanted:
            return
        connection.exec_driver_sql("ROLLBACK")  # inside a transaction the kind does not change
        for pragma in _KEEPING if wanted else _NOT_KEEPING:
            connection.exec_driver_sql(f"PRAGMA {pragma}").close()
        connection.info[_KEPT] = wanted


def _commit(journals: JournalKeeper, connection: Connection) -> None:
    """Commit by a statement, which waits like every other and can be repeated after a reader."""
    # a connection of sqlite3's
    if connection.connection.dbapi_connection.in_transaction:  # type: ignore[union-attr]
        try:
            write_captured(connection, captured(connection))
        except sqlite3.Error as error:  # while it reads, beside SQLAlchemy
            raise DBAPIError(None, None, error) from error
        if connection.info.get(_KEPT, False):
            journals.keep()
        connection.exec_driver_sql("COMMIT")
