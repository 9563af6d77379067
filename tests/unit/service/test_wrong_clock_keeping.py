"""Housekeeping on a machine whose clock is wrong: nothing is deleted before its time."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

from daemon.core.bookkeeping import CLOCK
from daemon.runtime.clock import STABLE
from daemon.service.app import App
from tests.machine import Machine
from tests.unit.memory import MemoryMailbox
from tests.unit.service.conftest import MAILBOXES, Command
from tests.unit.service.wrong_clocks import (
    DAY,
    YEAR,
    Start,
    new_box,  # noqa: F401  # a fixture
    new_machine,  # noqa: F401  # a fixture
    new_start,  # noqa: F401  # a fixture
    works,
)


def keep(configuration_file: Path, days: int) -> None:
    """Let retention keep everything for so long."""
    rules = "".join(f'{part} = "{days}d"\n' for part in ("body", "attachments", "metadata"))
    text = configuration_file.read_text().replace("[routing]", f"[retention]\n{rules}\n[routing]")
    configuration_file.write_text(text)


def run_housekeeping(
    parts: App, machine: Machine, seconds: float, stopping: threading.Event
) -> bool:
    """Let housekeeping try for so long; whether it was done."""
    ends, done = machine.truth + timedelta(seconds=seconds), False
    while machine.truth <= ends:
        done = parts.run_housekeeping(stopping)
        machine.truth += timedelta(seconds=60)
    return done


def test_a_start_400_days_ahead_deletes_nothing(
    start: Start,
    box: MemoryMailbox,
    configuration_file: Path,
    machine: Machine,
    stopping: threading.Event,
) -> None:
    """With retention of a year nothing goes in a start 400 days ahead, nor in the next one; it is
    said, and known to the next process."""
    keep(configuration_file, 365)
    with start() as parts:
        works(parts, machine, 60, stopping)
    booted = machine.booted
    for _ in range(3):
        machine.ahead = timedelta(days=400)
        with start() as parts:
            assert run_housekeeping(parts, machine, 2 * STABLE, stopping) is False
            parts.alerter(list).look()
            assert CLOCK in [each.kind for each in parts.store.alerts.all() if not each.ended_at]
            works(parts, machine, 60, stopping)
            assert parts.store.queries.counts().messages == 1
    machine.ahead = timedelta()
    machine.booted = booted
    with start() as parts:
        works(parts, machine, 60, stopping)
        works(parts, machine, STABLE + 60, stopping)
        run_housekeeping(parts, machine, 30, stopping)
        assert parts.store.queries.counts().messages == 1
        assert parts.clock() == machine.wall()


def test_a_year_goes_by(
    start: Start,
    box: MemoryMailbox,
    configuration_file: Path,
    machine: Machine,
    stopping: threading.Event,
) -> None:
    """When a service that works has kept a letter for a year it is deleted by itself, with a source
    and without one."""
    keep(configuration_file, 365)
    with start() as parts:
        works(parts, machine, 60, stopping)
    for _ in range(19):
        machine.truth += timedelta(days=20)
        with start() as parts:
            works(parts, machine, 60, stopping)
    with start() as parts:
        works(parts, machine, 60, stopping)
        assert run_housekeeping(parts, machine, STABLE + 60, stopping)
        assert parts.store.queries.counts().messages == 0


def test_an_operator_says_that_the_clock_is_right(
    command: Command,
    start: Start,
    configuration_file: Path,
    machine: Machine,
    stopping: threading.Event,
) -> None:
    """`retention run` refuses to delete by a clock that nobody confirms, says what to do, and does
    it when told that the clock is right."""
    keep(configuration_file, 100)
    MAILBOXES["altinn"] = MemoryMailbox()
    MAILBOXES["altinn"].publish("before", b"pdf")
    machine.truth = datetime.now(UTC) - timedelta(days=200)
    with start() as parts:
        works(parts, machine, 60, stopping)
    refused = command("retention", "run")
    assert refused.code != 0
    assert "--trust-clock" in refused.err
    assert "nothing was deleted" in refused.err
    machine.truth += timedelta(days=200)
    with start() as parts:
        works(parts, machine, 60, stopping)
        parts.alerter(list).look()
    assert command("retention", "run").code == refused.code, "a new record made nobody confirm it"
    assert command("status", "--monitor").code == 2
    assert "clock" in command("status", "--monitor").out
    assert command("retention", "run", "--trust-clock").code == 0
    assert command("status", "--monitor").out.count("clock") == 0
    with start() as parts:
        works(parts, machine, STABLE + 30, stopping)
        assert (parts.clock.settled, parts.store.queries.counts().messages) == (True, 0)


def test_files_of_letters_that_are_being_fetched_stay(
    start: Start, machine: Machine, stopping: threading.Event
) -> None:
    """Bytes that were written while the machine's clock was behind look old; they stay for as long
    as their letter may still come."""
    MAILBOXES["altinn"] = MemoryMailbox()
    with start() as parts:
        works(parts, machine, STABLE, stopping)
        kept = parts.content.put([b"of a letter that is not stored yet"])
        path = Path(parts.content.place, kept.sha256[:2], kept.sha256)
        old = (machine.truth - YEAR).timestamp()
        os.utime(path, (old, old))
        machine.ahead = -YEAR
        assert parts.run_housekeeping(stopping) is False
        machine.ahead = timedelta()
        assert parts.run_housekeeping(stopping) is True
        assert path.exists()
        machine.truth += 2 * DAY
        assert parts.run_housekeeping(stopping) is True
        assert not path.exists()
