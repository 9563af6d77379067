"""The service and its worker process are two processes, and to everybody outside one."""

from __future__ import annotations

import os
import signal

import pytest

from tests.journeys.conftest import Journey, worker_of


def test_a_service_whose_worker_is_killed(journey: Journey) -> None:
    """The service ends and says why, for it could not drop anything any more; the next one drops
    what is left, each letter once."""
    letters = journey.publish(40)
    process = journey.start("run")
    assert journey.altinn.wait_for(lambda: bool(journey.whole_drops()), timeout=20)
    os.kill(worker_of(process), signal.SIGKILL)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 4, errors
    assert errors.splitlines()[-1].startswith("the worker process, which writes drops, has ended; ")
    assert "Traceback" not in errors
    assert journey.poll().code == 0
    assert journey.dropped_ids() == sorted(letters)
    assert {each.name for each in journey.drops()} == {each.name for each in journey.whole_drops()}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_for_both(journey: Journey, number: int) -> None:
    """Ctrl-C, and systemd, signal every process; the worker process then goes on with its work
    until the service has ended in order."""
    letters = journey.publish(13)
    process = journey.start("run")
    assert journey.altinn.wait_for(lambda: bool(journey.whole_drops()), timeout=20)
    os.kill(worker_of(process), number)
    assert journey.altinn.wait_for(lambda: len(journey.whole_drops()) == len(letters), timeout=20)
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    assert "everything_ended=yes" in errors
    assert journey.dropped_ids() == sorted(letters)
