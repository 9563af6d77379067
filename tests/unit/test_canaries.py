"""Canaries: what is no letter comes through routing, store and destinations, or says where not."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.sandbox.sinks.mail import MailSink
from daemon.config.canary import CanarySettings
from daemon.core.canaries import Canary, CanaryStep
from daemon.core.ports import Notification
from daemon.delivery.canary import CanarySender
from daemon.delivery.snapshot import ActiveSnapshot, Snapshot
from daemon.monitoring.alerts import AlertNotifier
from daemon.monitoring.problems import find_problems
from daemon.runtime.heartbeat import Heartbeats
from daemon.service import plugins, stack
from daemon.service.canaries import canary_sender
from daemon.store import Store
from daemon.store.content import PREFIXES
from daemon.store.content_folder import ContentFolder
from tests.unit.conftest import NOW, Clock
from tests.unit.memory import MemoryDestination
from tests.unit.page.conftest import CONFIGURATION, ROUTING

MORE = """
await_pickup = "2d"

[destination.regnskap-epost]
type = "smtp"
host = "127.0.0.1"
port = {port}
security = "none"
sender = "post@example.no"
recipients = ["regnskap@example.no"]

[canary]
every = "1d"
"""
MINUTE = timedelta(minutes=1)


@dataclass
class Bell(MemoryDestination):
    """A destination that gets alerts."""

    told: list[Notification] = field(default_factory=list)

    def notify(self, notification: Notification) -> None:
        """Keep it."""
        self.told.append(notification)


@dataclass
class Office:
    """A service with a drop and a mail server, whose time moves only when it is told to."""

    store: Store
    content: ContentFolder
    clock: Clock
    active: ActiveSnapshot
    sender: CanarySender
    alerts: AlertNotifier
    bell: Bell
    drop: Path
    mail: MailSink
    consumer_runs: bool = True

    def go_on(self, time: timedelta) -> None:
        """Let time pass; the consumer takes everything at once, while it runs."""
        until = self.clock() + time
        while self.clock() < until:
            self.clock.advance(minutes=20)
            self.sender.look()
            if self.consumer_runs:
                for each in self.dropped():
                    shutil.rmtree(each)
            self.alerts.look()

    def dropped(self) -> list[Path]:
        """Return what is in the drop."""
        return [each for each in self.drop.iterdir() if not each.name.startswith(".")]

    def told(self) -> list[tuple[str, bool]]:
        """Return what alerts were about, and whether it was over."""
        return [(each.subject, each.ended) for each in self.bell.told if each.kind == "canary"]

    def newest(self) -> dict[str, Canary]:
        """Return the newest canary of each destination."""
        return {each.destination: each for each in self.store.canaries.newest()}


@pytest.fixture
def office(
    tmp_path: Path, database: Path, store: Store, content: ContentFolder, clock: Clock
) -> Iterator[Office]:
    """A service as its files describe it, with alerts to a destination in memory."""
    with ExitStack() as ends:
        mail = ends.enter_context(MailSink())
        text = CONFIGURATION.rstrip() + MORE.format(port=mail.port)
        (tmp_path / "postmottak.toml").write_text(text, encoding="utf-8")
        (tmp_path / "routing.toml").write_text(ROUTING, encoding="utf-8")
        (tmp_path / "key.pem").touch()
        (tmp_path / "drop").mkdir()
        yield _office(tmp_path, store, content, clock, mail)


def _office(
    folder: Path, store: Store, content: ContentFolder, clock: Clock, mail: MailSink
) -> Office:
    loaded = stack.load_for_page(folder / "postmottak.toml")
    settings = loaded.configuration
    settings = replace(settings, alerts=settings.alerts.model_copy(update={"to": ("bell",)}))
    bell = Bell("bell")
    places: dict[str, Any] = {**plugins.connect_destinations(settings), "bell": bell}
    active = ActiveSnapshot(
        Snapshot(configuration=settings, table=loaded.table, destinations=places)
    )
    store.letters.note_table(loaded.table.version, loaded.table.text, NOW)
    beats = Heartbeats()
    alerts = AlertNotifier(
        store=store, active=active, faults=lambda: (), clock=clock, heartbeats=beats
    )
    sender = canary_sender(store, content, active, clock, beats)
    return Office(store, content, clock, active, sender, alerts, bell, folder / "drop", mail)


def test_a_canary_comes_through(office: Office) -> None:
    """It is routed, stored, and delivered to each destination, to its receipt and its pickup; the
    receivers can tell it from a letter."""
    office.sender.look()
    (folder,) = office.dropped()
    assert "canary" in folder.name
    document = json.loads((folder / "message.json").read_text(encoding="utf-8"))
    assert document["kind"] == "canary"
    assert "not a letter" in document["title"]
    (mail,) = office.mail.mails
    assert mail.message["X-Postmottak-Kind"] == "canary"
    assert mail.recipients == ("regnskap@example.no",)
    office.go_on(timedelta(hours=1))
    found = office.newest()
    assert {name: (each.step, each.route, each.problem) for name, each in found.items()} == {
        "erp": (CanaryStep.THROUGH, "Alt annet", ""),
        "regnskap-epost": (CanaryStep.THROUGH, "Alt annet", ""),
    }
    assert found["erp"].taken_at is not None
    assert found["regnskap-epost"].receipt.startswith("a test mail was accepted")
    assert office.told() == []
    first = {each.id for each in found.values()}
    office.go_on(timedelta(days=1))
    assert not first & {each.id for each in office.newest().values()}


def test_a_stopped_consumer_is_named_once_and_once_when_mended(office: Office) -> None:
    """A consumer that takes nothing is a problem at the pickup within a day, once however long it
    lasts, and is over with the next canary that is taken; nothing stays in the drop."""
    office.consumer_runs = False
    office.go_on(timedelta(days=1))
    ((subject, ended),) = office.told()
    assert "stopped at its pickup" in subject
    assert not ended
    office.go_on(timedelta(days=2))
    assert len(office.told()) == 1
    assert len(office.dropped()) <= 1, "each is removed when its time is over"
    office.consumer_runs = True
    office.go_on(timedelta(days=1))
    assert [ended for _, ended in office.told()] == [False, True]
    office.go_on(timedelta(days=2))
    assert len(office.told()) == 2
    assert office.dropped() == []


def test_a_broken_mail_server_is_named_once_and_once_when_mended(office: Office) -> None:
    """A mail server that takes nothing is a problem at the delivery within a day, once, and once
    more when mended; a failure that passes within minutes is none."""
    office.mail.refuse("451 4.3.0 try later")
    office.clock.advance(minutes=10)
    office.sender.look()
    office.mail.accept()
    office.go_on(timedelta(hours=2))
    assert office.told() == []
    office.mail.refuse("451 4.3.0 try later")
    office.go_on(timedelta(days=1, hours=2))
    ((subject, ended),) = office.told()
    assert "stopped at its delivery" in subject
    assert not ended
    office.go_on(timedelta(days=2))
    assert len(office.told()) == 1
    office.mail.accept()
    office.go_on(timedelta(hours=3))
    assert [ended for _, ended in office.told()] == [False, True]


@pytest.mark.both_databases
def test_a_consumer_that_rejects_it(office: Office) -> None:
    """What the receiver answers is why it stopped; what it wrote stays, as it is its own."""
    office.consumer_runs = False
    office.sender.look()
    (folder,) = office.dropped()
    answer = folder.with_name(f"{folder.name}.err")
    answer.write_text("permanent\nno such case", encoding="utf-8")
    office.go_on(timedelta(minutes=20))
    canary = office.newest()["erp"]
    assert canary.step is CanaryStep.PICKUP
    assert "no such case" in canary.problem
    assert office.dropped() == [answer]


@pytest.mark.both_databases
def test_a_clock_that_goes_back_sends_no_flood(office: Office) -> None:
    """After a jump of the clock, one canary is sent to each destination, and not more."""
    office.go_on(timedelta(hours=1))
    office.clock.advance(days=-400)
    office.go_on(timedelta(hours=2))
    office.clock.advance(days=800)
    office.go_on(timedelta(hours=2))
    assert len(office.mail.mails) == 3


def test_a_destination_that_cannot_be_sent_one(office: Office) -> None:
    """A destination whose receiver would take it for a letter gets none, nor does one that the
    settings leave out."""
    configuration = replace(
        office.active.configuration(), canary=CanarySettings(destinations=("erp",))
    )
    table, places = office.active.table(), dict(office.active.destinations())
    arkiv = MemoryDestination("arkiv")
    places["arkiv"] = arkiv
    office.active.replace(Snapshot(configuration=configuration, table=table, destinations=places))
    office.go_on(timedelta(days=1))
    assert set(office.newest()) == {"erp"}
    assert office.mail.mails == ()
    assert arkiv.handed == []


@pytest.mark.both_databases
def test_none_is_sent_any_more(office: Office) -> None:
    """Where a canary is overdue, that is a problem itself; one that another process, whose clock is
    ahead, has just sent is not."""
    office.go_on(timedelta(hours=1))
    earlier = office.clock() - timedelta(hours=2)
    found = find_problems(office.active.configuration(), office.store, earlier)
    assert not [each for each in found if each.kind == "canary"]
    office.clock.advance(days=3)
    found = find_problems(office.active.configuration(), office.store, office.clock())
    assert {each.about for each in found if each.kind == "canary"} == {
        "erp unsent",
        "regnskap-epost unsent",
    }


def test_the_store_keeps_no_more_than_it_must(office: Office) -> None:
    """A canary's attachment is removed when it is delivered or given up, or by housekeeping; rows
    that are over go when they are old, but never the newest."""
    office.mail.refuse("451 4.3.0 try later")
    with office.content.guarded(alone=False):
        office.go_on(timedelta(hours=1))
    left = [each for prefix in PREFIXES for each in office.content.kept(prefix)]
    assert left, "nothing is removed while a backup reads"
    office.mail.accept()
    office.go_on(timedelta(days=3))
    assert [each for prefix in PREFIXES for each in office.content.kept(prefix)] == left
    assert not any(office.store.retention.needed(prefix) for prefix in PREFIXES)
    before = {each.id for each in office.newest().values()}
    assert office.store.canaries.forget(office.clock() + timedelta(days=1)) > 0
    assert {each.id for each in office.newest().values()} == before


@pytest.mark.both_databases
def test_stopping_leaves_the_rest_for_later(office: Office) -> None:
    """A service that stops begins nothing more, and goes on at its next start."""
    stopping = threading.Event()
    stopping.set()
    office.sender.look(stopping)
    assert office.mail.mails == ()
    office.sender.look()
    assert len(office.mail.mails) == 1
