"""A database that another program holds: it is waited for, and nothing that was to be kept is lost
by it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlmodel import Session

from daemon.core.bookkeeping import RoutingVersion
from daemon.core.errors import StoreBusy
from daemon.store import BusyWait, Database, wait_limit
from tests.unit.conftest import NOW

STEP = 0.05  # seconds
LOCKS = {
    "writer": "BEGIN IMMEDIATE",
    "reader": "BEGIN; SELECT count(*) FROM alembic_version",
    "alone": "BEGIN EXCLUSIVE",
}
"""How another program holds the database: a reader lets a transaction begin, and not end."""
HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2].split("; "):
    connection.execute(statement).fetchall()
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(database: Path, lock: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the database until it is let go, or until the block ends."""
    command = [sys.executable, "-c", HOLDER, str(database), LOCKS[lock]]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def let_go(process: subprocess.Popen[str]) -> None:
    """Close the database, in good order."""
    assert process.stdin
    process.stdin.close()
    process.wait()


class Waits:
    """Counts the waits, and releases the database after so many."""

    def __init__(self, process: subprocess.Popen[str], *, after: int) -> None:
        self._process, self._after = process, after
        self.count = 0

    def __call__(self, step: float, total: float) -> None:
        assert 0 <= step <= total
        self.count += 1
        if self.count == self._after:
            let_go(self._process)


def open_database(database: Path) -> Database:
    """The database, opened while nobody holds it; it gives up after nearly no wait at all."""
    return Database(f"sqlite:///{database}", BusyWait(step=STEP, limit=0))


def keep(session: Session, version: str) -> None:
    """Some row."""
    session.add(RoutingVersion(version=version, text="", in_force_since=NOW))
    session.flush()


def kept(opened: Database) -> set[str]:
    """The rows of `keep`."""
    with opened.read() as session:
        return set(
            session.execute(
                text("SELECT version FROM routing_versions WHERE length(version) < 20")
            ).scalars()
        )


@pytest.mark.parametrize("lock", LOCKS)
def test_a_write_waits_longer_than_sqlite_does(database: Path, lock: str) -> None:
    """A transaction that meets another program waits until that is done, through many waits of
    SQLite's, and is kept once and whole."""
    opened = open_database(database)
    with held(database, lock) as process:
        opened.busy_wait.limit, opened.busy_wait.on_wait = None, (waits := Waits(process, after=5))
        with opened.write() as session:
            keep(session, "one")
            keep(session, "two")
        assert waits.count >= 5
    assert kept(opened) == {"one", "two"}
    opened.close()


def test_reads_wait_as_well(database: Path) -> None:
    """What is asked while another program has the database for itself alone is answered when that
    is done."""
    opened = open_database(database)
    for read_one in (opened.read, opened.read_one):
        with held(database, "alone") as process:
            opened.busy_wait.limit, opened.busy_wait.on_wait = (
                None,
                (waits := Waits(process, after=3)),
            )
            with read_one() as place:
                assert place.execute(text("SELECT count(*) FROM alembic_version")).scalar() == 1
            assert waits.count >= 3
    opened.close()


def test_a_new_connection_waits_as_well(database: Path) -> None:
    """A store can be opened while another program has it for itself alone, for its very first
    question is one that waits."""
    with held(database, "alone") as process:
        busy_wait = BusyWait(step=STEP, limit=None, on_wait=(waits := Waits(process, after=3)))
        opened = Database(f"sqlite:///{database}", busy_wait)
        assert waits.count >= 3
    opened.close()


@pytest.mark.parametrize("lock", LOCKS)
def test_a_wait_with_an_end_fails_with_a_reason(database: Path, lock: str) -> None:
    """When the limit is over, the error says that the database is busy, nothing of the transaction
    is kept, and the next one is."""
    opened = open_database(database)
    with (
        held(database, lock),
        pytest.raises(StoreBusy, match="is busy: another program keeps it locked"),
        opened.write() as session,
    ):
        keep(session, "lost")
    with opened.write() as session:
        keep(session, "kept")
    assert kept(opened) == {"kept"}
    opened.close()


def test_a_request_fails_sooner(database: Path) -> None:
    """Where all callers wait for as long as it takes, one of them can choose to wait less."""
    opened = open_database(database)
    with held(database, "alone") as process:
        opened.busy_wait.limit, opened.busy_wait.on_wait = None, Waits(process, after=6)
        with pytest.raises(StoreBusy), wait_limit(2 * STEP), opened.read_one() as connection:
            connection.execute(text("SELECT 1 FROM alembic_version"))
        with opened.read_one() as connection:
            assert connection.execute(text("SELECT 1 FROM alembic_version")).scalar() == 1
    opened.close()


def test_a_stop_ends_every_wait(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits, and who waits for that one, end soon when the service is to stop, though the
    database stays busy."""
    monkeypatch.setattr("daemon.store.busy._GRACE", 2 * STEP)
    opened, stopping, waiting = open_database(database), threading.Event(), threading.Event()
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            with opened.write() as session:
                keep(session, f"{number}")
        except StoreBusy as error:
            failures.append(error)

    with held(database, "writer"):
        opened.busy_wait.limit, opened.busy_wait.stopping = None, stopping
        opened.busy_wait.on_wait = lambda *_: waiting.set()
        threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        assert waiting.wait(10)
        stopping.set()
        for thread in threads:
            thread.join(10)
        assert len(failures) == 3
    assert kept(opened) == set()
    opened.close()


def test_a_holder_that_is_killed_is_waited_for(database: Path) -> None:
    """Another program that is killed in the middle of its transaction leaves nothing that has to be
    waited for."""
    opened = open_database(database)
    opened.busy_wait.limit = None
    with held(database, "alone") as process:
        threading.Timer(4 * STEP, process.kill).start()
        with opened.write() as session:
            keep(session, "kept")
    assert kept(opened) == {"kept"}
    opened.close()
