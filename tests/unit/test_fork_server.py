"""The fork server: workers come when they are asked for, and end with the service."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from daemon.core.errors import StoreError
from daemon.store.lock import InstanceLock
from tests.processes.alone import ROOT, call_alone
from tests.processes.fork_scenes import is_there, wait_until

SCENES = "tests.processes.fork_scenes"


def test_a_worker_is_replaced(tmp_path: Path) -> None:
    """A worker that was killed is missed at once, and another takes its place; the others work on,
    and all end when the service says so."""
    facts = call_alone(SCENES, "replaced", tmp_path).result
    assert facts["answers"] == facts["expected"]
    assert (facts["dead"], facts["new"], facts["killed"]) == (None, True, None)
    assert facts["other"]
    assert facts["ended"] == [True, None]


def test_signals_are_the_services(tmp_path: Path) -> None:
    """What tells a service to stop or to reload leaves them at work; a fork server that was killed
    is missed by all who ask it."""
    facts = call_alone(SCENES, "signals", tmp_path).result
    assert facts == {"lasted": True, "told": [True, True, True]}


def test_a_worker_that_fails(tmp_path: Path) -> None:
    """A fault that nobody foresaw ends one worker, with a traceback, and nothing else."""
    called = call_alone(SCENES, "unforeseen", tmp_path)
    assert called.result == [None, None, True]
    assert called.errors.count("Traceback") == 2


def test_all_end_with_the_service(tmp_path: Path) -> None:
    """When the service is killed, the fork server ends, and kills workers that cannot end by
    themselves; until then no other service can have the store."""
    command = [
        sys.executable,
        "-c",
        f"from {SCENES} import killed_service; killed_service({str(tmp_path)!r})",
    ]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout
        workers = [int(each) for each in service.stdout.readline().split()]
        assert service.wait() == -9
    lock_when_it_is_free(tmp_path / "x.db").release()
    wait_until(lambda: not any(map(is_there, workers)))


def lock_when_it_is_free(database: Path) -> InstanceLock:
    """The store's lock, as soon as nobody has it."""
    ends = time.monotonic() + 30
    while True:
        try:
            return InstanceLock(database)
        except StoreError:
            assert time.monotonic() < ends
            time.sleep(0.01)
