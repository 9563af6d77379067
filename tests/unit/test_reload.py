"""Reload: an edit comes into force whole, however an editor saves it, or not at all."""

from __future__ import annotations

import errno
import queue
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from watchdog.observers import Observer

from daemon.core.errors import ConfigurationError, DiskFull, Fault
from daemon.service import reload
from daemon.service.reload import Reload

SOON = 10  # seconds in which an edit must be in force
BROKEN = "broken"


class Parts:
    """What the files say, put in force; `force` has each text that was."""

    def __init__(self, *files: Path) -> None:
        self.files = files
        self.force: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.reads = 0
        self.while_reading: list[Callable[[], None]] = []
        self.texts = self._read()
        self.reload = Reload(lambda: self.files, lambda: self.texts, self._read_and_swap)
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self.reload.loop, args=(self._stopping,), daemon=True
        )

    def _read_and_swap(self) -> None:
        self.reads += 1
        texts = self._read()
        while self.while_reading:
            self.while_reading.pop()()
        if BROKEN in texts:
            raise ConfigurationError(
                [Fault(file=str(self.files[0]), key="x", problem="is wrong", remedy="Fix it")]
            )
        self.texts = texts
        self.force.put(" ".join(texts))

    def _read(self) -> list[str]:
        return [path.read_text() if path.exists() else "missing" for path in self.files]

    def start(self, *, asked: bool = True) -> None:
        """Watch; when this returns, something has come into force, and unless it was not `asked`
        for, the folders are being watched."""
        if asked:
            self.reload.ask()
        self._thread.start()
        self.force.get(timeout=SOON)

    def in_force(self, text: str) -> None:
        """Wait until this text is in force."""
        ends = time.monotonic() + SOON
        while self.force.get(timeout=max(0.0, ends - time.monotonic())) != text:
            pass

    def quiet(self, seconds: float) -> bool:
        """Whether nothing else comes into force for so long."""
        try:
            self.force.get(timeout=seconds)
        except queue.Empty:
            return True
        return False

    def stop(self) -> None:
        """End; the thread has ended then."""
        self._stopping.set()
        self.reload.wake()
        self._thread.join(SOON)
        assert not self._thread.is_alive()


@pytest.fixture
def watch() -> Iterator[Callable[..., Parts]]:
    """Watches files, until the test ends."""
    with ExitStack() as stack:

        def start(*files: Path) -> Parts:
            parts = Parts(*files)
            parts.start()
            stack.callback(parts.stop)
            return parts

        yield start


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file in a folder of its own."""
    path = tmp_path / "etc" / "routing.toml"
    path.parent.mkdir()
    path.write_text("one")
    return path


@pytest.fixture(autouse=True)
def in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are read a little sooner after an event than an operator's editor would need."""
    monkeypatch.setattr(reload, "_QUIET", 0.1)


def save(path: Path, text: str) -> None:
    """Save as careful programs do: write beside it, and rename."""
    beside = path.with_name(f".{path.name}.tmp")
    beside.write_text(text)
    beside.replace(path)


def test_a_file_that_is_replaced(watch: Callable[..., Parts], file: Path) -> None:
    """An edit that is saved by renaming is in force soon, each time, and without an edit nothing is
    read."""
    parts = watch(file)
    for text in ("two", "three"):
        save(file, text)
        parts.in_force(text)
    reads = parts.reads
    assert parts.quiet(1)
    assert parts.reads == reads


def test_a_file_that_is_written_in_place(watch: Callable[..., Parts], file: Path) -> None:
    """An edit that is written slowly is not read before the writer has closed the file."""
    parts = watch(file)
    with file.open("w") as writer:
        writer.write("half")
        writer.flush()
        assert parts.quiet(1.2)
        writer.write(" and half")
    parts.in_force("half and half")


