"""Drops that are watched: what is taken is noticed at once, whatever happens to the folder
meanwhile."""

from __future__ import annotations

import queue
import shutil
import threading
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from connectors.destinations.filedrop import FileDrop, Settings
from daemon.core.durations import duration
from daemon.core.errors import DiskFull
from daemon.delivery import pickup
from daemon.delivery.pickup import Pickups, PickupWatch
from daemon.runtime.heartbeat import Heartbeats
from daemon.store import Store
from tests.unit.conftest import Clock, active_snapshot
from tests.unit.memory import MemoryDestination

SOON = 10  # seconds; far less than the looks at everything are apart


class Looks(Pickups):
    """Pickups that tell of each look."""

    def __init__(self, store: Store, destinations: dict[str, FileDrop], clock: Clock) -> None:
        super().__init__(store=store, active=active_snapshot(destinations), clock=clock)
        self.seen: queue.SimpleQueue[set[str]] = queue.SimpleQueue()

    def look(self, only: Collection[str] = ()) -> int:
        still = super().look(only)
        # set above, past the frozen dataclass
        self.seen.put(set(only))
        return still

    def next(self) -> set[str]:
        """Where the next look looks; nothing for everywhere."""
        found: set[str] = self.seen.get(timeout=SOON)
        return found


@pytest.fixture
def drop(tmp_path: Path) -> Path:
    """A drop's folder with a letter."""
    folder = tmp_path / "drop"
    (folder / "letter").mkdir(parents=True)
    return folder


@pytest.fixture
def looks(
    store: Store, clock: Clock, drop: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Looks]:
    """The watch at work; its first look is over."""
    monkeypatch.setattr(pickup, "_KEEP", 0.1)
    waits = FileDrop("erp", Settings(path=drop, await_pickup=duration("1h")))
    idle = FileDrop("idle", Settings(path=drop.parent))
    places = {"erp": waits, "idle": idle, "mail": MemoryDestination("mail")}
    pickups = Looks(store, places, clock)  # type: ignore[arg-type]  # any destination will do
    active = active_snapshot(places)  # type: ignore[arg-type]  # likewise
    watch, stopping = PickupWatch(pickups, active, Heartbeats()), threading.Event()
    thread = threading.Thread(target=watch.loop, args=(stopping,), daemon=True)
    thread.start()
    assert pickups.next() == set()
    yield pickups
    stopping.set()
    watch.wake()
    thread.join(SOON)
    assert not thread.is_alive()


def test_a_letter_that_is_taken(looks: Looks, drop: Path) -> None:
    """What disappears from a drop is looked for at once, and at that destination only."""
    shutil.rmtree(drop / "letter")
    assert looks.next() == {"erp"}


def test_an_answer(looks: Looks, drop: Path) -> None:
    """So is an answer that the consumer writes."""
    (drop / "letter.err").write_text("no")
    assert looks.next() == {"erp"}


def test_a_folder_that_comes_back(looks: Looks, drop: Path) -> None:
    """A folder that was removed and made again is looked at whole, for nobody saw it meanwhile, and
    is watched as before."""
    shutil.rmtree(drop)
    (drop / "another").mkdir(parents=True)
    while looks.next() != set():
        pass
    (drop / "another").rmdir()
    while looks.next() != {"erp"}:
        pass


def test_a_folder_in_the_place_of_another(looks: Looks, drop: Path, tmp_path: Path) -> None:
    """Another folder under the same name, as when a share is mounted, is noticed although the first
    is still there."""
    other = tmp_path / "other"
    (other / "another").mkdir(parents=True)
    drop.rename(tmp_path / "aside")
    other.rename(drop)
    while looks.next() != set():
        pass
    (drop / "another").rmdir()
    while looks.next() != {"erp"}:
        pass


def test_a_look_now_and_then(looks: Looks, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is looked at now and then, also if nothing is seen to happen."""
    monkeypatch.setattr(pickup, "_LOOK", 0.1)
    assert (looks.next(), looks.next()) == (set(), set())


def test_a_full_disk_is_waited_out(
    store: Store, clock: Clock, drop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a pickup cannot be kept because the disk is full, the watch goes on, and keeps it when
    there is room."""
    monkeypatch.setattr(pickup, "_LOOK", 0.1)
    full = [DiskFull("no room"), DiskFull("no room")]

    class Full(Looks):
        def look(self, only: Collection[str] = ()) -> int:
            if full:
                raise full.pop()
            return super().look(only)

    places = {"erp": FileDrop("erp", Settings(path=drop, await_pickup=duration("1h")))}
    pickups = Full(store, places, clock)
    watch, stopping = PickupWatch(pickups, active_snapshot(places), Heartbeats()), threading.Event()
    thread = threading.Thread(target=watch.loop, args=(stopping,), daemon=True)
    thread.start()
    assert pickups.next() == set()
    stopping.set()
    watch.wake()
    thread.join(SOON)
    assert (full, thread.is_alive()) == ([], False)
