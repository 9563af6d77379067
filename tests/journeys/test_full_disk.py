"""A disk without room, a real one: the command says so in one line, and leaves nothing half
made."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.journeys.conftest import PYTHON, Journey, warm_process

_SIZE = 2 << 20
_ROOM = 40 << 10
"""Too little for a database, and enough to begin one."""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk with little room left."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def _fill(place: Path, room: int) -> None:
    (place / "other").unlink(missing_ok=True)
    status = os.statvfs(place)
    (place / "other").write_bytes(os.urandom(status.f_bavail * status.f_frsize - room))


def _made(place: Path) -> set[str]:
    """The files on the small disk, but for locks and for bytes in the store that no letter needs
    yet."""
    made = {path for path in place.rglob("*") if path.is_file() and not path.name.endswith(".lock")}
    return {path.name for path in made - set(place.glob("store/content/??/*"))}


def _store_on(place: Path, journey: Journey) -> Path:
    """A second configuration, whose store is on that disk."""
    path = journey.scene.folder / "second.toml"
    text = journey.scene.configuration.read_text().replace(
        "sqlite:///", f"sqlite:///{place}/store/"
    )
    path.write_text(text.replace('content = "content"', f'content = "{place}/store/content"'))
    return path


def test_no_room(journey: Journey, small: Path) -> None:
    """`init`, `backup`, `restore` and an export on a full disk end with one line and leave no file;
    with room, the same commands work."""
    journey.publish(3)
    here, second = journey.scene.configuration, _store_on(small, journey)
    warm = warm_process(PYTHON)
    assert warm.run(here, "poll").code == 0
    letter = warm.run(here, "messages", "list", "--json").json[0]["id"]
    assert warm.run(here, "backup", "kept").code == 0
    for configuration, arguments, room, code in (
        (here, ("backup", str(small / "backup")), _ROOM, 4),
        (second, ("restore", "kept"), _ROOM, 4),
        (here, ("messages", "export", letter, "-o", str(small / "letter.zip")), 0, 1),
        (here, ("init", str(small / "new")), 0, 1),
    ):
        _fill(small, room)
        ended = warm.run(configuration, *arguments)
        assert (ended.code, _made(small)) == (code, {"other"}), ended
        (line,) = ended.errors.splitlines()
        assert "No space left" in line or "no space left" in line or "is full" in line
        (small / "other").unlink()
        assert warm.run(configuration, *arguments).code in {0, 3}
        assert _made(small)
        for path in small.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_no_room_for_a_store_that_is_moved(journey: Journey, small: Path) -> None:
    """A move to a full disk ends in one line, and no service uses either side; with room, the same
    command ends it."""
    journey.publish(13)
    assert journey.poll().code == 0
    (database,) = journey.scene.folder.glob("**/*.db")
    with closing(sqlite3.connect(database)) as store, store:
        store.execute("UPDATE messages SET body = ?", ["long" * 20_000])  # by hand
    target = f"sqlite:///{small}/moved.db"
    for room in (_ROOM, 1_200_000):
        _fill(small, room)
        moved = journey.run("store", "move", "--to", target)
        assert moved.code == 4
        assert len(moved.errors.splitlines()) == 1
        assert "full" in moved.errors
        assert "run the command again" in moved.errors
        assert journey.poll().code == 1
    subprocess.run(["mount", "-o", "remount,size=9m", str(small)], check=True)
    assert journey.run("store", "move", "--to", target).code == 0
