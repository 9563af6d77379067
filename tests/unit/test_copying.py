"""A copy of the database, and a check of it, beside a service that writes: it need not wait, and
the copy is of one moment."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from daemon.cli.output import Progress
from daemon.core.errors import StoreBusy
from daemon.store import sqlite_file
from daemon.store.sqlite_file import copied, copy_database, corruption


@pytest.fixture(name="large")
def large_database(tmp_path: Path) -> Path:
    """A database with two tables that say the same, of some hundred pages."""
    path = tmp_path / "large.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE one (number, text)")
        database.execute("CREATE TABLE other (number, text)")
        for number in range(500):
            database.execute("INSERT INTO one VALUES (?, ?)", [number, "x" * 3000])
            database.execute("INSERT INTO other VALUES (?, ?)", [number, "x" * 3000])
        database.commit()
    return path


def write_at_once(path: Path) -> None:
    """Change both tables in one transaction, from a connection that waits for nobody."""
    with closing(sqlite3.connect(path, timeout=0)) as other:
        other.execute("UPDATE one SET number = number + 1")
        other.execute("UPDATE other SET number = number + 1")
        other.commit()


def tells_one_state(path: Path) -> bool:
    """Whether both tables still say the same, and nothing is damaged."""
    with closing(sqlite3.connect(path)) as database:
        first, second = (
            database.execute(f"SELECT sum(number) FROM {name}").fetchone()
            for name in ("one", "other")
        )
    return first == second and corruption(path) == []


class Writing:
    """In the place of what looks after each step: writes at some of them, as a service would."""

    def __init__(self, path: Path, then: Callable[..., None], *, times: int) -> None:
        self._path, self._then, self._left = path, then, times

    def __call__(self, *step: Any) -> None:
        if self._left:
            self._left -= 1
            write_at_once(self._path)
        self._then(*step)


def test_others_write_while_a_copy_is_made(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two steps another program commits without waiting, and the copy is of one moment all
    the same."""
    monkeypatch.setattr(sqlite_file, "_STEP", 20)
    steps = sqlite_file._Steps
    monkeypatch.setattr(
        sqlite_file, "_Steps", lambda restarts: Writing(large, steps(restarts), times=5)
    )
    copy_database(large, tmp_path / "copy.db")
    assert tells_one_state(tmp_path / "copy.db")


def test_a_copy_is_made_though_others_write_all_the_time(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where each step meets a write, the copy is made in one step in the end, and is of one
    moment."""
    monkeypatch.setattr(
        sqlite_file, "_STEP", 700
    )  # more than a cache holds, so that half a copy is in the file
    steps, made = sqlite_file._Steps, []

    def writing(restarts: int) -> Writing:
        made.append(Writing(large, steps(restarts), times=1000))
        return made[-1]

    monkeypatch.setattr(sqlite_file, "_Steps", writing)
    copy_database(large, tmp_path / "copy.db")
    assert tells_one_state(tmp_path / "copy.db")
    assert [1000 - each._left for each in made] == [sqlite_file._RESTARTS + 2, 1]


def test_a_copy_of_a_busy_database(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where another program holds the database to the end, that is said, nothing is called damaged,
    and no copy is left."""
    monkeypatch.setattr(sqlite_file, "_TIMEOUT", 0.1)
    with closing(sqlite3.connect(large)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreBusy, match="another program keeps it locked"):
            copy_database(large, tmp_path / "copy.db")
        with pytest.raises(StoreBusy), copied(large):
            pass
        with pytest.raises(StoreBusy):
            corruption(large)
    assert not (tmp_path / "copy.db").exists()


def test_what_is_checked_is_a_copy_that_goes(large: Path) -> None:
    """While a copy is looked at, the database itself can be written to; afterwards the copy is
    gone, also one that was left behind."""
    remnant = large.with_name(".large.db.checked")
    remnant.write_text("of a check that was killed")
    with copied(large) as copy:
        with closing(sqlite3.connect(copy)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM one").fetchall()
            write_at_once(large)
        assert tells_one_state(copy)
    assert not remnant.exists()


def test_without_room_the_database_itself_is_checked(
    large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that has no room for a copy does not stop a check."""
    monkeypatch.setattr(sqlite_file, "_MORE", 1e12)
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
