"""Opens the database, and turns what it reports into the errors of the store.

What differs between SQLite and PostgreSQL is in `sqlite_engine` and `postgresql_engine`, in
`sql_words`, and in what is about the file of SQLite.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection, Engine, Table, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError, StatementError
from sqlmodel import Session, SQLModel
from sqlmodel.sql.expression import SelectOfScalar

from daemon.core.errors import (
    NotStorable,
    StoreError,
    StoreUnreachable,
)
from daemon.core.nodes import Member, fenced
from daemon.store.busy import BusyWait
from daemon.store.engine import StoreEngine
from daemon.store.journal.writing import begin, newest
from daemon.store.migrations import HEAD
from daemon.store.sql_words import words_of
from daemon.store.upgrade import tables_of, upgrade

_Row = TypeVar("_Row")


class Database:
    """Transactions on the database. May be used from several threads."""

    def __init__(
        self,
        url: str,
        busy_wait: BusyWait | None = None,
        password: str = "",
        *,
        alone: bool = False,
    ) -> None:
        """Open the database, and bring its tables up to date; a missing file is created.

        `busy_wait` says how long every method waits for a busy database before it raises StoreBusy.
        `alone` is as for `upgrade`. Raises as that does.
        """
        self.busy_wait = busy_wait or BusyWait()
        self.member: Member | None = None
        """The start of a node that this process belongs to: once it is fenced off, nothing is
        written. None for programs that claim nothing."""
        self._one_writer = threading.Lock()
        try:
            self._engine = engine_of(url, self.busy_wait, password)
        except OSError as error:
            raise StoreError(f"the database {url} cannot be opened: {error.strerror}") from error
        try:
            with self._as_store_error():
                self._migrate(alone=alone)
            self._begin_journal()
        except BaseException:
            self.close()
            raise

    @property
    def is_shared(self) -> bool:
        """Whether several machines may work with it, as nodes."""
        return self._engine.beats is not None

    @contextmanager
    def beating(self) -> Iterator[Connection]:
        """Run single statements on a connection that nobody else waits for. For one thread."""
        assert self._engine.beats is not None
        with self._as_store_error(), self._engine.beats.connect() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Read a consistent state. Objects stay usable after the block."""
        with self._as_store_error(), self._session(self._engine.reader) as session:
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
        with self._as_store_error(), self._reached(self._engine.single.connect) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Write in one transaction: durable when the block ends, undone if the block raises.

        Writers of this process wait for each other here, in turn, and not for the database's lock.
        Raises NodeFenced if others have taken over the work of this node.
        """
        with self._one_writer, self._as_store_error():
            if not self.is_shared:
                with self._session(self._engine.writer) as session, session.begin():
                    yield session
                return
            # begun already, and undone with its connection if the commit fails, which SQLite's is
            # by its block
            with self._session(self._engine.writer) as session:
                yield session
                session.commit()

    def repeated(self, call: Callable[[bool], _Row]) -> _Row:
        """Return the result of the call, which is made again if the database goes away meanwhile.

        It is told whether it was made before: then what it wrote may be there. Raises as it does,
        and StoreUnreachable if that is not waited for.
        """
        again = False
        while True:
            try:
                return call(again)
            except StoreUnreachable:
                if not self.busy_wait.rides or self.busy_wait.stopping.is_set():
                    raise
                again = True

    def close(self) -> None:
        """Close all connections. May be called twice."""
        self._engine.reader.dispose()
        if self._engine.beats is not None:
            self._engine.beats.dispose()

    def _session(self, engine: Engine) -> Session:
        """Return a session: of a server, with its transaction begun, once that can be reached."""
        if not self.is_shared:
            return Session(engine, expire_on_commit=False)
        return self._reached(partial(self._begun, engine))

    def _begun(self, engine: Engine) -> Session:
        session = Session(engine, expire_on_commit=False)
        try:
            session.connection()
            if self.member and engine is self._engine.writer:
                _refuse_fenced(session, self.member)
        except BaseException:
            session.close()
            raise
        return session

    def _reached(self, call: Callable[[], _Row]) -> _Row:
        return self.busy_wait.until_reachable(call, self._is_away) if self.is_shared else call()

    def _is_away(self, error: Exception) -> bool:
        return isinstance(error, DBAPIError) and isinstance(
            self._engine.failed(error), StoreUnreachable
        )

    def _migrate(self, *, alone: bool) -> None:
        with self._engine.reader.connect() as connection:
            is_current = tables_of(connection) == HEAD and self._engine.is_complete(connection)
        if not is_current:
            upgrade(self._engine, alone=alone)

    def _begin_journal(self) -> None:
        with self.read_one() as connection:
            begun = newest(connection)[0]
        if not begun:
            with self.write() as session:
                begin(session.connection())

    def _as_store_error(self) -> AbstractContextManager[None]:
        return as_store_errors(self._engine)


@contextmanager
def as_store_errors(engine: StoreEngine) -> Iterator[None]:
    """Turn what a database reports into the errors of the store."""
    shown = engine.shown
    try:
        yield
    except (IntegrityError, DataError) as error:
        raise engine.rejected(error) from _cause(error)
    except DBAPIError as error:
        raise engine.failed(error) from _cause(error)
    except (StatementError, OverflowError, UnicodeError) as error:
        kind_of_error = type(getattr(error, "orig", None) or error).__name__
        raise NotStorable(f"value rejected by the database: {kind_of_error}") from error
    except SQLAlchemyError as error:
        raise StoreError(f"the database {shown} failed: {error}") from error
    except OSError as error:
        raise StoreError(f"the database {shown} cannot be opened: {error.strerror}") from error


_TAKES_PART = text(
    "SELECT 1 FROM nodes WHERE name = :node AND incarnation = :incarnation "
    "AND fenced_at IS NULL AND stopped_at IS NULL"
)


def _refuse_fenced(session: Session, member: Member) -> None:
    values = {"node": member.node, "incarnation": member.incarnation}
    if session.execute(_TAKES_PART, values).first() is None:
        raise fenced(member.node)


def _cause(error: DBAPIError) -> BaseException | None:
    """Return what a traceback may show. What PostgreSQL says holds whole rows."""
    return None if hasattr(error.orig, "diag") else error


def engine_of(url: str, busy_wait: BusyWait, password: str) -> StoreEngine:
    """Return the connections to a database. Raises StoreError, and OSError for a file."""
    if url.startswith("sqlite:"):
        from daemon.store.sqlite_engine import SqliteEngine

        return SqliteEngine(url, busy_wait)
    try:
        from daemon.store.postgresql_engine import PostgresqlEngine
    except ImportError as error:  # also where libpq is missing
        raise StoreError(
            "a database on PostgreSQL needs psycopg, which cannot be loaded; install it with: "
            "pip install 'postmottak[postgresql]'"
        ) from error
    return PostgresqlEngine(url, busy_wait, password)


def table_of(kind: type[SQLModel]) -> Table:
    """Return the table itself, for statements so frequent that the cost of the ORM matters."""
    return SQLModel.metadata.tables[str(kind.__tablename__)]


def last_number(session: Session, kind: type[SQLModel]) -> int:
    """Return the highest number that a row of the table ever had; 0 if it never had one.

    For tables with `sqlite_autoincrement`.
    """
    highest = text(words_of(session.connection()).last_number)
    return int(session.execute(highest, {"name": kind.__tablename__}).scalar() or 0)
