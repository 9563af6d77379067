"""Why a path may not be used: a sandbox, a right, a folder on the way; each has its own remedy."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from daemon.core import mounts
from daemon.core.access import why_no_secret, why_not_read, why_not_written
from daemon.runtime.owner import become_owner_of

OTHER = 64123
"""A user and a group that no system has."""
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user")
PLAIN = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"


@pytest.fixture
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let the process see these mounts, beside `/`."""

    def see(lines: str) -> None:
        (tmp_path / "mountinfo").write_text(PLAIN + lines)
        monkeypatch.setattr(mounts, "MOUNTS", tmp_path / "mountinfo")

    return see


def test_a_path_that_the_sandbox_closes(mounted: Callable[[str], None]) -> None:
    """A mount that is read-only here, on a file system that is not, is ProtectSystem's."""
    mounted("40 22 8:1 /srv /srv ro,relatime - ext4 /dev/sda1 rw\n")
    found = why_not_written(Path("/srv/erp"), errno.EROFS)
    assert "closed to the service by ProtectSystem" in found
    assert found.endswith("ReadWritePaths=-/srv/erp")
    assert "systemctl restart postmottak" in found
    found = why_not_written(Path("/srv/Felles post/100 %"), errno.EROFS)
    assert found.endswith('ReadWritePaths="-/srv/Felles post/100 %%"')
    mounted("40 22 8:2 / /srv ro,relatime - ext4 /dev/sdb1 ro\n")
    assert why_not_written(Path("/srv/erp"), errno.EROFS) == "is read-only; mount it for writing"


def test_a_folder_that_is_missing(mounted: Callable[[str], None]) -> None:
    """A folder is to be created, unless it only seems to be missing, in the service's own /tmp."""
    mounted("")
    assert "create the folder" in why_not_written(Path("/tmp/drop"), errno.ENOENT)
    mounted(
        "40 22 8:1 /tmp/systemd-private-ab-postmottak.service-c/tmp /tmp rw - ext4 /dev/sda1 rw\n"
    )
    assert "PrivateTmp" in why_not_written(Path("/tmp/drop"), errno.ENOENT)


def test_another_error_says_nothing(tmp_path: Path) -> None:
    """What is not a matter of rights is left to those who know it."""
    assert why_not_written(tmp_path, errno.ENOSPC) == why_not_read(tmp_path, errno.EIO) == ""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user may enter; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def as_other(folder: Path, what: Callable[[], str]) -> str:
    """What it returns when called as the owner of the folder, in a process of its own."""
    reading, writing = os.pipe()
    if not (child := os.fork()):
        try:
            os.setgroups([])
            os.setgid(OTHER)
            os.setuid(OTHER)
            os.write(writing, what().encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as answer:
        return answer.read()


@needs_root
def test_a_missing_right(place: Path) -> None:
    """Who may not write or read is named, with the command; the command helps."""
    drop, secret = place / "drop", place / "smtp.password"
    drop.mkdir(mode=0o755)
    secret.touch(mode=0o600)
    found = as_other(place, lambda: why_not_written(drop, errno.EACCES))
    assert found.startswith(f"may not be written by {OTHER}; run: chown {OTHER} {drop}")
    subprocess.run(found.partition("run: ")[2], shell=True, check=True)
    assert as_other(place, lambda: str(os.access(drop, os.W_OK))) == "True"
    os.chown(drop, OTHER + 1, OTHER + 1)
    assert f"chgrp {OTHER} {drop}" in as_other(place, lambda: why_not_written(drop, errno.EACCES))
    found = as_other(place, lambda: why_no_secret(secret, errno.EACCES))
    assert f"LoadCredential=smtp.password:{secret}" in found
    subprocess.run(found.partition("run: ")[2], shell=True, check=True)
    assert as_other(place, lambda: str(os.access(secret, os.R_OK))) == "True"
    assert secret.stat().st_mode & 0o777 == 0o640


@needs_root
def test_a_folder_on_the_way(place: Path) -> None:
    """A folder above that may not be entered is named, and not the one below it."""
    (place / "a/b").mkdir(parents=True)
    (place / "a").chmod(0o700)
    found = as_other(place, lambda: why_not_written(place / "a/b", errno.EACCES))
    assert found.endswith(f"may not enter {place / 'a'}; run: chmod o+x {place / 'a'}")


@needs_root
def test_a_home_that_is_hidden(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that ProtectHome hides is not a matter of its mode."""
    home = place / "home"
    (home / "drop").mkdir(parents=True)
    home.chmod(0)
    mountinfo = place / "mountinfo"
    mountinfo.write_text(f"{PLAIN}40 22 0:9 /systemd/inaccessible/dir {home} ro - tmpfs tmpfs rw\n")
    monkeypatch.setattr(mounts, "MOUNTS", mountinfo)
    found = as_other(place, lambda: why_not_written(home / "drop", errno.EACCES))
    assert "ProtectHome" in found
    assert "chmod" not in found


BECOMES = """
import os
from pathlib import Path
from daemon.runtime.owner import become_owner_of
print(become_owner_of(Path({store!r})))
print(*os.getresuid(), *os.getresgid(), *os.getgroups())
print([os.access(each, os.W_OK) for each in ({foreign!r}, {store!r})])
print([line.split()[1] for line in open("/proc/self/status") if line[:6] in ("CapPrm", "CapEff")])
try:
    os.setuid(0)
except PermissionError:
    print("not root again")
with open({foreign!r}) as file:
    print("reads", file.read())
"""


def becomes_owner(place: Path, *capabilities: str) -> subprocess.CompletedProcess[str]:
    """What a process says that goes on as the owner of a store, with these of root's rights."""
    store, foreign = place / "store", place / "foreign"
    store.mkdir()
    os.chown(store, OTHER, OTHER)
    foreign.touch(mode=0o600)
    program = BECOMES.format(store=str(store), foreign=str(foreign))
    kept = [f"--bounding-set={','.join(capabilities)}"] if capabilities else []
    return subprocess.run(
        ["setpriv", *kept, sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        cwd=str(Path(__file__).parents[2]),
    )


@needs_root
def test_the_owner_writes_no_more_than_it_may(place: Path) -> None:
    """Root that goes on as an owner may read everything, and write what the owner may."""
    said = becomes_owner(place).stdout.splitlines()
    rights = "0000000000000004"  # CAP_DAC_READ_SEARCH
    ids = " ".join([str(OTHER)] * 7)
    expected = [str(OTHER), ids, "[False, True]", f"['{rights}', '{rights}']", "not root again"]
    assert said == [*expected, "reads "]
    assert become_owner_of(place) == ""


@needs_root
def test_a_container_whose_root_may_less(place: Path) -> None:
    """Where root has not got the right to read everything, as in Docker, no right of it is kept."""
    ended = becomes_owner(place, "-all", "+setuid", "+setgid", "+dac_override", "+setpcap")
    none = "0000000000000000"
    assert ended.stdout.splitlines()[3:] == [f"['{none}', '{none}']", "not root again"]
    assert "PermissionError" in ended.stderr  # not even for reading


@needs_root
def test_a_container_whose_root_may_nothing(place: Path) -> None:
    """Without the right to become another user, the command ends with what to do."""
    ended = becomes_owner(place, "-all")
    assert ended.stdout == ""
    assert f"OperatorError: root may not become {OTHER}" in ended.stderr
    assert f"--user {OTHER}:{OTHER}" in ended.stderr
