"""A node that stood still while another one took over its delivery drops nothing any more."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.destinations.filedrop import FileDrop, Settings
from tests.parcels import new_parcel
from tests.processes.warm import ROOT

_LEASE = 1.0  # seconds


@pytest.fixture
def drop(tmp_path: Path) -> Path:
    """An empty drop."""
    (tmp_path / "drop").mkdir()
    return tmp_path / "drop"


@pytest.fixture
def standing(drop: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """A process that delivers a letter there, and stands still."""
    command = [sys.executable, "-m", "tests.processes.stopped_drop", str(drop), request.param]
    with subprocess.Popen(
        [*command, str(_LEASE)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as child:
        os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
        yield child
        child.kill()


@pytest.mark.parametrize("standing", ["begin", "staged", "publish"], indirect=True)
def test_a_letter_that_another_node_dropped_does_not_come_again(
    standing: subprocess.Popen[str], drop: Path
) -> None:
    """A node stands still at any point of a delivery; another one delivers, the consumer takes the
    letter, and its journal is removed; then the first goes on, and the drop stays empty."""
    time.sleep(_LEASE)
    second = FileDrop("erp", Settings(path=drop))
    parcel = new_parcel(files={"a.pdf": b"%PDF"})
    receipt = second.deliver(parcel)
    taken = drop / str(receipt.details["name"])
    assert (taken / "message.json").exists()
    shutil.rmtree(taken)
    second.forget([parcel.delivery_id])
    standing.send_signal(signal.SIGCONT)
    said, _ = standing.communicate(timeout=20)
    assert said.startswith("TemporaryFailure")
    assert [each.name for each in drop.iterdir() if not each.name.startswith(".")] == []
