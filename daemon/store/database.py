"""Opens the database; the only module that depends on which one it is, beside sqlite_file.py.

SQLite with a rollback journal and `synchronous=EXTRA`, not WAL: the SQLite that Debian 12 and 13
ship can lose acknowledged rows in WAL mode when a second program checkpoints, and in the default
mode a power cut lost an acknowledged commit; EXTRA syncs the folder too.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Table, event, inspect, make_url, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError, StatementError
from sqlmodel import Session, SQLModel, create_engine
from sqlmodel.sql.expression import SelectOfScalar

from daemon.core.errors import DiskFull, NotStorable, StoreBusy, StoreError
from daemon.core.outside_values import json_from
from daemon.runtime.owner import create_file, make_folder
from daemon.store.busy import BusyWait, is_busy
from daemon.store.column_text import json_text, write_moments_fast
from daemon.store.journal.capture import capture, forget
from daemon.store.journal.writing import begin, newest, write_captured
from daemon.store.kept_journals import JournalKeeper
from daemon.store.migrations import HEAD

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
_Row = TypeVar("_Row")
_PASSES = ("disk is full", "unable to open database file", "out of memory")
"""What SQLite reports when the system has no more space, files or memory (sqlite3_errstr). The
service waits for them, and does not end.
"""


class Database:
    """Transactions on the database. May be used from several threads."""

    def __init__(self, url: str, busy_wait: BusyWait | None = None) -> None:
        """Open the database, create it if it is missing, and migrate its tables.

        `busy_wait` says how long every method waits for a busy database before it raises StoreBusy.
        Raises StoreError.
        """
        self.url = url
        self.busy_wait = busy_wait or BusyWait()
        self._one_writer = threading.Lock()
        with _as_store_error(url):
            self._reader = _open(url, self.busy_wait)
            self._writer = self._reader.execution_options(immediate=True, journal=True)
            self._autocommit = self._reader.execution_options(single=True)
            self._migrate()
        self._begin_journal()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Read a consistent state. Objects stay usable after the block."""
        with _as_store_error(self.url), Session(self._reader, expire_on_commit=False) as session:
            yield session

    def rows(self, wanted: SelectOfScalar[_Row]) -> Sequence[_Row]:
        """Return all rows of a query."""
        with self.read() as session:
            return session.exec(wanted).all()

    def find(self, kind: type[_Row], key: object) -> _Row | None:
        """Return the row with this primary key, or None."""
        with self.read() as session:
            return session.get(kind, key)

    @contextmanager
    def read_one(self) -> Iterator[Connection]:
        """Read with one statement, without a transaction.

        For queries that every letter needs.
        """
        with _as_store_error(self.url), self._autocommit.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Write in one transaction: durable when the block ends, undone if the block raises.

        Writers of this process wait for each other here, in turn, and not in SQLite's busy loop.
        """
        with (
            self._one_writer,
            _as_store_error(self.url),
            Session(self._writer, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    def close(self) -> None:
        """Close all connections. May be called twice."""
        self._reader.dispose()

    def _migrate(self) -> None:
        with self._reader.connect() as connection:
            known = inspect(connection).has_table("alembic_version")
            current = (
                connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
                if known
                else None
            )
        if current != HEAD:
            _upgrade(self._reader.execution_options(immediate=True), self.url)

    def _begin_journal(self) -> None:
        with self.read_one() as connection:
            begun = newest(connection)[0]
        if not begun:
            with self.write() as session:
                begin(session.connection())


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
        json_deserializer=_json_of,
    )
    write_moments_fast(engine.dialect)
    event.listen(engine, "connect", partial(_prepare_connection, busy_wait))
    event.listen(engine, "do_execute", partial(_execute, busy_wait))
    journals = JournalKeeper(Path(database or ":memory:"))
    event.listen(engine, "begin", partial(_begin, journals))
    event.listen(engine, "commit", partial(_commit, journals))
    return engine


def _json_of(text: str) -> Any:
    """Parse stored JSON.

    JSON that an earlier version stored too deep to parse is cut, so that the rest can be read.
    """
    try:
        return json.loads(text)
    except RecursionError:
        return json_from(text)


def _prepare_connection(busy_wait: BusyWait, connection: Any, _record: object) -> None:
    connection.isolation_level = None  # `_begin` begins transactions
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
            write_captured(connection)
        except sqlite3.Error as error:  # while it reads, beside SQLAlchemy
            raise DBAPIError(None, None, error) from error
        if connection.info.get(_KEPT, False):
            journals.keep()
        connection.exec_driver_sql("COMMIT")


def _upgrade(engine: Engine, url: str) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", "daemon.store:migrations")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise StoreError(
                f"the database {url} was made by a later version of Postmottak; install that one"
            ) from error


def table_of(kind: type[SQLModel]) -> Table:
    """Return the table itself, for statements so frequent that the cost of the ORM matters."""
    return SQLModel.metadata.tables[str(kind.__tablename__)]


def last_number(session: Session, kind: type[SQLModel]) -> int:
    """Return the highest number that a row of the table ever had; 0 if it never had one.

    For tables with `sqlite_autoincrement`.
    """
    highest = text("SELECT seq FROM sqlite_sequence WHERE name = :name")
    return int(session.execute(highest, {"name": kind.__tablename__}).scalar() or 0)


@contextmanager
def _as_store_error(url: str) -> Iterator[None]:
    try:
        yield
    except (IntegrityError, DataError) as error:
        raise NotStorable(f"value rejected by the database: {error.orig}") from error
    except DBAPIError as error:
        if is_busy(error.orig):
            raise StoreBusy(
                f"the database {url} is busy: another program keeps it locked; try again later"
            ) from error
        kind = DiskFull if any(words in str(error.orig) for words in _PASSES) else StoreError
        raise kind(f"the database {url} failed: {error.orig}") from error
    except (StatementError, OverflowError, UnicodeError) as error:
        kind_of_error = type(getattr(error, "orig", None) or error).__name__
        raise NotStorable(f"value rejected by the database: {kind_of_error}") from error
    except SQLAlchemyError as error:
        raise StoreError(f"the database {url} failed: {error}") from error
    except OSError as error:
        raise StoreError(f"the database {url} cannot be opened: {error.strerror}") from error
