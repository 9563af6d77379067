"""A copy of the database, and a check of it, beside others that write all the time: no commit waits
for it, it ends, and it is of one moment."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from daemon.cli.output import Progress
from daemon.core.errors import StoreBusy
from daemon.store import snapshot, sqlite_file
from daemon.store.busy import BusyWait
from daemon.store.database import Database
from daemon.store.kept_journals import folder_beside
from daemon.store.snapshot import copied, take_snapshot
from daemon.store.sqlite_file import corruption

ROOT = Path(__file__).parents[2]
ROWS = 500
ADD = "UPDATE {} SET number = number + 1, text = zeroblob(4000) WHERE rowid % 10 = 1"
WRITER = """
import sys
from sqlalchemy import text
from daemon.store.database import Database
database, number = Database(f"sqlite:///{sys.argv[1]}"), 0
print("ready", flush=True)
while True:
    number += 1
    with database.write() as session:
        for table in ("one", "other"):
            session.execute(
                text(f"UPDATE {table} SET number = number + 1, text = zeroblob(3000) "
                "WHERE rowid % 50 = :place"), {"place": number % 50},
            )
            session.execute(text(f"INSERT INTO {table} VALUES (0, zeroblob(500))"))
    print(number, flush=True)
"""


@pytest.fixture(name="large")
def large_database(database: Path) -> Path:
    """A database with two tables that say the same, of some hundred pages."""
    with closing(sqlite3.connect(database)) as connection:
        for table in ("one", "other"):
            connection.execute(f"CREATE TABLE {table} (number, text)")
            connection.executemany(
                f"INSERT INTO {table} VALUES (?, zeroblob(3000))", [[each] for each in range(ROWS)]
            )
        connection.commit()
    return database


@pytest.fixture(name="small_pieces", autouse=True)
def pieces_of_some_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies are made in many pieces."""
    monkeypatch.setattr(snapshot, "_PIECE", 100 * 4096)


@pytest.fixture(name="service")
def database_of_the_service(large: Path) -> Iterator[Database]:
    """The database as the service opens it, which waits for nobody."""
    service = Database(f"sqlite:///{large}", BusyWait(step=0, limit=0))
    yield service
    service.close()


def write(service: Database) -> None:
    """Change both tables in one transaction, as Postmottak does."""
    with service.write() as session:
        for table in ("one", "other"):
            session.execute(text(ADD.format(table)))
            session.execute(text(f"INSERT INTO {table} VALUES (0, zeroblob(500))"))


def write_as_a_stranger(path: Path) -> None:
    """Change both tables in one transaction, by a program that keeps no journals."""
    with closing(sqlite3.connect(path, timeout=0)) as other:
        for table in ("one", "other"):
            other.execute(ADD.format(table))
        other.commit()


def state(path: Path) -> int:
    """The sum that both tables must have, where nothing is damaged."""
    assert corruption(path) == []
    with closing(sqlite3.connect(path)) as database:
        first, second = (
            database.execute(f"SELECT sum(number) FROM {name}").fetchone()[0]
            for name in ("one", "other")
        )
    assert first == second
    return int(first)


def never(*_: object) -> None:
    """In the place of what holds up commits."""
    raise AssertionError("commits would wait for the whole copy")


