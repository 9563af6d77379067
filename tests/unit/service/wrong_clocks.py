"""The service on a machine whose clock is wrong, with mailboxes that know the time and others that
do not."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

import pytest

from daemon.service import app, stack
from daemon.service.app import App
from tests.machine import Machine
from tests.unit.conftest import NOW
from tests.unit.memory import MemoryMailbox
from tests.unit.service.conftest import MAILBOXES

YEAR = timedelta(days=365)
DAY = timedelta(days=1)
Start = Callable[[], AbstractContextManager[App]]


@pytest.fixture(name="machine")
def new_machine() -> Machine:
    """A machine whose clock is right."""
    return Machine(NOW)


class Timely(MemoryMailbox):
    """A mailbox whose other side has a clock, which is right."""

    machine: Machine

    def source_time(self) -> object:
        """What it said last."""
        return self.machine.heard

    def _called(self, verb: str, what: str) -> None:
        super()._called(verb, what)
        self.machine.ask()


@pytest.fixture(name="start")
def new_start(
    memory_connectors: Path, configuration_file: Path, places: object, machine: Machine
) -> Start:
    """Starts the service's parts on the machine."""
    return lambda: app.open_app(stack.load(configuration_file), machine.new_clock)


@pytest.fixture(name="box", params=["source", "alone"])
def new_box(
    request: pytest.FixtureRequest, memory_connectors: Path, machine: Machine
) -> MemoryMailbox:
    """A mailbox, with a clock of its own or without; it has a letter."""
    kind = {"source": Timely, "alone": MemoryMailbox}[request.param]
    MAILBOXES["altinn"] = box = kind()
    if isinstance(box, Timely):
        box.machine = machine
    box.publish("before", b"pdf", title="Skatt")
    return box


def works(
    parts: App,
    machine: Machine,
    seconds: float,
    stopping: threading.Event,
    *,
    polls: bool = True,
    step: float = 60,
) -> None:
    """The service works for so long: looks at its outbox when something is due, and once a minute
    at least, and polls every five."""
    ends = machine.truth + timedelta(seconds=seconds)
    polled = machine.truth
    if polls:
        parts.intake.poll(
            parts.polled_mailboxes[0].mailbox, parts.polled_mailboxes[0].policies, stopping
        )
    while machine.truth < ends:
        parts.deliver_due(stopping)
        due = parts.next_due()
        wait = (due - parts.clock()).total_seconds() if due else step
        machine.truth = min(ends, machine.truth + timedelta(seconds=min(max(wait, 1), step)))
        if polls and machine.truth - polled >= timedelta(minutes=5):
            polled = machine.truth
            parts.intake.poll(
                parts.polled_mailboxes[0].mailbox, parts.polled_mailboxes[0].policies, stopping
            )
    parts.deliver_due(stopping)
