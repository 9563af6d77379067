"""What commands write of letters: for nobody but who gives the command, whatever the umask."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.conftest import Journey


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system, where no hard link leads to."""
    place = Path("/dev/shm")  # a file system of its own
    if not place.is_dir() or place.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is one file system only")
    folder = Path(tempfile.mkdtemp(dir=place))
    yield folder
    shutil.rmtree(folder)


def test_everything_that_is_written_is_private(journey: Journey, elsewhere: Path) -> None:
    """Store, backups by links and by copies, a restored store, and an export: files 0600 and
    folders 0700."""
    umask = os.umask(0)
    try:
        journey.publish(5)
        for arguments in (
            ("poll",),
            ("backup", "kept"),
            ("backup", str(elsewhere / "kept")),
            ("restore", "kept", "--replace"),
        ):
            ended = journey.start(*arguments)
            ended.communicate(timeout=60)
            assert ended.returncode in {0, 3}
        letter = journey.run("messages", "list", "--json").json[0]["id"]
        ended = journey.start("messages", "export", letter, "-o", "letter.zip")
        ended.communicate(timeout=60)
    finally:
        os.umask(umask)
    folder = journey.scene.folder
    written = [
        *folder.glob("postmottak.db*"),
        folder / "letter.zip",
        folder / "content",
        folder / "kept",
        elsewhere / "kept",
    ]
    found = [each for place in written for each in (place, *place.rglob("*"))]
    assert len(found) > 20
    assert {
        str(each): oct(each.stat().st_mode & 0o077) for each in found if each.stat().st_mode & 0o077
    } == {}
