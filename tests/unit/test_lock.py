"""One process for each store."""

from __future__ import annotations

import fcntl
import os
import pwd
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from daemon.core.errors import StoreError
from daemon.store.in_use import POLL, SERVICE, StoreUse, store_use
from daemon.store.lock import InstanceLock
from tests.unit.conftest import ROOT

_HOLDERS = """
import os, signal, sys
from pathlib import Path
from daemon.store.lock import InstanceLock
while files := sys.stdin.readline().split():
    child = os.fork()
    if not child:
        lock = InstanceLock(*map(Path, files))
        print("held", flush=True)
        signal.pause()
    sys.stdin.readline()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    print("killed", flush=True)
"""
Held = Callable[..., AbstractContextManager[None]]


@pytest.fixture(name="held", scope="module")
def held_by_another_process() -> Iterator[Held]:
    """Has the lock of a store's files in another process, which is killed when the block ends.

    Such processes are forked from one, whose imports take longer than all else.
    """
    command = [sys.executable, "-c", _HOLDERS]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holders:
        stdin, stdout = holders.stdin, holders.stdout
        assert stdin
        assert stdout

        def say(line: str) -> str:
            stdin.write(f"{line}\n")
            stdin.flush()
            return stdout.readline()

        @contextmanager
        def held(*files: Path) -> Iterator[None]:
            assert say(" ".join(map(str, files))) == "held\n"
            yield
            assert say("kill it") == "killed\n"

        yield held
        stdin.close()


def test_a_second_holder_is_refused(tmp_path: Path) -> None:
    """The second process reads whose database it is and what to do, until the first releases it."""
    first = InstanceLock(tmp_path / "x.db")
    with pytest.raises(
        StoreError,
        match=rf"another postmottak is using {tmp_path}/x\.db; .*systemctl stop postmottak",
    ):
        InstanceLock(tmp_path / "x.db")
    first.release()
    InstanceLock(tmp_path / "x.db").release()


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming somebody else needs root")
def test_a_folder_that_was_closed_is_said_and_ends_nothing() -> None:
    """Where the service may no longer see its database, it says so and goes on, and a start whose
    content folder it cannot see goes as far as it can."""
    with tempfile.TemporaryDirectory() as name:
        closed, seen = Path(name) / "closed", Path(name) / "seen"
        Path(name).chmod(0o777)
        for folder in (closed, seen):
            folder.mkdir()
            folder.chmod(0o777)
        (closed / "content").mkdir()
        for database in (closed / "x.db", seen / "y.db"):
            database.touch()
            database.chmod(0o666)
        lock = InstanceLock(closed / "x.db", closed / "content")
        closed.chmod(0o700)
        os.seteuid(pwd.getpwnam("nobody").pw_uid)
        try:
            assert "x.db cannot be seen while the service is using it: permission" in lock.look()
            other = InstanceLock(seen / "y.db", closed / "content")
            assert other.look() == ""
        finally:
            os.seteuid(0)
        assert lock.look() == ""
        lock.release()
        other.release()


def test_different_stores_do_not_mind_each_other(tmp_path: Path) -> None:
    """Each database has a lock of its own, and the folder is made when it is missing, for the
    service's user alone."""
    locks = [InstanceLock(tmp_path / "data" / name) for name in ("a.db", "b.db")]
    for lock in locks:
        lock.release()
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "data").iterdir()} == {0o600}


def test_a_holder_that_is_killed_holds_no_longer(tmp_path: Path, held: Held) -> None:
    """After a kill the lock is free, whatever file it left."""
    with held(tmp_path / "x.db"), pytest.raises(StoreError, match="another postmottak"):
        InstanceLock(tmp_path / "x.db")
    InstanceLock(tmp_path / "x.db").release()


def test_a_lock_that_cannot_be_made(tmp_path: Path) -> None:
    """A folder that is a file is told with the lock's path."""
    (tmp_path / "data").write_text("")
    with pytest.raises(StoreError, match=r"data/x\.db\.lock cannot be created"):
        InstanceLock(tmp_path / "data" / "x.db")


def _removed(place: Path) -> Path:
    (place / "x.db.lock").unlink()
    return place


def _replaced(place: Path) -> Path:
    (place / "new").touch()
    (place / "new").rename(place / "x.db.lock")
    return place


def _renamed(place: Path) -> Path:
    return place.rename(place.with_name("renamed"))


def _linked(place: Path) -> Path:
    place.with_name("link").symlink_to(place)
    return place.with_name("link")


def _database_linked(place: Path) -> Path:
    other = place.with_name("other")
    other.mkdir()
    (other / "x.db").symlink_to(place / "x.db")
    return other


def _restored(place: Path) -> Path:
    """A backup's database, and no lock file, over those of a service that runs."""
    (place / "backup").write_bytes((place / "x.db").read_bytes())
    (place / "backup").rename(place / "x.db")
    return _removed(place)


def _database_moved(place: Path) -> Path:
    (place / "x.db").rename(place / "aside.db")
    return _removed(place)


