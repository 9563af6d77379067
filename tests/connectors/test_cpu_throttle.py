"""A list that does not end takes a small share of a core, and any other is not delayed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from connectors.altinn3 import listing
from connectors.altinn3.listing import Window
from connectors.net.cpu_throttle import CpuThrottle

PAGE = 10
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


@dataclass
class Machine:
    """A core and a clock. Each call computes for a while, and waits for a server."""

    computes: float
    waits: float
    used: float = 0.0
    passed: float = 0.0
    calls: int = 0

    def call(self, _window: Window, _status: str | None) -> Sequence[str]:
        self.calls += 1
        self.used += self.computes
        self.passed += self.computes + self.waits
        return [f"{self.calls}-{number}" for number in range(PAGE)]

    def sleep(self, seconds: float) -> None:
        self.passed += seconds

    def throttle(self) -> CpuThrottle:
        return CpuThrottle(
            processor=lambda: self.used, steady=lambda: self.passed, sleep=self.sleep
        )


def test_an_endless_list_takes_a_share_of_a_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list whose every window is full is walked with at most the share, but for its beginning,
    and is given up all the same."""
    monkeypatch.setattr(listing, "_CALLS_AT_MOST", 200)
    monkeypatch.setattr(listing, "PAGE", PAGE)
    machine = Machine(computes=0.002, waits=0.001)
    found = listing.find_all(machine.call, None, NOW, machine.throttle())
    assert found.shortfall
    assert machine.calls >= 200
    throttle = machine.throttle()
    hurried = (throttle.after + 1) * machine.computes
    assert (machine.used - hurried) / machine.passed <= throttle.share * 1.001


@pytest.mark.parametrize(
    ("calls", "waits"), [(20, 0.0), (2000, 0.1)], ids=["it ends soon", "the server is far away"]
)
def test_others_are_not_delayed(calls: int, waits: float) -> None:
    """Neither a short walk, nor one that mostly waits anyway."""
    machine = Machine(computes=0.002, waits=waits)
    throttle = machine.throttle()
    for _ in range(calls):
        throttle.step()
        machine.call(Window(None, None), None)
    assert machine.passed == pytest.approx(calls * (machine.computes + waits))


def test_one_wait_is_bounded() -> None:
    """A step for which the machine was busy for long is followed by one second of rest."""
    machine = Machine(computes=60.0, waits=0.0)
    throttle = machine.throttle()
    for _ in range(22):
        throttle.step()
        machine.call(Window(None, None), None)
    assert machine.passed == 22 * 60.0 + 1.0
