"""One process for each store."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.errors import StoreError
from daemon.lock import InstanceLock
from tests.unit.conftest import ROOT

_HOLDER = """
import sys
from pathlib import Path
from daemon.lock import InstanceLock
lock = InstanceLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_holder_is_refused(tmp_path: Path) -> None:
    """Whoever comes second is told whose database it is and what to do, until the first lets go."""
    first = InstanceLock(tmp_path / "x.db")
    with pytest.raises(StoreError, match=rf"another postmottak works with {tmp_path}/x\.db; .*stop it before you do that by hand"):
        InstanceLock(tmp_path / "x.db")
    first.release()
    InstanceLock(tmp_path / "x.db").release()


def test_different_stores_do_not_mind_each_other(tmp_path: Path) -> None:
    """Each database has a lock of its own, and the folder is made when it is missing, for the service's user alone."""
    locks = [InstanceLock(tmp_path / "data" / name) for name in ("a.db", "b.db")]
    for lock in locks:
        lock.release()
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "data").iterdir()} == {0o600}


def test_a_holder_that_is_killed_holds_no_longer(tmp_path: Path) -> None:
    """After a kill the lock is free, whatever file it left."""
    database = tmp_path / "x.db"
    command = [sys.executable, "-c", _HOLDER, str(database)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(StoreError, match="another postmottak"):
            InstanceLock(database)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    InstanceLock(database).release()


def test_a_lock_that_cannot_be_made(tmp_path: Path) -> None:
    """A folder that is a file is told with the lock's path."""
    (tmp_path / "data").write_text("")
    with pytest.raises(StoreError, match=r"data/x\.db\.lock cannot be made"):
        InstanceLock(tmp_path / "data" / "x.db")
