"""What tells people of letters that wait for them, and a mail server that keeps its mails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from uuid import UUID

from daemon.config.loader import (
    Configuration,
    DeliverySettings,
    DestinationConfiguration,
    RoutingSettings,
)
from daemon.config.store import StoreSettings
from daemon.config.web import WebSettings
from daemon.core.awaited import AwaitedValues
from daemon.core.ports import Destination
from daemon.core.settings import DestinationSettings
from daemon.delivery.reminders import ReminderSender
from daemon.routing.table import Table, parse_table
from daemon.runtime.heartbeat import Heartbeats
from daemon.store import Store, StoredLetter
from tests.unit.alerting import WakeEvent
from tests.unit.conftest import NOW, Clock, active_snapshot, stored_letter

TABLE_TEXT = """\
[[recipient]]
name = "post"
deliver_to = ["erp"]
deputy = "okonomi"
members = ["kari@example.no"]
manager = "leder@example.no"
acknowledge_within = "2wd"

[[recipient]]
name = "okonomi"
deliver_to = ["erp"]
members = ["ola@example.no"]

[[recipient]]
name = "sist"
deliver_to = ["erp"]
members = ["sist@example.no"]
last_resort = true

[[route]]
name = "Alt annet"
to = ["post"]
"""


class PeopleSettings(DestinationSettings):
    """Of a destination that mails people."""

    @property
    def can_notify_people(self) -> bool:
        return True


@dataclass
class Desk:
    """A store with letters that wait, and who tells people of them."""

    store: Store
    clock: Clock
    mail: WakeEvent
    doubts: dict[str, str] = field(default_factory=dict)
    text: str = TABLE_TEXT
    with_mail: bool = True
    public_url: str = ""

    @property
    def table(self) -> Table:
        """The active routing table."""
        return parse_table(self.text, "routing.toml", ("erp", "mail"))

    @property
    def configuration(self) -> Configuration:
        """The configuration, whose one destination mails people, if there is one."""
        return Configuration(
            path=Path("postmottak.toml"),
            text="",
            store=StoreSettings(database="sqlite:///postmottak.db", content=Path("content")),
            mailboxes=(),
            destinations=(
                DestinationConfiguration(name="mail", type="smtp", settings=PeopleSettings()),
            )
            * self.with_mail,
            delivery=DeliverySettings(),
            routing=RoutingSettings(file=Path("routing.toml")),
            web=WebSettings(public_url=self.public_url),
        )

    def sender(self) -> ReminderSender:
        """The one that tells people, as after a start."""
        places: dict[str, Destination] = {"mail": self.mail}
        return ReminderSender(
            self.store,
            active_snapshot(places, self.table, self.configuration),
            self.clock,
            lambda: self.doubts,
            Heartbeats(),
        )

    def look(self, days: float = 0) -> int:
        """Let time pass, and look."""
        self.clock.advance(days=days)
        return self.sender().look()

    def told(self) -> list[tuple[str, ...]]:
        """The addresses of each mail, in order."""
        return [each.to for each in self.mail.told]


def waiting_letter(name: str = "a", begun: datetime = NOW, **changes: object) -> StoredLetter:
    """A letter that somebody has to acknowledge within two working days."""
    letter = stored_letter(name, **changes)  # type: ignore[arg-type]
    return replace(letter, awaited=awaited(letter.message.id, begun))


def awaited(message: UUID, begun: datetime, recipients: Sequence[str] = ("post",)) -> AwaitedValues:
    return AwaitedValues(
        message_id=message,
        decision=1,
        begun_at=begun,
        within="2wd",
        recipients=list(recipients),
        look_at=begun,
    )