def test_a_writer_that_never_closes(
    watch: Callable[..., Parts], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that keeps the file open is not waited for for ever."""
    monkeypatch.setattr(reload, "_WRITER", 0.5)
    parts = watch(file)
    with file.open("w") as writer:
        writer.write("two")
        writer.flush()
        parts.in_force("two")


def test_a_file_that_is_moved_aside(watch: Callable[..., Parts], file: Path) -> None:
    """An editor may move the old file aside, write a new one and remove the old: what is in force
    in the end is the new one."""
    parts = watch(file)
    for text in ("two", "three"):
        backup = file.with_name(file.name + "~")
        file.rename(backup)
        file.write_text(text)
        backup.unlink()
        parts.in_force(text)


def test_a_link_that_is_swapped(watch: Callable[..., Parts], tmp_path: Path) -> None:
    """Files that are linked through a folder are read again when that link is swapped, and edited
    in their new place."""
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "routing.toml").write_text(name)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "..data").symlink_to(tmp_path / "old")
    file = tmp_path / "etc" / "routing.toml"
    file.symlink_to("..data/routing.toml")
    parts = watch(file)
    (tmp_path / "etc" / "..tmp").symlink_to(tmp_path / "new")
    (tmp_path / "etc" / "..tmp").replace(tmp_path / "etc" / "..data")
    parts.in_force("new")
    settle(parts)
    (tmp_path / "new" / "routing.toml").write_text("newer")
    parts.in_force("newer")


def test_a_link_to_another_file_of_the_folder(watch: Callable[..., Parts], tmp_path: Path) -> None:
    """When a link is pointed at another file beside it, edits of that one are seen from then on."""
    for name in ("v1", "v2"):
        (tmp_path / name).write_text(name)
    file = tmp_path / "routing.toml"
    file.symlink_to("v1")
    parts = watch(file)
    (tmp_path / "next").symlink_to("v2")
    (tmp_path / "next").replace(file)
    parts.in_force("v2")
    settle(parts)
    (tmp_path / "v2").write_text("edited")
    parts.in_force("edited")


def settle(parts: Parts) -> None:
    """Wait until the folders as they now are, are watched: they are, whenever the files are
    read."""
    parts.reload.ask()
    parts.force.get(timeout=SOON)


def test_a_folder_that_is_made_again(
    watch: Callable[..., Parts], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that is removed and made again is found by looking, and from then on watched like
    the first."""
    monkeypatch.setattr(reload, "LOOK", 0.1)
    parts = watch(file)
    old = parts.reload._folders._watched[file.parent].watch
    shutil.rmtree(file.parent)
    parts.in_force("missing")
    file.parent.mkdir()
    save(file, "two")
    parts.in_force("two")
    ends = time.monotonic() + SOON
    while (now := parts.reload._folders._watched.get(file.parent)) is None or now.watch is old:
        assert time.monotonic() < ends
        parts.quiet(0.05)
    monkeypatch.setattr(reload, "LOOK", 60)
    settle(parts)
    save(file, "three")
    parts.in_force("three")


def test_a_system_that_allows_no_watch(
    file: Path, monkeypatch: pytest.MonkeyPatch, logged: list[Any]
) -> None:
    """Where folders cannot be watched, edits are found by looking, and the log says that they take
    longer."""

    def no_more(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(reload, "LOOK", 0.1)
    monkeypatch.setattr(type(Observer()), "schedule", no_more)
    parts = Parts(file)
    parts.start()
    save(file, "two")
    parts.in_force("two")
    parts.stop()
    assert any(line.get("reason") == "Too many open files" for line in logged)


def test_an_edit_that_is_broken_and_fixed(
    watch: Callable[..., Parts], file: Path, logged: list[Any]
) -> None:
    """What is broken is told once, with where and what to do, and changes nothing; once fixed, it
    is in force."""
    parts = watch(file)
    save(file, BROKEN)
    assert parts.quiet(1.2)
    told = [line for line in logged if line["event"] == "an edit is not in force"]
    assert [line["fault"] for line in told] == [f"{file}: x: is wrong. Fix it"]
    save(file, "fixed")
    parts.in_force("fixed")


def test_a_broken_edit_that_is_taken_back(watch: Callable[..., Parts], file: Path) -> None:
    """When what was in force before is saved again, that is read like any other edit."""
    parts = watch(file)
    save(file, BROKEN)
    assert parts.quiet(1.2)
    save(file, "one")
    parts.in_force("one")


def test_an_edit_while_the_files_are_read(watch: Callable[..., Parts], file: Path) -> None:
    """An edit that is saved while the one before is being read is not missed."""
    parts = watch(file)
    parts.while_reading = [lambda: save(file, "three")]
    save(file, "two")
    parts.in_force("two")
    parts.in_force("three")


def test_other_files_do_not_keep_it_waiting(watch: Callable[..., Parts], file: Path) -> None:
    """However much goes on with other files of the folder, an edit is in force soon, and without
    one nothing is."""
    parts = watch(file)
    enough = threading.Event()

    def be_busy() -> None:
        number = 0
        while not enough.wait(0.01):
            number += 1
            other = file.with_name(f"other-{number % 3}")
            other.write_text(str(number))
            if number % 3 == 0:
                other.unlink()

    busy = threading.Thread(target=be_busy)
    busy.start()
    try:
        assert parts.quiet(1.2)
        save(file, "two")
        parts.in_force("two")
    finally:
        enough.set()
        busy.join()


def test_each_of_several_files_counts(
    watch: Callable[..., Parts], file: Path, tmp_path: Path
) -> None:
    """Files in different folders are watched together, and what they say is put in force
    together."""
    other = tmp_path / "postmottak.toml"
    other.write_text("a")
    parts = watch(other, file)
    save(file, "two")
    parts.in_force("a two")
    save(other, "b")
    parts.in_force("b two")


def test_asking_reads_what_is_there(watch: Callable[..., Parts], file: Path) -> None:
    """Who asks has the files read also if nothing has changed, so that a restart of something else
    can be followed."""
    parts = watch(file)
    for _ in range(2):
        parts.reload.ask()
        parts.in_force("one")


def test_an_edit_on_a_full_disk(watch: Callable[..., Parts], file: Path) -> None:
    """An edit that cannot be noted because the disk is full comes into force when there is room,
    and the watch goes on."""
    parts = watch(file)

    def no_room() -> None:
        parts.reload._events.wake_up()
        raise DiskFull("no room")

    parts.while_reading.append(no_room)
    file.write_text("edited")
    assert parts.force.get(timeout=SOON) == "edited"


def test_an_edit_before_the_first_look(file: Path) -> None:
    """An edit that is saved after the start read the files, and before anybody watches them, is not
    missed."""
    parts = Parts(file)
    save(file, "two")
    parts.start(asked=False)
    parts.stop()
    assert parts.texts == ["two"]


def test_a_link_to_itself(watch: Callable[..., Parts], tmp_path: Path, logged: list[Any]) -> None:
    """A link that leads in a circle is a fault like any other, and once it is fixed, the file is
    in force."""
    file = tmp_path / "routing.toml"
    file.write_text("one")
    parts = watch(file)
    file.unlink()
    file.symlink_to("routing.toml")
    parts.in_force("missing")
    file.unlink()
    file.write_text("two")
    parts.in_force("two")
    assert not any("failed" in line["event"] for line in logged)


def test_coming_and_going_beside_it_delays_nothing(watch: Callable[..., Parts], file: Path) -> None:
    """Other files that come and go all the time in the same folder, as a database's journal does,
    do not put an edit off."""
    parts = watch(file)
    stopping = threading.Event()

    def bustle() -> None:
        while not stopping.is_set():
            (file.parent / "journal").touch()
            (file.parent / "journal").unlink()

    other = threading.Thread(target=bustle)
    other.start()
    try:
        with file.open("w") as writer:
            writer.write("two")
        parts.in_force("two")
    finally:
        stopping.set()
        other.join()
