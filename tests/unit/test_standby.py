"""A standby that takes over from a server of PostgreSQL, and what is said of one that does not."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import psycopg
import pytest

from daemon.core.errors import StoreError, StoreUnreachable
from daemon.store import Store
from daemon.store.postgresql_server import server_facts
from tests.processes.postgresql import NoPostgresqlError, PostgresqlServer
from tests.unit.conftest import NOW, TABLE, stored_letter

_DATABASE = "letters"


@pytest.fixture
def servers() -> Iterator[tuple[PostgresqlServer, PostgresqlServer]]:
    """A server with a new database, and a standby that follows it."""
    folder = Path(tempfile.mkdtemp(prefix="postmottak-pg-"))
    folder.chmod(0o755)
    try:
        first = PostgresqlServer(folder / "first", "fsync=off")
    except NoPostgresqlError as error:
        shutil.rmtree(folder)
        pytest.skip(str(error))
    first.start()
    first.run(f"CREATE DATABASE {_DATABASE}")
    second = first.standby(folder / "second")
    second.start()
    yield first, second
    for each in (first, second):
        with suppress(ProcessLookupError):
            os.kill(each.pid, signal.SIGQUIT)
    shutil.rmtree(folder, ignore_errors=True)


def _ask(server: PostgresqlServer, statement: str) -> object:
    with psycopg.connect(server.conninfo(_DATABASE), autocommit=True) as connection:
        found = connection.execute(statement.encode()).fetchone()
        return found and found[0]


def _followed(first: PostgresqlServer) -> None:
    """Wait until the standby has all that the first one has committed."""
    behind = "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn = pg_current_wal_lsn()"
    ends = time.monotonic() + 20
    while _ask(first, behind) != 1:
        assert time.monotonic() < ends
        time.sleep(0.05)


def test_a_store_goes_on_with_the_standby(
    servers: tuple[PostgresqlServer, PostgresqlServer],
) -> None:
    """The server dies and its standby is promoted: the same store waits, goes on writing, and has
    what was stored before, with a journal in order."""
    first, second = servers
    url = f"postgresql+psycopg://postgres@/{_DATABASE}?host={second.folder},{first.folder}"
    with closing(Store(url)) as store:
        store.wait_until(threading.Event())
        store.letters.note_table(TABLE.version, TABLE.text, NOW)
        store.letters.add([stored_letter("before")])
        _followed(first)
        os.kill(first.pid, signal.SIGQUIT)
        promoting = threading.Timer(1.0, lambda: second.run("SELECT pg_promote()"))
        promoting.start()
        store.letters.add([stored_letter("after")])
        promoting.join()
        both = [stored_letter(each).message.id for each in ("before", "after")]
        assert store.letters.stored_of(both) == {*both}
        assert store.journal.verify().faults == []


@pytest.mark.parametrize("chosen", ["", "&target_session_attrs=any"])
def test_a_standby_alone_is_named(
    servers: tuple[PostgresqlServer, PostgresqlServer], chosen: str
) -> None:
    """A URL that leads to a standby only: nothing is written to it, and it is said that it is one,
    whether or not the URL lets libpq take it."""
    first, second = servers
    store = Store(first.url(_DATABASE))
    store.close()
    _followed(first)
    url = f"{second.url(_DATABASE)}{chosen}"

    def write() -> None:
        with closing(Store(url)) as store:
            assert store.queries.counts().messages == 0  # it can be read
            store.letters.add([stored_letter("new")])

    with pytest.raises(StoreUnreachable, match="it is a standby"):
        write()
    if chosen:
        assert not server_facts(url, "").takes_writes
    else:
        with pytest.raises(StoreError, match="it is a standby"):
            server_facts(url, "")
