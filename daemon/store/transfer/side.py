"""One of the two databases of a move, without a store on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property

from sqlalchemy import Connection, inspect
from sqlalchemy.exc import DBAPIError

from daemon.store.busy import BusyWait
from daemon.store.closed_store import MoveMark, move_mark
from daemon.store.database import as_store_errors, engine_of
from daemon.store.journal.writing import newest
from daemon.store.sql_words import SqlWords, words_of
from daemon.store.upgrade import upgrade


class Side:
    """Connections to a database. What it raises are errors of the store."""

    def __init__(self, url: str, password: str = "") -> None:
        self._engine = engine_of(url, BusyWait(), password)
        self.shown = self._engine.shown

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Read one state."""
        with as_store_errors(self._engine), self._engine.reader.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Write in one transaction, of which the journal has nothing."""
        with (
            as_store_errors(self._engine),
            self._engine.upgrader.begin() as connection,
            _driver_errors(self.words),
        ):
            yield connection

    def make_tables(self, then: Callable[[Connection], object]) -> None:
        """Make the tables of a store in an empty database, and do more in the same transaction."""
        with as_store_errors(self._engine):
            upgrade(self._engine, then)

    def tables(self) -> list[str]:
        """Return the names of all tables that it has, of whatever program."""
        with self.reading() as connection:
            return sorted(inspect(connection).get_table_names())

    def mark(self) -> MoveMark | None:
        """Return what it says of the move that it is part of."""
        with self.reading() as connection:
            return move_mark(connection)

    def has_row_of_journal(self, sequence: int, digest: bytes) -> bool:
        """Whether its journal has this row, and so all that came before."""
        with self.reading() as connection:
            if not inspect(connection).has_table("journal"):
                return False
            statement = self.words.statement("SELECT hash FROM journal WHERE sequence = ?")
            found = connection.exec_driver_sql(statement, (sequence,)).scalar()
        return found is not None and bytes(found) == digest

    def newest_of_journal(self) -> tuple[int, bytes]:
        """Return the sequence and the hash of the newest row of its journal."""
        with self.reading() as connection:
            return newest(connection)

    @cached_property
    def words(self) -> SqlWords:
        """What it calls things."""
        with self.reading() as connection:
            return words_of(connection)

    def close(self) -> None:
        """Close all connections. May be called twice."""
        self._engine.reader.dispose()


@contextmanager
def _driver_errors(words: SqlWords) -> Iterator[None]:
    """Wrap what psycopg raises beside SQLAlchemy, as SQLAlchemy does."""
    if not words.is_postgresql:
        yield
        return
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        raise DBAPIError(None, None, error) from error