@pytest.mark.parametrize(
    "change", [_removed, _replaced, _renamed, _linked, _database_linked, _restored, _database_moved]
)
def test_a_store_in_use_is_refused_whatever_happens_to_its_files(
    tmp_path: Path, held: Held, change: Callable[[Path], Path]
) -> None:
    """No second process gets the store beside the first, although what it would find there is not
    what the first has locked."""
    place = tmp_path / "data"
    content = tmp_path / "content"
    for folder in (place, content):
        folder.mkdir()
    (place / "x.db").touch()
    with held(place / "x.db", content):
        changed = change(place)
        with pytest.raises(StoreError, match="another postmottak is using"):
            InstanceLock(changed / "x.db", content)
    InstanceLock(changed / "x.db", content).release()


def test_two_stores_never_share_their_contents(tmp_path: Path, held: Held) -> None:
    """A second database with the same content folder is refused: each would delete what only the
    other needs."""
    (tmp_path / "content").mkdir()
    with (
        held(tmp_path / "a.db", tmp_path / "content"),
        pytest.raises(StoreError, match=r"is using .*/content;"),
    ):
        InstanceLock(tmp_path / "b.db", tmp_path / "content")


@pytest.mark.parametrize("change", [_removed, _replaced])
def test_a_lock_file_that_is_gone_is_made_again(
    tmp_path: Path, change: Callable[[Path], Path], logged: list[Any]
) -> None:
    """A process that works with the store notices that its lock file is another one, and locks that
    as well."""
    (tmp_path / "x.db").touch()
    lock = InstanceLock(tmp_path / "x.db")
    change(tmp_path)
    assert [lock.look(), lock.look()] == ["", ""]
    assert [line["event"] for line in logged] == [
        "the lock file was removed or replaced; it is there again"
    ]
    with (tmp_path / "x.db.lock").open() as found, pytest.raises(BlockingIOError):
        fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
    lock.release()


def test_a_database_that_is_replaced_is_worked_with_no_longer(tmp_path: Path) -> None:
    """What is written to a file without a name would be lost, so the holder of the lock hears of
    it; moved away, it may come back."""
    database = tmp_path / "x.db"
    database.touch()
    lock = InstanceLock(database)
    database.rename(tmp_path / "aside.db")
    assert "was removed or moved" in lock.look()
    (tmp_path / "aside.db").rename(database)
    assert lock.look() == ""
    _restored(tmp_path)
    with pytest.raises(StoreError, match="was replaced while the service was using the old one"):
        lock.look()
    lock.release()


def test_a_lock_that_another_took_meanwhile(tmp_path: Path) -> None:
    """If somebody else has the new lock file, the store is not ours any more."""
    (tmp_path / "x.db").touch()
    lock = InstanceLock(tmp_path / "x.db")
    _removed(tmp_path)
    with (tmp_path / "x.db.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(StoreError, match="another postmottak is using"):
            lock.look()
    lock.release()


def test_a_folder_that_is_renamed_is_told(tmp_path: Path) -> None:
    """Where the store cannot be found any more, that is told, and no new folder is made in its
    place."""
    place = tmp_path / "data"
    lock = InstanceLock(place / "x.db")
    (place / "x.db").touch()
    assert lock.look() == ""
    place.rename(tmp_path / "renamed")
    assert "was removed or moved" in lock.look()
    assert not place.exists()
    lock.release()


def test_the_first_look_locks_a_database_that_is_new(tmp_path: Path) -> None:
    """A database that was made after the lock was taken is locked from the next look on."""
    lock = InstanceLock(tmp_path / "x.db")
    (tmp_path / "x.db").touch()
    assert lock.look() == ""
    with (tmp_path / "x.db").open() as found, pytest.raises(BlockingIOError):
        fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
    lock.release()


def test_whether_the_store_is_in_use_can_be_asked(tmp_path: Path) -> None:
    """It is seen whether a process holds the lock, and which kind it is or was, without a trace;
    what cannot be seen is not guessed."""
    database = tmp_path / "x.db"
    unknown = store_use(database)
    assert unknown.in_use is None
    assert "No such file" in unknown.why_unknown
    assert list(tmp_path.iterdir()) == []
    lock = InstanceLock(database)
    assert store_use(database) == StoreUse(in_use=True)
    lock.write_holder(SERVICE)
    lock.write_holder(POLL)
    assert store_use(database) == StoreUse(in_use=True, holder=POLL)
    lock.release()
    assert store_use(database) == StoreUse(in_use=False, holder=POLL)


def test_who_asks_keeps_no_service_from_starting(tmp_path: Path) -> None:
    """A service that starts just while `status` looks at the lock waits for it."""
    database = tmp_path / "x.db"
    InstanceLock(database).release()
    with database.with_name("x.db.lock").open() as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)
        threading.Timer(0.03, fcntl.flock, (asking, fcntl.LOCK_UN)).start()
        lock = InstanceLock(database)
    assert store_use(database).in_use
    lock.release()
