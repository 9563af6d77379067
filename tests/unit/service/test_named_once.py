"""What keeps letters away is named within a day, once, and once more when it is mended: at the
simulated Altinn, a mail server, a drop and a receiver of alerts, in a real store."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from connectors.sandbox.altinn3.access import ReadyClient
from connectors.sandbox.altinn3.discovery import PretendResource
from connectors.sandbox.altinn3.server import FakeAltinn
from connectors.sandbox.letters import PretendLetter
from connectors.sandbox.setup import WEBHOOK_SECRET
from connectors.sandbox.sinks.mail import MailSink
from connectors.sandbox.sinks.webhook import WebhookSink
from daemon.runtime.clock import Clock
from daemon.service.app import App, open_app
from daemon.service.stack import load
from tests.machine import Machine
from tests.unit.conftest import PARTY

POST, TAX, NEW = "eformidling-dpv-administrasjon", "skatt", "ny-skatt"
REGULAR, OTHER = "974761076", "964965226"
DAY, ROUND = timedelta(days=1), timedelta(hours=6)
CONFIGURATION = """\
[store]
database = "sqlite:///letters.db"
content = "content"
[routing]
file = "routing.toml"
[mailbox.altinn]
type = "altinn3"
maskinporten_url = "{altinn.maskinporten_url}"
platform_url = "{altinn.platform_url}"
client_id = "{client.client_id}"
key_file = "key.pem"
key_id = "{client.key_id}"
parties = ["{party}"]
services = ["4255/10", "4255/8"]
confidential = "off"
start_from = "90d"
resources = {{ "4255/10" = ["{post}"], "4255/8" = {tax} }}
[destination.erp]
type = "filedrop"
path = "drop"
await_pickup = "6h"
[destination.epost]
type = "smtp"
host = "127.0.0.1"
port = {mail.port}
security = "none"
sender = "post@example.no"
recipients = ["regnskap@example.no"]
[destination.vakt]
type = "webhook"
url = "{alerts.url}"
secret_file = "webhook.secret"
[alerts]
to = ["vakt"]
free_bytes = 0
"""
ROUTING = """\
[[recipient]]
name = "post"
deliver_to = ["erp", "epost"]
[[route]]
name = "Alt"
to = ["post"]
"""


class LonelyClock(Clock):
    """A clock that hears of no other: that of the simulated Altinn is advanced with it."""

    def follow(self, *sources: object) -> None:
        """Follow none."""


@dataclass
class Town:
    """A service with everything around it, in which time passes when it is told to."""

    folder: Path
    altinn: FakeAltinn
    client: ReadyClient
    mail: MailSink
    alerts: WebhookSink
    machine: Machine
    consumer_runs: bool = True
    tax: tuple[str, ...] = (TAX,)
    ends: ExitStack = field(default_factory=ExitStack)

    def start(self) -> None:
        """Start the service, again if it runs."""
        self.ends.close()
        file = self.folder / "postmottak.toml"
        told = {"altinn": self.altinn, "client": self.client, "mail": self.mail}
        tax = json.dumps(self.tax)
        text = CONFIGURATION.format(**told, alerts=self.alerts, party=PARTY, post=POST, tax=tax)
        file.write_text(text)
        machine = self.machine
        new_clock = partial(
            LonelyClock, wall=machine.wall, ticks=machine.ticks, steady=machine.ticks
        )
        self.app: App = self.ends.enter_context(open_app(load(file), new_clock))

    def go_on(self, days: int) -> None:
        """Let days pass: a letter comes each day, and is taken from the drop if that is done."""
        for _ in range(days):
            self.write(OTHER)
            for _ in range(DAY // ROUND):
                self.machine.truth += ROUND
                self.altinn.clock.advance(ROUND)
                self.app.poll(threading.Event())
                if self.consumer_runs:
                    self.take()

    def take(self) -> None:
        """Take what is in the drop."""
        for each in (self.folder / "drop").iterdir():
            if not each.name.startswith("."):
                shutil.rmtree(each)

    def write(self, sender: str, at: datetime | None = None) -> None:
        """A sender writes a letter, now or then."""
        moment = at or self.altinn.clock.now()
        letter = PretendLetter(
            party=PARTY,
            resource=POST,
            sender_org=sender,
            created_at=moment,
            requested_at=moment,
            published_at=moment,
        )
        self.altinn.publish(letter)

    def told(self) -> list[tuple[str, bool]]:
        """Return what was told so far, and whether it was over, sorted."""
        told = [each.json["data"] for each in self.alerts.taken]
        return sorted((each["kind"], each["ended"]) for each in told)


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    """A service that reads two resources, with a sender that has written every third day."""
    with ExitStack() as ends:
        altinn = ends.enter_context(FakeAltinn())
        begin = (datetime.now(UTC) + DAY).replace(hour=8)
        altinn.clock.advance(begin - altinn.clock.now())
        altinn.maskinporten.token_lifetime = altinn.exchange.lifetime = 100 * DAY
        client = altinn.ready_client()
        altinn.allow(client.client_id, PARTY, [POST, TAX, NEW])
        for resource, service in ((POST, "4255/10"), (TAX, "4255/8")):
            altinn.add_resource(PretendResource(id=resource, title=resource, service=service))
        sinks = ends.enter_context(MailSink()), ends.enter_context(WebhookSink())
        for name, text in (
            ("key.pem", client.private_key),
            ("routing.toml", ROUTING),
            ("webhook.secret", WEBHOOK_SECRET),
        ):
            (tmp_path / name).touch(mode=0o600)
            (tmp_path / name).write_text(text)
        (tmp_path / "drop").mkdir()
        town = Town(tmp_path, altinn, client, *sinks, Machine(begin))
        ends.enter_context(town.ends)
        for number in range(14):
            town.write(REGULAR, altinn.clock.now() - 3 * number * DAY)
        town.start()
        yield town


def test_each_is_named_within_a_day_once_and_when_it_is_mended(town: Town) -> None:
    """A lost right, a new resource, a stopped consumer, a broken mail server and a silent sender;
    neither a restart nor another day repeats any of them."""
    town.go_on(1)
    assert town.told() == []
    town.altinn.revoke(town.client.client_id, PARTY, [TAX])
    town.altinn.add_resource(PretendResource(id=NEW, title=NEW, service="4255/8"))
    town.mail.refuse("451 not now", at="MAIL")
    town.consumer_runs = False
    kinds = ("not-taken", "resource", "rights", "undelivered")
    town.go_on(1)
    assert town.told() == [(kind, False) for kind in kinds]
    town.start()
    town.go_on(1)
    assert town.told() == [(kind, False) for kind in kinds]

    town.altinn.allow(town.client.client_id, PARTY, [POST, TAX, NEW])
    town.mail.accept()
    town.consumer_runs, town.tax = True, (TAX, NEW)
    town.start()
    town.go_on(1)
    mended = [(kind, ended) for kind in kinds for ended in (False, True)]
    assert town.told() == mended

    town.go_on(6)
    assert town.told() == mended
    town.go_on(1)
    silent = sorted([*mended, ("sender", False)])
    assert town.told() == silent
    town.start()
    town.go_on(2)
    assert town.told() == silent
    town.write(REGULAR)
    town.go_on(1)
    assert town.told() == sorted([*silent, ("sender", True)])