@contextmanager
def writing(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Let another process commit without a pause, until the block ends."""
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


def test_whoever_commits_never_waits_for_a_copy(
    large: Path, service: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each of its steps another connection commits without waiting for a moment, and the copy
    shows the moment when it began."""
    monkeypatch.setattr(snapshot, "copy_in_one_step", never)
    before, steps = state(large), []

    def step(what: str) -> None:
        steps.append(what)
        write(service)

    take_snapshot(large, tmp_path / "copy.db", step)
    assert state(tmp_path / "copy.db") == before
    assert state(large) > before
    assert len(steps) > 5


def test_a_copy_ends_beside_a_process_that_always_writes(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that commits again and again goes on while copies are made, and each is whole."""
    monkeypatch.setattr(snapshot, "copy_in_one_step", never)
    with writing(large) as process:
        assert process.stdout
        for number in range(3):
            copy = tmp_path / f"{number}.db"
            take_snapshot(large, copy, lambda _, out=process.stdout: out.readline())  # type: ignore[misc]
            assert state(copy) > 0


def test_a_copy_is_whole_though_writers_are_killed(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that is killed at any moment leaves nothing of its last transaction in the copy."""
    monkeypatch.setattr(snapshot, "copy_in_one_step", never)
    for number in range(3):
        with writing(large) as process:
            assert process.stdout
            steps = iter([lambda: None] * number + [process.kill])
            copy = tmp_path / f"{number}.db"
            take_snapshot(large, copy, lambda _: next(steps, lambda: None)())  # noqa: B023
        assert state(copy) > 0
        assert state(large) >= state(copy)


@pytest.mark.parametrize("times", [1, 1000])
def test_a_program_that_keeps_no_journals(large: Path, tmp_path: Path, times: int) -> None:
    """Beside another program that writes, now and then or always, a copy is of one moment too."""
    left = [write_as_a_stranger] * times

    def step(_: str) -> None:
        if left:
            left.pop()(large)

    take_snapshot(large, tmp_path / "copy.db", step)
    assert state(tmp_path / "copy.db") == state(large)


def test_what_a_writer_did_before_a_copy_is_in_it(
    large: Path, service: Database, tmp_path: Path
) -> None:
    """After a copy writers keep no journals any more, and in the next one they do again."""
    for number in range(2):
        write(service)
        assert [each for each in large.parent.iterdir() if "copying" in each.name] == []
        assert large.with_name(f"{large.name}-journal").exists()
        copy = tmp_path / f"copy-{number}.db"
        before = state(large)
        take_snapshot(large, copy, lambda _: write(service))
        assert state(copy) == before


def test_journals_of_a_killed_copy_go_with_the_next_commit(
    large: Path, service: Database, tmp_path: Path
) -> None:
    """A copy that is killed leaves nothing that the next commit of any process does not remove."""
    command = (
        "import os, signal, sys; from pathlib import Path; from daemon.store import snapshot; "
        "snapshot.take_snapshot(Path(sys.argv[1]), Path(sys.argv[2]), "
        "lambda _: os.kill(os.getpid(), signal.SIGKILL))"
    )
    copy = [sys.executable, "-c", command, str(large), str(tmp_path / "copy.db")]
    assert subprocess.run(copy, check=False, cwd=ROOT).returncode == -signal.SIGKILL
    assert folder_beside(large).is_dir()
    write(service)
    assert [each for each in large.parent.iterdir() if "copying" in each.name] == []


def test_without_links_a_copy_is_made_all_the_same(
    large: Path, service: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a file system without hard links a commit does not fail, and the copy is of one moment."""

    def no_link(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", no_link)
    take_snapshot(large, tmp_path / "copy.db", lambda _: write(service))
    assert state(tmp_path / "copy.db") == state(large)


def test_a_copy_of_a_busy_database(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where another program holds the database to the end, that is said, nothing is called damaged,
    and no copy is left."""
    monkeypatch.setattr(sqlite_file, "_TIMEOUT", 0.1)
    with closing(sqlite3.connect(large)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreBusy, match="another program keeps it locked"):
            take_snapshot(large, tmp_path / "copy.db")
        with pytest.raises(StoreBusy), copied(large):
            pass
        with pytest.raises(StoreBusy):
            corruption(large)
    assert not (tmp_path / "copy.db").exists()
    assert not folder_beside(large).exists()


def test_what_is_checked_is_a_copy_that_goes(large: Path, service: Database) -> None:
    """While a copy is looked at, the database itself can be written to; afterwards the copy is
    gone, also one that was left behind."""
    remnant = large.with_name(f".{large.name}.checked")
    remnant.write_text("of a check that was killed")
    with copied(large) as copy:
        with closing(sqlite3.connect(copy)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM one").fetchall()
            write(service)
        assert state(copy) < state(large)
    assert not remnant.exists()


def test_without_room_the_database_itself_is_checked(
    large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that has no room for a copy does not stop a check."""
    monkeypatch.setattr(snapshot, "_MORE", 1e12)
    with copied(large) as checked:
        assert checked == large


def test_a_long_check_shows_progress(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator who waits for a long check sees that it goes on."""
    monkeypatch.setattr(sqlite_file, "_OPERATIONS", 100)
    beats: list[None] = []
    assert corruption(large, lambda: beats.append(None)) == []
    assert beats


def test_progress_is_said_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    """What takes long is said every ten seconds, on stderr, and what is quick is not said at
    all."""
    now = [100.0]
    progress = Progress(lambda: now[0])
    for _ in range(25):
        progress("checking")
        now[0] += 1
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "checking, 10 s\nchecking, 20 s\n")
