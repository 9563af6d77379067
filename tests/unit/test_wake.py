"""What another process asks for begins at once, and nothing depends on that."""

from __future__ import annotations

import errno
import os
import pwd
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from watchdog.observers import Observer

from daemon.runtime import wake
from daemon.runtime.heartbeat import Heartbeats
from daemon.runtime.wake import WakeWatch, wake_service

SOON = 2.0  # seconds in which what is asked for must begin
Start = Callable[[], threading.Semaphore]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Where the database would be."""
    return tmp_path / "postmottak.db"


@pytest.fixture
def sign(database: Path) -> Path:
    """The file that is touched."""
    return database.with_name("postmottak.db.wake") / "wake"


@pytest.fixture
def start(database: Path) -> Iterator[Start]:
    """Starts a watch; what it returns is released once for each time that it woke."""
    with ExitStack() as ends:

        def start() -> threading.Semaphore:
            woken, stopping = threading.Semaphore(0), threading.Event()
            watch = WakeWatch(database, woken.release, Heartbeats())
            thread = threading.Thread(target=watch.loop, args=(stopping,))

            def stop() -> None:
                stopping.set()
                watch.wake()
                thread.join(10)
                assert not thread.is_alive()

            thread.start()
            ends.callback(stop)
            return woken

        yield start


def wait_for(folder: Path) -> None:
    """Until the folder is there."""
    for _ in range(200):
        if folder.is_dir():
            return
        threading.Event().wait(0.01)
    raise AssertionError(folder)


def test_a_sign_wakes_at_once(start: Start, database: Path, sign: Path) -> None:
    """Each sign wakes the service within two seconds, however often the file was touched before,
    and a file of another name does not."""
    woken = start()
    wait_for(sign.parent)
    for _ in range(3):
        wake_service(database)
        assert woken.acquire(timeout=SOON)
        while woken.acquire(timeout=0.3):
            pass  # the file was created and touched
    (sign.parent / "other").touch()
    assert not woken.acquire(timeout=0.3)


def test_a_sign_while_the_service_starts(start: Start, database: Path, sign: Path) -> None:
    """An old sign wakes nothing; one that comes before the watch begins is noticed."""
    sign.parent.mkdir()
    wake_service(database)
    assert not start().acquire(timeout=0.5)
    woken = threading.Event()
    watch = WakeWatch(database, woken.set, Heartbeats())
    wake_service(database)
    stopping = threading.Event()
    thread = threading.Thread(target=watch.loop, args=(stopping,))
    thread.start()
    assert woken.wait(SOON)
    stopping.set()
    watch.wake()
    thread.join(10)


def test_where_the_system_allows_no_watch(
    start: Start, database: Path, sign: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without inotify the service looks at the file itself, every second."""

    def no_more(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(type(Observer()), "schedule", no_more)
    woken = start()
    wait_for(sign.parent)
    wake_service(database)
    assert woken.acquire(timeout=SOON)
    assert not woken.acquire(timeout=1.2)


def test_a_folder_that_cannot_be_made(
    start: Start,
    database: Path,
    sign: Path,
    monkeypatch: pytest.MonkeyPatch,
    logged: list[Any],
) -> None:
    """A file in the folder's place stops neither the service nor a command; each says so once, and
    once it is gone, signs are noticed."""
    monkeypatch.setattr(wake, "_LOOK_UNWATCHED", 0.05)
    sign.parent.write_text("in the way")
    woken = start()
    wake_service(database)
    assert not woken.acquire(timeout=0.5)
    assert sorted(line["event"].partition(" begins")[0] for line in logged) == [
        "the service",
        "what is asked of the service",
    ]
    sign.parent.unlink()
    wait_for(sign.parent)
    wake_service(database)
    assert woken.acquire(timeout=SOON)


def test_without_a_service_nothing_is_left(database: Path, sign: Path, logged: list[Any]) -> None:
    """A command on a machine where no service has run makes no folder, and says nothing."""
    wake_service(database)
    assert not sign.parent.exists()
    assert logged == []


def test_a_link_is_not_followed(database: Path, sign: Path, tmp_path: Path) -> None:
    """A link in the service's folder makes root touch no other file."""
    sign.parent.mkdir()
    target = tmp_path / "of-root"
    target.write_text("untouched")
    before = target.stat().st_mtime_ns
    sign.symlink_to(target)
    wake_service(database)
    sign.unlink()
    sign.symlink_to(tmp_path / "new")
    wake_service(database)
    assert target.stat().st_mtime_ns == before
    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can leave a file of its own")
def test_root_leaves_nothing_of_its_own(database: Path, sign: Path) -> None:
    """The file that root's command makes belongs to the service's user, who touches it too."""
    sign.parent.mkdir()
    nobody = pwd.getpwnam("nobody").pw_uid
    os.chown(sign.parent, nobody, -1)
    wake_service(database)
    assert sign.stat().st_uid == nobody
