"""A little of each sweep, in every `make test`; the whole is `make crash-sweep`, `make kill-storm`,
`make power-cut` and `make drop-reader`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import system_calls
from tests.processes.warm import Warm
from tests.sweeps.crash_sweep import Sweep
from tests.sweeps.dialog_sweep import opened
from tests.sweeps.drop_reader import race
from tests.sweeps.keeping_sweep import Keeping
from tests.sweeps.report import write_section
from tests.sweeps.service_sweep import ServiceSweep
from tests.sweeps.strike import FAULTS, Point
from tests.sweeps.watched_service import FORK_SERVER, SERVICE, WORKER


def _why_not() -> str:
    """Why nothing can be traced here; empty if it can."""
    if not shutil.which("strace"):
        return "strace is not installed"
    tried = subprocess.run(
        ["strace", "-e", "trace=none", "true"], capture_output=True, text=True, check=False
    )
    return f"tracing is denied: {tried.stderr.strip()}" if tried.returncode else ""


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    """The process that both sweeps strike; skips where nothing can be traced."""
    if why := _why_not():
        pytest.skip(why)
    with Warm(one_thread=True) as process:
        yield process


@pytest.fixture(scope="module")
def sweep(warm: Warm) -> Sweep:
    """A sweep."""
    return Sweep(warm)


@pytest.fixture(scope="module")
def calls(sweep: Sweep) -> list[Point]:
    """Every call of a run."""
    return sweep.watch()


@pytest.mark.parametrize("call", ["pwrite64", "fdatasync", "renameat2", "sendto"])
def test_a_struck_run_is_put_right_by_the_next(sweep: Sweep, calls: list[Point], call: str) -> None:
    """Killed at a call, or with the call failing, a run loses nothing, repeats nothing it should
    not, and claims nothing untrue."""
    numbers = [each.number for each in calls if each.call == call]
    for place, fault in enumerate(FAULTS, start=1):
        result = sweep.strike(
            Point(call=call, number=numbers[place * len(numbers) // 4], fault=fault)
        )
        assert result.struck
        assert not result.faults


@pytest.fixture(scope="module")
def service() -> Iterator[ServiceSweep]:
    """A sweep over the service as it runs; skips where the kernel cannot ask before each call."""
    if why := system_calls.why_not():
        pytest.skip(why)
    found = ServiceSweep()
    yield found
    found.close()


@pytest.mark.parametrize(("who", "number"), [(WORKER, 300), (SERVICE, 100), (FORK_SERVER, 60)])
def test_a_process_of_the_service_that_is_killed(
    service: ServiceSweep, who: str, number: int
) -> None:
    """Whichever process is killed, each letter is delivered once, only what a killed worker had in
    hand is blamed, and nothing is left."""
    result = service.strike(Point(command=who, call="", number=number, fault="KILL"))
    assert result.struck
    assert not result.faults


@pytest.fixture(scope="module")
def keeping(warm: Warm) -> Iterator[Keeping]:
    """A sweep over keeping."""
    found = Keeping(warm)
    yield found
    found.close()


@pytest.mark.parametrize(
    ("command", "call", "fault"),
    [("backup", "link", "KILL"), ("replace", "rename", "ENOSPC"), ("retention", "unlink", "KILL")],
)
def test_keeping_that_is_struck_is_put_right_by_the_next(
    keeping: Keeping, command: str, call: str, fault: str
) -> None:
    """A backup, a restore or a deletion that is cut off leaves nothing that looks whole and is not,
    and loses nothing."""
    numbers = [each.number for each in keeping.calls(command) if each.call == call]
    result = keeping.strike(
        Point(command=command, call=call, number=numbers[len(numbers) // 2], fault=fault)
    )
    assert result.struck
    assert not result.faults


def test_a_consumer_in_a_hurry_sees_whole_letters_only() -> None:
    """A reader that opens each drop the moment that it has a name finds it whole and final, though
    the service is killed meanwhile."""
    assert race(12, 1, 1) == []


def test_a_result_takes_the_place_of_the_last_one(tmp_path: Path) -> None:
    """A sweep writes between its own marks, and leaves the rest of the page alone."""
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- x: written by the sweep -->\nold\n<!-- x: end -->\nb\n")
    write_section(page, "x", "new")
    assert page.read_text() == "a\n<!-- x: written by the sweep -->\nnew\n<!-- x: end -->\nb\n"


def test_a_ladder_that_is_killed_tells_each_person_each_step_once() -> None:
    """Some points of the ladder's sweep, in a process of its own, because it forks."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.sweeps.ladder_sweep", "13"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert "points struck, 0 faults" in done.stdout


def test_dialogs_in_bad_times_are_stored_once(tmp_path: Path) -> None:
    """Some hundred dialogs of the sweep, of all kinds."""
    with opened(tmp_path, seed=3) as proof:
        outcome = proof.run(400)
    assert outcome.wrong == []
    assert outcome.found["walk"] > 0
    assert len(outcome.kinds) == 14
