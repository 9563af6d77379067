"""The worker process: what it is asked comes to pass in another process, and is answered as if
it had come to pass here."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from daemon.core.errors import StoreError
from daemon.store.lock import InstanceLock
from tests.processes.alone import ROOT, call_alone

SCENES = "tests.processes.worker_scenes"


def scene(name: str, folder: Path) -> Any:
    return call_alone(SCENES, name, folder).result


def test_deliveries_are_made_in_another_process(tmp_path: Path) -> None:
    """Parcels are delivered and cleared up after in the worker process, with the stored bytes,
    in order; what only looks is done here."""
    seen = scene("delivers_elsewhere", tmp_path)
    assert [reference for reference, _ in seen["receipts"]] == [
        "well 1",
        "well 2",
        "well 3",
        "well 2",
    ]
    assert [details["sizes"] for _, details in seen["receipts"]] == [[4]] * 4
    assert len({details["process"] for _, details in seen["receipts"]} - {seen["here"]}) == 1
    assert seen["checked in"] == [seen["here"]]
    assert (seen["forgotten"], seen["taken"], seen["ended"]) == (True, "taken", True)


def test_failures_come_back_whole(tmp_path: Path) -> None:
    """A failure is the same here as there, with what it asks for; one that nobody foresaw is logged
    there."""
    called = call_alone(SCENES, "failures", tmp_path)
    unforeseen = ["ConnectorFault", "unexpected {} in the connector; see the log"]
    assert called.result == [
        ["TemporaryFailure", "later", "0:07:00", {"done": [1, 2]}],
        ["PermanentFailure", "never"],
        ["ContentMissing", "gone"],
        ["TemporaryFailure", "the share is away", "None", None],
        [unforeseen[0], unforeseen[1].format("ZeroDivisionError")],
        ["PermanentFailure", "never"],
        [unforeseen[0], unforeseen[1].format("KeyError")],
    ]
    assert called.errors.count("fault=") == 2


@pytest.mark.parametrize("why", ["packed here", "unpacked there", "packed there", "unpacked here"])
def test_one_that_cannot_be_handed_over(tmp_path: Path, why: str) -> None:
    """A letter or an answer that cannot be handed over, in either direction, is one failure; the
    others are made, the worker process works on."""
    called = call_alone(SCENES, "one_that_cannot_be_handed_over", tmp_path, why)
    assert called.result == {
        "outcomes": ["Receipt", "ConnectorFault", "Receipt"],
        "after": "well 1",
    }
    assert "fault=" in called.errors


def test_an_edit_of_its_settings(tmp_path: Path) -> None:
    """A destination whose settings were edited is another one for the worker process as well."""
    assert scene("an_edit", tmp_path) == ["well 1", "better 1"]


def test_a_long_delivery_sends_heartbeats(tmp_path: Path) -> None:
    """While the worker process gets on with a letter that takes long, the service hears of it,
    and not more often than once a second."""
    assert scene("heartbeats", tmp_path) == 1


def test_one_that_stands_still_sends_no_heartbeat(tmp_path: Path) -> None:
    """A worker process that is asked and does not answer sends no heartbeat, so that the service
    does not look healthy; later it does again."""
    seen = scene("a_standstill", tmp_path)
    assert seen["before"] >= 3
    assert seen["still"] <= 1
    assert seen["after"] >= 2


def test_one_that_hangs_holds_up_no_other(tmp_path: Path) -> None:
    """A share that hangs neither keeps other destinations waiting nor the service from ending; its
    delivery is not called made."""
    seen = scene("one_that_hangs", tmp_path)
    assert seen["served"] == "well 1"
    assert seen["seconds"] < 5
    assert len(seen["lost"]) == 1
    assert "is repeated when the service is started again" in seen["lost"][0]


def test_signals_are_the_services(tmp_path: Path) -> None:
    """What tells a service to stop or to reload leaves the worker process at work; a worker
    process that was killed is missed, and nobody waits for it."""
    assert scene("signals", tmp_path) == ["well 1"] * 3 + [False] + ["WorkerLost"] * 2


@pytest.mark.parametrize("how", ["well", "hangs"])
def test_it_ends_with_its_service(tmp_path: Path, how: str) -> None:
    """When the service is killed its worker process ends, whatever it is doing, and only then
    another service can have the store."""
    command = [
        sys.executable,
        "-c",
        f"from {SCENES} import killed_service; killed_service({str(tmp_path)!r}, {how!r})",
    ]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout
        worker = int(service.stdout.readline())
        assert service.wait() == -9
    _lock_when_it_is_free(tmp_path / "x.db").release()
    assert not _still_works(worker)


def _lock_when_it_is_free(database: Path) -> InstanceLock:
    ends = time.monotonic() + 10
    while True:
        try:
            return InstanceLock(database)
        except StoreError:
            assert time.monotonic() < ends
            time.sleep(0.01)


def _still_works(process: int) -> bool:
    """Whether there is such a process that is not about to be gone."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in {
            "Z",
            "X",
        }
    except FileNotFoundError:
        return False


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is one core only")
def test_it_has_the_cores_that_the_service_leaves(tmp_path: Path) -> None:
    """The service keeps to one core, and its worker process to the others, so that neither waits
    for the other."""
    seen = scene("cores", tmp_path)
    assert len(seen["here"]) == 1
    assert seen["there"] == seen["left"]
    assert not set(seen["here"]) & set(seen["there"])
