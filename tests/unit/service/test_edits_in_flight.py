"""Edits while deliveries are in flight: no attempt sees a destination that is closed under it."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from daemon.core.errors import PostmottakError
from daemon.core.model import DeliveryState, Outcome
from daemon.core.parcels import Receipt
from daemon.core.ports import Finding, Notification, Parcel, Pickup, PickupState
from daemon.service import app, plugins, stack
from daemon.service.app import App
from tests.unit.conftest import stored_letter
from tests.unit.memory import MemoryMailbox
from tests.unit.service.conftest import MAILBOXES

SOON = 10  # seconds in which a thread must have done what it is waited for


@dataclass(eq=False)
class Client:
    """A destination with a client of its own, which fails once it is closed, as an HTTP client
    does."""

    name: str
    during: Callable[[Client], None] = lambda _: None
    closings: int = 0
    seen_closed: int = 0
    delivered: int = 0
    await_pickup: timedelta = timedelta(hours=1)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def _use(self) -> None:
        self._must_be_open()
        time.sleep(0.001)
        self._must_be_open()

    def _must_be_open(self) -> None:
        if self.closings:
            self.seen_closed += 1
            raise RuntimeError("Cannot send a request, as the client has been closed.")

    def check(self) -> Iterator[Finding]:
        """All is well here."""
        yield Finding(subject=self.name, ok=True, text="is in memory")

    def deliver(self, parcel: Parcel) -> Receipt:
        """Take a while, and need the client to the end."""
        self._must_be_open()
        self.during(self)
        self._must_be_open()
        with self.lock:
            self.delivered += 1
        return Receipt(reference=f"{self.name}/{parcel.delivery_id}", details={})

    def notify(self, _: Notification) -> None:
        """Likewise."""
        self._use()

    def close(self) -> None:
        """Close the client."""
        with self.lock:
            self.closings += 1

    def pickup(self, _: dict[str, Any]) -> Pickup:
        """See that nothing is picked up yet."""
        self._use()
        return Pickup(state=PickupState.WAITING)

    def dedup_records(self) -> list[Any]:
        """There are none."""
        self._use()
        return []

    def forget(self, _: Any) -> None:
        """Use the client."""
        self._use()


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> list[Client]:
    """Every destination that is connected, in that order; each connection is a client of its
    own."""
    made: list[Client] = []

    def connect(configuration: Any, exclude: Any = ()) -> dict[str, Client]:
        names = [each.name for each in configuration.destinations if each.name not in exclude]
        connected = {name: Client(name) for name in names}
        made.extend(connected.values())
        return connected

    monkeypatch.setattr(plugins, "connect_destinations", connect)
    return made


@pytest.fixture
def checked(memory_connectors: Path, configuration_file: Path) -> stack.LoadedConfig:
    """The configuration, loaded."""
    MAILBOXES["altinn"] = MemoryMailbox()
    return stack.load(configuration_file)


@pytest.fixture
def parts(checked: stack.LoadedConfig, clients: list[Client]) -> Iterator[App]:
    """The app, opened."""
    with app.open_app(checked) as parts:
        yield parts
    assert [each.closings for each in clients] == [1] * len(clients)


def edited(checked: stack.LoadedConfig, edition: int, *names: str) -> stack.LoadedConfig:
    """The configuration after an edit of these destinations."""
    destinations = tuple(
        replace(each, settings=type(each.settings).model_validate({"edition": edition}))
        if each.name in names
        else each
        for each in checked.configuration.destinations
    )
    return replace(checked, configuration=replace(checked.configuration, destinations=destinations))


def store_letters(parts: App, count: int, start: int = 0) -> None:
    """Keep letters that are due at erp."""
    stack.open_content(parts.configuration()).put([b"pdf"])
    now = parts.clock()
    parts.store.letters.add(
        [
            stored_letter(f"letter-{number}", ("erp",), due_at=now)
            for number in range(start, start + count)
        ]
    )


def test_a_replaced_destination_ends_its_work_first(
    parts: App,
    checked: stack.LoadedConfig,
    clients: list[Client],
    stopping: threading.Event,
) -> None:
    """A delivery in flight ends at the destination at which it began, which is closed after that,
    once; the next letter goes to the new one."""
    old = clients[0]
    begun, go_on = threading.Event(), threading.Event()

    def wait(_: Client) -> None:
        begun.set()
        assert go_on.wait(SOON)

    old.during = wait
    store_letters(parts, 1)
    round_ = threading.Thread(target=parts.deliver_due, args=(stopping,), daemon=True)
    round_.start()
    assert begun.wait(SOON)
    parts.swap(edited(checked, 1, "erp"))
    new = clients[-1]
    assert (old.closings, parts.destinations["erp"] is new) == (0, True)
    go_on.set()
    round_.join(SOON)
    assert parts.attempts() == {("erp", Outcome.DELIVERED): 1}
    assert (old.closings, old.delivered, new.closings, new.delivered) == (1, 1, 0, 0)
    store_letters(parts, 1, start=1)
    parts.deliver_due(stopping)
    assert (old.closings, old.delivered, new.closings, new.delivered) == (1, 1, 0, 1)


@pytest.mark.parametrize("seed", range(3))
def test_edits_at_random_while_letters_are_delivered(
    parts: App,
    checked: stack.LoadedConfig,
    clients: list[Client],
    stopping: threading.Event,
    seed: int,
) -> None:
    """However often destinations are replaced meanwhile, no delivery, pickup check or cleanup sees
    one that is closed, and every delivery is made by its first attempt."""
    chance = random.Random(seed)  # so that a failure can be repeated
    store_letters(parts, 60)
    done, failures = threading.Event(), list[PostmottakError]()

    def deliver() -> None:
        try:
            while {DeliveryState.PENDING, DeliveryState.CLAIMED} & set(
                parts.store.queries.unfinished()
            ):
                parts.deliver_due(stopping)
        except PostmottakError as error:
            failures.append(error)
        finally:
            done.set()

    def look() -> None:
        while not done.is_set():
            parts.pickups.look()

    threads = [threading.Thread(target=each, daemon=True) for each in (deliver, look)]
    for thread in threads:
        thread.start()
    edition = 0
    while not done.is_set():
        edition += 1
        names = chance.choice([("erp",), ("mail",), ("erp", "mail")])
        for each in clients[-4:]:
            each.during = lambda _: time.sleep(0.003)
        parts.swap(edited(checked, edition, *names))
        done.wait(chance.random() * 0.02)
    for thread in threads:
        thread.join(SOON)
    assert failures == []
    assert edition > 3
    assert sum(each.seen_closed for each in clients) == 0
    assert parts.attempts() == {("erp", Outcome.DELIVERED): 60}
    active = [*parts.destinations.values()]
    assert all(each.closings == (each not in active) for each in clients)
