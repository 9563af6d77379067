"""An alerter with what it looks at, and a destination that tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from daemon.config.loader import (
    AlertSettings,
    Configuration,
    DeliverySettings,
    DestinationConfiguration,
    MailboxConfiguration,
    RoutingSettings,
)
from daemon.config.store import StoreSettings
from daemon.core.bookkeeping import Bookmark
from daemon.core.errors import Fault
from daemon.core.ports import Destination, Notification
from daemon.core.settings import Day, DestinationSettings, MailboxSettings
from daemon.monitoring.alerts import AlertNotifier
from daemon.monitoring.service_problems import ServiceProblems
from daemon.runtime.heartbeat import Heartbeats
from daemon.store import Store
from tests.unit.conftest import NOW, Clock, active_snapshot
from tests.unit.memory import MemoryDestination

KEY_LASTS = timedelta(days=364)


class Expiring(MailboxSettings):
    """A mailbox with a key that ends."""

    key_expires: Day

    @property
    def key_ends(self) -> Day:
        return self.key_expires


@dataclass
class WakeEvent(MemoryDestination):
    """A destination that tells, or fails to."""

    told: list[Notification] = field(default_factory=list)
    deaf: Iterator[Exception] = field(default_factory=lambda: iter(()))

    def notify(self, notification: Notification) -> None:
        """Keep it, or fail as told."""
        error = next(self.deaf, None)
        if error:
            raise error
        self.told.append(notification)


@dataclass
class Desk:
    """An alerter, and what it looks at."""

    store: Store
    clock: Clock
    bell: WakeEvent
    make: Callable[[], AlertNotifier]
    faults: list[Fault]
    configuration: Configuration
    problems: ServiceProblems

    def kinds(self) -> list[tuple[str, bool]]:
        """What was told: the kind, and whether it was the end."""
        return [(each.kind, each.ended) for each in self.bell.told]


@pytest.fixture(name="desk")
def new_desk(store: Store, clock: Clock, tmp_path: Path) -> Desk:
    """A mailbox and two destinations, of which one tells."""
    bell, faults = WakeEvent("mail"), list[Fault]()
    problems = ServiceProblems()
    (tmp_path / "content").mkdir()
    configuration = Configuration(
        path=tmp_path / "postmottak.toml",
        text="",
        store=StoreSettings(
            database=f"sqlite:///{tmp_path / 'postmottak.db'}", content=tmp_path / "content"
        ),
        mailboxes=(
            MailboxConfiguration(
                name="altinn",
                type="altinn3",
                settings=Expiring(key_expires=(NOW + KEY_LASTS).date()),
            ),
        ),
        destinations=(
            DestinationConfiguration(name="mail", type="smtp", settings=DestinationSettings()),
        ),
        delivery=DeliverySettings(),
        routing=RoutingSettings(file=tmp_path / "routing.toml"),
        alerts=AlertSettings(to=("mail",), free_bytes=0),
    )
    places: dict[str, Destination] = {"mail": bell}
    own: Desk
    make = lambda: AlertNotifier(  # noqa: E731  # a restart makes another one
        store=store,
        active=active_snapshot(places, configuration=own.configuration),
        faults=lambda: faults,
        clock=clock,
        heartbeats=Heartbeats(),
        service_problems=problems,
    )
    own = Desk(store, clock, bell, make, faults, configuration, problems)
    return own


def read(desk: Desk, *, refused: bool = False) -> None:
    """The mailbox was read now, or was refused."""
    bookmark = Bookmark(
        mailbox="altinn",
        party="991825827",
        service="4255/8",
        resource="skatt",
        begun=True,
        refused=refused,
    )
    bookmark.succeeded_at = desk.clock()
    with desk.store.letters._database.write() as session:
        session.merge(bookmark)
