"""Service, fork server and workers are several processes, and to everybody outside one."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from tests.journeys.conftest import Journey, fork_server_of, workers_of

LETTERS = 60


def configure(journey: Journey, *, workers: int = 2, layout: str = "folder") -> None:
    """Set the number of workers, and the drop's layout; and let them fetch all letters: what a bell
    rings for is fetched by the service itself."""
    path = journey.scene.configuration
    text = path.read_text().replace('type = "altinn3"', 'type = "altinn3"\nbell = "off"')
    head, section, rest = text.partition("[destination.")
    place = rest.index('type = "filedrop"')
    rest = rest[:place] + f'layout = "{layout}"\n' + rest[place:]
    path.write_text(f"{head}[delivery]\nworkers = {workers}\n\n{section}{rest}")


def wait_for_drops(journey: Journey, number: int) -> None:
    """Wait until so many letters are dropped."""
    assert journey.altinn.wait_for(lambda: len(journey.whole_drops()) >= number, timeout=60)


def stop(process: subprocess.Popen[str]) -> str:
    """Stop the service in order; what it wrote."""
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    assert "everything_ended=yes" in errors
    return errors


def test_workers_that_are_killed(journey: Journey) -> None:
    """A worker that is killed while letters come is replaced, and the service goes on: each letter
    is dropped once, and nothing is left that is hidden or half-written."""
    configure(journey)
    letters = journey.publish(LETTERS)
    process = journey.start("run")
    for number in (1, LETTERS // 4, LETTERS // 2):
        wait_for_drops(journey, number)
        with suppress(ProcessLookupError, IndexError):
            os.kill(workers_of(process)[0], signal.SIGKILL)
    wait_for_drops(journey, len(letters))
    assert journey.altinn.wait_for(lambda: len(workers_of(process)) == 2, timeout=20)
    assert journey.altinn.wait_for(lambda: journey.drops() == journey.whole_drops(), timeout=20)
    errors = stop(process)
    assert "a worker process has ended, and is replaced" in errors
    assert journey.dropped_ids() == sorted(letters)
    assert not [*(journey.scene.folder / "content" / "tmp").iterdir()]
    assert journey.poll().code == 0


def test_a_fork_server_that_is_killed(journey: Journey) -> None:
    """The service ends and says why, for no worker could be replaced; the next one drops what is
    left, each letter once."""
    configure(journey)
    letters = journey.publish(LETTERS)
    process = journey.start("run")
    wait_for_drops(journey, 1)
    os.kill(fork_server_of(process), signal.SIGKILL)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 4, errors
    assert errors.splitlines()[-1].startswith("the fork server, which starts worker processes, ")
    assert "Traceback" not in errors
    assert journey.poll().code == 0
    assert journey.dropped_ids() == sorted(letters)
    assert {each.name for each in journey.drops()} == {each.name for each in journey.whole_drops()}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_for_all(journey: Journey, number: int) -> None:
    """Ctrl-C, and systemd, signal every process; workers then go on with their work until the
    service has ended in order, and end with it."""
    letters = journey.publish(13)
    process = journey.start("run")
    wait_for_drops(journey, 1)
    workers = workers_of(process)
    for each in (fork_server_of(process), *workers):
        os.kill(each, number)
    wait_for_drops(journey, len(letters))
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    assert "everything_ended=yes" in errors
    assert journey.dropped_ids() == sorted(letters)
    assert journey.altinn.wait_for(
        lambda: not any(Path(f"/proc/{each}").exists() for each in workers), timeout=20
    )


@pytest.mark.parametrize("workers", [1, 3])
def test_any_number_of_workers(journey: Journey, workers: int) -> None:
    """One worker, or three, drop each letter once."""
    configure(journey, workers=workers)
    letters = journey.publish(LETTERS)
    process = journey.start("run")
    wait_for_drops(journey, len(letters))
    assert len(workers_of(process)) == workers
    stop(process)
    assert journey.dropped_ids() == sorted(letters)


def test_one_index_for_all_letters(journey: Journey) -> None:
    """With the layout csv all letters add to one file: each has its lines there, once."""
    configure(journey, layout="csv")
    letters = journey.publish(LETTERS)
    process = journey.start("run")
    index = journey.scene.drop / "index.csv"

    def indexed() -> list[str]:
        if not index.exists():
            return []
        rows = list(csv.DictReader(index.read_text("utf-8-sig").splitlines(), delimiter=";"))
        return sorted({row["letter"] for row in rows})

    assert journey.altinn.wait_for(lambda: len(indexed()) >= len(letters), timeout=60)
    stop(process)
    rows = list(csv.DictReader(index.read_text("utf-8-sig").splitlines(), delimiter=";"))
    assert len({row["letter"] for row in rows}) == len(letters)
    assert len({(row["letter"], row["file"]) for row in rows}) == len(rows)
