"""Installed, Postmottak takes no top-level name that is not its own; PyPI's python-daemon, which
owns `daemon`, is the neighbour."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEIGHBOUR = ["--require-hashes", "--requirement", str(Path(__file__).with_name("neighbour.lock"))]

pytestmark = pytest.mark.skipif(
    "POSTMOTTAK" not in os.environ, reason="needs the wheel, which `make journeys` builds"
)


class Place:
    """An environment of its own, which borrows our dependencies but nothing of ours."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=False)
        self.python = folder / "bin" / "python"
        borrowed = folder / "borrowed"
        borrowed.mkdir()
        for entry in Path(sysconfig.get_path("purelib")).iterdir():
            if "postmottak" not in entry.name:
                (borrowed / entry.name).symlink_to(entry)
        (packages,) = folder.glob("lib/python*/site-packages")
        (packages / "borrowed.pth").write_text(f"{borrowed}\n")

    def install(self, *what: str) -> None:
        self._pip("install", "--no-deps", *what)

    def uninstall(self, name: str) -> None:
        self._pip("uninstall", "--yes", name)

    def _pip(self, *arguments: str) -> None:
        command = [
            sys.executable,
            "-m",
            "pip",
            "--python",
            str(self.python),
            "--quiet",
            "--disable-pip-version-check",
            *arguments,
        ]
        subprocess.run(command, check=True)

    def succeeds(self, code: str) -> bool:
        return (
            subprocess.run(
                [str(self.python), "-c", code], capture_output=True, check=False, cwd="/"
            ).returncode
            == 0
        )

    @property
    def postmottak_works(self) -> bool:
        command = self.python.with_name("postmottak")
        return (
            command.exists()
            and subprocess.run(
                [str(command), "services"], capture_output=True, check=False, cwd="/"
            ).returncode
            == 0
        )

    @property
    def neighbour_works(self) -> bool:
        return self.succeeds("import daemon; daemon.DaemonContext")


@pytest.fixture
def wheel() -> str:
    (found,) = (ROOT / "dist").glob("*.whl")
    return str(found)


def _program() -> list[str]:
    """Return every file of the program, as git would list them."""
    return [
        path.relative_to(ROOT).as_posix()
        for top in ("daemon", "connectors", "config")
        for path in (ROOT / top).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ] + ["docs/openapi.json"]


def test_wheel_and_source_archive_are_whole(wheel: str) -> None:
    """Both have every file of the program: templates, words, styles and files of others too."""
    program = _program()
    assert {Path(each).suffix for each in program} >= {".html", ".mo", ".css", ".js", ".svg"}
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    assert {each for each in program if f"postmottak/_app/{each}" not in packed} == set()
    (source,) = (ROOT / "dist").glob("*.tar.gz")
    with tarfile.open(source) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    assert set(program) - packed == set()


def test_the_page_says_that_its_extra_is_missing(tmp_path: Path) -> None:
    """Without the extra, `web run` and `web reindex` end with one line, which says what to do."""
    for command in ("run", "reindex"):
        ended = subprocess.run(
            [os.environ["POSTMOTTAK"], "web", command],
            capture_output=True,
            check=False,
            cwd=tmp_path,
            text=True,
        )
        assert (ended.returncode, ended.stdout) == (1, "")
        assert "install postmottak[web]" in " ".join(ended.stderr.split())
        assert "Traceback" not in ended.stderr


def test_alone_it_takes_no_name(tmp_path: Path, wheel: str) -> None:
    """Where only our wheel is installed, neither `daemon` nor `connectors` can be imported, and the
    command works."""
    place = Place(tmp_path)
    place.install(wheel)
    assert place.postmottak_works
    assert not place.succeeds("import daemon")
    assert not place.succeeds("import connectors")


@pytest.mark.parametrize("ours_first", [True, False])
@pytest.mark.parametrize("ours_leaves", [True, False])
def test_beside_python_daemon(
    tmp_path: Path, wheel: str, *, ours_first: bool, ours_leaves: bool
) -> None:
    """Beside python-daemon, installed in either order, both work; and removing either leaves the
    other whole."""
    place = Place(tmp_path)
    for what in ([wheel], NEIGHBOUR) if ours_first else (NEIGHBOUR, [wheel]):
        place.install(*what)
    assert place.postmottak_works
    assert place.neighbour_works
    place.uninstall("postmottak" if ours_leaves else "python-daemon")
    assert place.postmottak_works is not ours_leaves
    assert place.neighbour_works is ours_leaves
