"""Shares that are mounted here, and refuse some of what a disk does: what nobody asked for is done
without."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.handing_over import is_verified
from tests.processes.under_a_filter import NUMBERS

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(
    platform.machine() not in NUMBERS, reason="the calls' numbers are not known here"
)


Drop = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def drop_where() -> Iterator[Drop]:
    """Drop a letter in a process in which such calls are refused: `drop_where("chmod", "EPERM",
    drop, mode="0640")`."""
    command = [sys.executable, "-m", "tests.processes.under_a_filter"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        requests, answers = process.stdin, process.stdout
        assert requests
        assert answers

        def ask(call: str, error: str, drop: Path, **settings: Any) -> dict[str, Any]:
            requests.write(json.dumps([call, error, {"path": str(drop), **settings}]) + "\n")
            requests.flush()
            found: dict[str, Any] | None = json.loads(answers.readline())
            assert found is not None, "the child has failed; its traceback is on stderr"
            return found

        yield ask


def modes(folder: Path) -> set[int]:
    return {each.stat().st_mode & 0o777 for each in folder.iterdir()}


@pytest.mark.parametrize(
    ("error", "layout"),
    [("EPERM", "folder"), ("EACCES", "flat"), ("EOPNOTSUPP", "csv"), ("ENOSYS", "folder")],
)
def test_a_mode_that_nobody_asked_for(
    drop_where: Drop, drop: Path, error: str, layout: str
) -> None:
    """Where modes cannot be set, letters are dropped with the share's own, never wider than the
    usual one; a check finds all well."""
    found = drop_where("chmod", error, drop, layout=layout)
    assert [ok for ok, _ in found["findings"]] == [True]
    assert "failure" not in found
    files = Path(found["dropped"]) if layout != "flat" else drop
    assert not any(mode & ~0o640 for mode in modes(files))
    assert not (drop / ".postmottak").exists()


@pytest.mark.parametrize("error", ["EPERM", "EOPNOTSUPP"])
def test_a_mode_that_is_asked_for(drop_where: Drop, drop: Path, error: str) -> None:
    """A mode of the configuration that cannot be set is told, by the check as well, and nothing is
    dropped with another one."""
    found = drop_where("chmod", error, drop, mode="0664")
    assert found["failure"].startswith("TemporaryFailure: ")
    for text in (found["failure"], found["findings"][0][1]):
        assert "the mode 0664" in text
        assert "leave mode out" in text
    assert [ok for ok, _ in found["findings"]] == [False]
    assert list(drop.iterdir()) == []


def test_a_mode_that_is_set_already(drop_where: Drop, drop: Path) -> None:
    """A share that is mounted with the mode of the configuration need not set it."""
    found = drop_where("chmod", "EPERM", drop, mode="0640")
    assert modes(Path(found["dropped"])) == {0o640}
    assert Path(found["dropped"]).stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize("error", ["EOPNOTSUPP"])
def test_owners_on_a_share_that_has_none(drop_where: Drop, drop: Path, error: str) -> None:
    """An owner of the configuration that cannot be given is told, unless the share gives it by
    itself."""
    found = drop_where("chown", error, drop, owner=str(os.geteuid()), group=str(os.getegid()))
    assert "dropped" in found
    other = drop.with_name("other")
    other.mkdir()
    found = drop_where("chown", error, other, owner="12345")
    assert "leave owner and group out" in found["failure"]


@pytest.mark.parametrize(
    ("call", "error", "layout"),
    [
        ("fsync", "EINVAL", "folder"),
        ("fsync", "EOPNOTSUPP", "csv"),
        ("fadvise", "ENOSYS", "folder"),
        ("renameat2", "EINVAL", "flat"),
    ],
)
def test_what_a_share_does_not_have(
    drop_where: Drop, drop: Path, call: str, error: str, layout: str
) -> None:
    """Syncing, hints and the rename that never replaces are done without where there is no such
    thing."""
    found = drop_where(call, error, drop, layout=layout)
    assert [ok for ok, _ in found["findings"]] == [True]
    assert layout == "flat" or is_verified(Path(found["dropped"]))


@pytest.mark.parametrize(
    ("call", "error"), [("chmod", "EIO"), ("chmod", "EROFS"), ("fsync", "EIO")]
)
def test_a_fault_is_no_refusal(drop_where: Drop, drop: Path, call: str, error: str) -> None:
    """A disk that fails, or is full, is not taken for one that knows no modes or no syncing."""
    found = drop_where(call, error, drop)
    assert found["failure"].startswith("TemporaryFailure: ")
    assert not [each for each in drop.iterdir() if not each.name.startswith(".")]
