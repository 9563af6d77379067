"""What takes long to find out is found out once for all who ask at about the same time."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from daemon.core.errors import StoreBusy
from daemon.monitoring import shared_health
from daemon.monitoring.health import Health
from daemon.monitoring.shared_health import SharedHealth


@dataclass
class Finder:
    """Finds out how it is, as often as it is asked."""

    pause: float = 0.0
    fails: list[Exception] = field(default_factory=list)
    found: list[Health] = field(default_factory=list)

    def find(self) -> Health:
        if self.fails:
            raise self.fails.pop()
        time.sleep(self.pause)
        self.found.append(Health(problems=(), passing=()))
        return self.found[-1]


def test_many_who_ask_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight threads that ask together cause one search, and all get its result."""
    monkeypatch.setattr(shared_health, "_PATIENCE", 30.0)
    shared, finder, together = SharedHealth(), Finder(pause=0.2), threading.Barrier(8)

    def ask(_: int) -> Health:
        together.wait()
        return shared.recent(finder.find)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    assert len(finder.found) == 1
    assert all(each is finder.found[0] for each in answers)


def test_a_look_renews_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an alert's look has found is what is shown, until it is too old."""
    shared, finder = SharedHealth(), Finder()
    shared.recent(finder.find)
    looked = shared.renew(finder.find)
    assert shared.recent(finder.find) is looked is finder.found[1]
    monkeypatch.setattr(shared_health, "_KEPT", 0.0)
    monkeypatch.setattr(shared_health, "_SHARE", 0.0)
    shared.renew(finder.find)
    time.sleep(0.01)
    shared.recent(finder.find)
    assert len(finder.found) == 4


def test_what_took_long_is_kept_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The more there is to look through, the longer the result is used."""
    monkeypatch.setattr(shared_health, "_KEPT", 0.0)
    shared, finder = SharedHealth(), Finder(pause=0.2)
    shared.recent(finder.find)
    time.sleep(0.1)
    shared.recent(finder.find)
    assert len(finder.found) == 1


def test_an_error_is_not_kept() -> None:
    """A store that did not answer is asked again by the next one."""
    shared, finder = SharedHealth(), Finder(fails=[StoreBusy("busy")])
    with pytest.raises(StoreBusy):
        shared.recent(finder.find)
    assert shared.recent(finder.find) is finder.found[0]


def test_nobody_waits_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """While another thread waits for the database, one that asks tries by itself in its own
    time."""
    monkeypatch.setattr(shared_health, "_PATIENCE", 0.05)
    shared, finder, goes_on, began = SharedHealth(), Finder(), threading.Event(), threading.Event()

    def stuck() -> Health:
        began.set()
        goes_on.wait(10)
        return finder.find()

    thread = threading.Thread(target=shared.renew, args=(stuck,), daemon=True)
    thread.start()
    assert began.wait(10)
    assert shared.recent(finder.find) is finder.found[0]
    goes_on.set()
    thread.join(10)
