"""Alerts: each problem is reported once, its end once, and a recipient that cannot be reached
disturbs no other."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest

from daemon.config.loader import (
    AlertLanguage,
    AlertSettings,
    Configuration,
    DeliverySettings,
    DestinationConfiguration,
    MailboxConfiguration,
    RoutingSettings,
    StoreSettings,
)
from daemon.core.bookkeeping import Bookmark
from daemon.core.errors import DiskFull, Fault, TemporaryFailure
from daemon.core.model import Outcome
from daemon.core.parcels import Receipt
from daemon.core.ports import Destination, Notification, Parcel
from daemon.core.settings import Day, DestinationSettings, MailboxSettings
from daemon.delivery.dispatch import Dispatch
from daemon.monitoring import alert_text, alerts
from daemon.monitoring.alerts import AlertNotifier
from daemon.monitoring.problems import find_problems
from daemon.monitoring.service_problems import ServiceProblems, log_problems
from daemon.runtime.heartbeat import Heartbeats
from daemon.store import Store, results
from daemon.store.content import ContentStore
from tests.unit.conftest import NOW, ROOT, Clock, active_snapshot, stored_letter
from tests.unit.memory import MemoryDestination

KEY_LASTS = timedelta(days=364)
OPERATING = ROOT / "docs" / "operating.md"


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
class Collider(MemoryDestination):
    """A destination where something else has every letter's name."""

    def deliver(self, parcel: Parcel) -> Receipt:
        """Deliver it under another one."""
        return replace(super().deliver(parcel), collided=True)


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


@pytest.fixture
def desk(store: Store, clock: Clock, tmp_path: Path) -> Desk:
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


def test_a_key_that_ends_is_told_in_time(desk: Desk) -> None:
    """Thirty days before its last day an alert names the key, once; on the last day it is not
    worse, and after that it is critical."""
    desk.clock.advance(days=(KEY_LASTS - timedelta(days=30)).days)
    desk.make().look()
    assert desk.kinds() == []
    for _ in range(2):
        desk.clock.advance(days=1)
        desk.make().look()
    assert desk.kinds() == [("expiry", False)]
    assert "key of the mailbox altinn" in desk.bell.told[0].text
    desk.clock.advance(days=28)
    critical = [
        [
            each.critical
            for each in find_problems(desk.configuration, desk.store, desk.clock.advance(days=day))
            if each.kind == "expiry"
        ]
        for day in (0, 1)
    ]
    assert critical == [[False], [True]]


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


def test_told_once_and_its_end_once(desk: Desk) -> None:
    """A letter that waits longer than four hours is told once, over a restart too, and once that it
    is over; not a word of its title."""
    desk.store.letters.add([stored_letter("a", ("erp",), title="Oppsigelse")])
    alerter = desk.make()
    alerter.look()
    assert desk.kinds() == []
    desk.clock.advance(hours=4, minutes=1)
    alerter.look()
    desk.make().look()
    assert desk.kinds() == [("undelivered", False)]
    [claim] = desk.store.outbox.claim("me", desk.clock(), timedelta(minutes=1), 1)
    desk.store.outbox.end([results.dead(claim, "Oppsigelse", desk.clock(), desk.clock())])
    desk.make().look()
    desk.make().look()
    assert sorted(desk.kinds()) == [("dead", False), ("undelivered", False), ("undelivered", True)]
    assert "Oppsigelse" not in repr(desk.bell.told)
    assert [each.kind for each in desk.store.alerts.all()] == ["dead"]


def test_a_collision_is_told_once(
    desk: Desk, content: ContentStore, stopping: threading.Event
) -> None:
    """Letters that had to take other names are told once and together, over a restart and after the
    next one too, stay for a week, and have no end."""
    content.put([b"pdf"])
    erp = {"erp": Collider("erp")}
    desk.store.letters.add(
        [stored_letter("a", ("erp",), title="Oppsigelse"), stored_letter("b", ("erp",))]
    )
    dispatch = Dispatch(
        store=desk.store,
        content=content,
        active=active_snapshot(erp),
        clock=desk.clock,
        give_up_after=timedelta(days=5),
    )
    assert dispatch.deliver_due(stopping) == {Outcome.DELIVERED: 2}
    for _ in range(2):
        desk.make().look()
        desk.clock.advance(days=3)
    assert desk.kinds() == [("collision", False)]
    assert desk.bell.told[0].text.count("deliveries show") == 2
    assert "Oppsigelse" not in repr(desk.bell.told)
    desk.clock.advance(days=2)
    desk.make().look()
    assert (len(desk.bell.told), desk.store.alerts.all()) == (1, [])


def test_silence_and_lost_rights(desk: Desk) -> None:
    """A mailbox that has not been read for an hour is told, and so is a channel that was readable
    and is refused."""
    read(desk)
    desk.make().look()
    desk.clock.advance(hours=1, minutes=1)
    desk.make().look()
    assert desk.kinds() == [("silence", False)]
    read(desk, refused=True)
    desk.make().look()
    assert sorted(desk.kinds()) == [("rights", False), ("silence", False), ("silence", True)]


@pytest.mark.parametrize(
    "error", [TemporaryFailure("away"), KeyError("x")], ids=["temporary", "fault"]
)
def test_who_cannot_be_told_is_told_later(desk: Desk, error: Exception) -> None:
    """A destination that fails is left alone for a while and then told; the trouble stands in the
    store meanwhile."""
    desk.bell.deaf = iter([error])
    desk.faults.append(
        Fault(file="routing.toml", line=3, key="to", problem="names Kari Nordmann", remedy="Fix it")
    )
    alerter = desk.make()
    alerter.look()
    alerter.look()
    assert desk.kinds() == []
    assert [each.kind for each in desk.store.alerts.all()] == ["edit"]
    desk.clock.advance(minutes=2)
    alerter.look()
    assert desk.kinds() == [("edit", False)]
    assert "routing.toml:3" in desk.bell.told[0].text
    assert "Kari" not in repr(desk.bell.told)


def test_the_end_of_what_nobody_was_told(desk: Desk) -> None:
    """What ended before anybody could be told of it is forgotten, and not told any more."""
    desk.bell.deaf = repeat(TemporaryFailure("away"))
    desk.faults.append(Fault(file="routing.toml", key="to", problem="is wrong", remedy="Fix it"))
    desk.make().look()
    desk.faults.clear()
    desk.make().look()
    assert (desk.kinds(), desk.store.alerts.all()) == ([], [])


def test_a_repeat_has_the_same_id(desk: Desk) -> None:
    """Somebody who was told, but of whom that was not noted, is told again with the same id."""
    desk.faults.append(Fault(file="routing.toml", key="to", problem="is wrong", remedy="Fix it"))
    desk.make().look()
    [alert] = desk.store.alerts.all()
    alert.told = {}
    with desk.store.letters._database.write() as session:
        session.merge(alert)
    desk.make().look()
    first, second = desk.bell.told
    assert first.id == second.id


def test_what_the_service_knows_is_told(desk: Desk) -> None:
    """What only the running service knows is told when it begins and when it is over, and others
    learn of it from the store meanwhile."""
    reasons, alerter = ["no space"], desk.make()
    read(desk)
    desk.problems.follow("log", lambda: log_problems("".join(reasons)))
    alerter.look()
    seen_elsewhere = find_problems(desk.configuration, desk.store, desk.clock())
    assert [each.kind for each in seen_elsewhere] == ["log"]
    reasons.clear()
    alerter.look()
    assert desk.kinds() == [("log", False), ("log", True)]
    assert find_problems(desk.configuration, desk.store, desk.clock()) == []


def test_a_full_disk_is_waited_out(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, logged: list[Any]
) -> None:
    """Where no alert can be kept because the disk is full, the log says so and the looking goes
    on."""
    monkeypatch.setattr(alerts, "_LOOK", 0.01)
    stopping, looks = threading.Event(), [DiskFull("no room"), None]
    alerter = desk.make()

    def look() -> None:
        if error := looks.pop(0):
            raise error
        stopping.set()

    monkeypatch.setattr(alerter, "look", look)
    alerter.loop(stopping)
    assert [
        line["reason"]
        for line in logged
        if line["event"] == "no alert can be kept until there is room"
    ] == ["no room"]


def channels(desk: Desk, count: int, reason: str, since: timedelta = timedelta()) -> None:
    """So many organisations cannot be read since then, the last ones a while later."""
    rows = [
        Bookmark(
            mailbox="altinn",
            party=f"9{number:08}",
            service="4255/8",
            resource="skatt",
            begun=True,
            succeeded_at=desk.clock()
            - since
            - timedelta(minutes=5)
            + number * timedelta(minutes=1),
            failed_at=desk.clock(),
            failing_since=desk.clock() - since,
            last_error=reason.format(party=f"9{number:08}"),
        )
        for number in range(count)
    ]
    desk.store.bookmarks.save(rows)


EXPIRED = (
    "Maskinporten refuses a token for {party}: the key has expired, as keys do a year after "
    "registration; register a new one"
)


def test_one_cause_is_one_mail(desk: Desk) -> None:
    """A key that has expired fails for each of twelve organisations, then for the whole mailbox,
    and then for hours: that is one mail with cause, remedy and host, and one when it is over."""
    channels(desk, 12, EXPIRED)
    for _ in range(12):
        desk.make().look()
        desk.clock.advance(minutes=30)
        channels(desk, 12, EXPIRED, since=timedelta(minutes=30))
        with desk.store.letters._database.write() as session:
            session.connection().exec_driver_sql(
                "UPDATE bookmarks SET succeeded_at = '2026-11-24 08:55:00.000000'"
            )
    assert [ended for _, ended in desk.kinds()] == [False]
    told = desk.bell.told[0]
    assert told.critical
    assert "the key has expired" in told.subject
    assert "What to do: register a new one" in told.text
    assert f"Host: {socket.gethostname()}" in told.text
    rows = desk.store.queries.bookmarks()
    for row in rows:
        row.failing_since, row.last_error, row.succeeded_at = None, None, desk.clock()
    desk.store.bookmarks.save(rows)
    desk.make().look()
    desk.make().look()
    assert [ended for _, ended in desk.kinds()] == [False, True]
    assert desk.store.alerts.all() == []


def test_a_key_that_has_ended_is_one_mail(desk: Desk) -> None:
    """That the key has ended, as the configuration says, and that nothing can be read for want of a
    token, is one cause."""
    desk.clock.advance(days=KEY_LASTS.days + 1)
    read(desk)
    desk.make().look()
    channels(desk, 12, EXPIRED)
    for _ in range(3):
        desk.make().look()
        desk.clock.advance(hours=2)
    assert desk.kinds() == [("expiry", False)]
    assert {each.kind for each in desk.store.alerts.all() if not each.ended_at} == {
        "expiry",
        "silence",
    }


def test_another_cause_is_another_mail(desk: Desk) -> None:
    """What fails for another reason is told, and so is what becomes critical."""
    read(desk)
    channels(desk, 2, "the system user of {party} may not read skatt; grant it")
    alerter = desk.make()
    alerter.look()
    assert [each.kind for each in desk.bell.told] == ["unread"]
    desk.store.letters.add([stored_letter("a", ("erp",))])
    fail(desk, "the drop folder /srv/drop is read-only; mount it for writing")
    alerter.look()
    assert [(each.kind, each.critical) for each in desk.bell.told] == [
        ("unread", False),
        ("failing", True),
    ]
    desk.clock.advance(hours=4, minutes=1)
    read(desk)
    alerter.look()
    assert [(each.kind, each.critical) for each in desk.bell.told[2:]] == [("unread", True)]
    assert {each.kind for each in desk.store.alerts.all()} == {"unread", "failing", "undelivered"}


def fail(desk: Desk, reason: str) -> None:
    """Every delivery that is due fails."""
    for claim in desk.store.outbox.claim("me", desk.clock(), timedelta(minutes=1), 100):
        now = desk.clock()
        desk.store.outbox.end([results.deferred(claim, reason, now, now, now)])


def test_failures_that_may_pass_wait_a_while(desk: Desk) -> None:
    """A delivery that fails and may pass is told after a quarter of an hour, and one that is set up
    wrongly at once."""
    read(desk)
    desk.store.letters.add([stored_letter("a", ("erp",)), stored_letter("b", ("mail",))])
    fail(desk, "the receiver does not answer")
    alerter = desk.make()
    alerter.look()
    assert desk.kinds() == []
    desk.clock.advance(minutes=16)
    read(desk)
    alerter.look()
    assert desk.kinds() == [("failing", False)] * 2
    assert "erp" in desk.bell.told[0].subject + desk.bell.told[1].subject


@pytest.mark.parametrize(
    ("language", "subject", "line"),
    [
        ("en", "Postmottak: erp: 1 delivery fails", "What to do: mount it"),
        ("nb", "Postmottak: Leveringer feiler: erp", "Tiltak: mount it"),
        ("nn", "Postmottak: Leveringar feilar: erp", "Tiltak: mount it"),
    ],
)
def test_alerts_are_in_the_configured_language(
    desk: Desk, language: AlertLanguage, subject: str, line: str
) -> None:
    """What is around the cause and the remedy is in the language of `[alerts]`."""
    read(desk)
    desk.configuration = replace(
        desk.configuration,
        alerts=desk.configuration.alerts.model_copy(update={"language": language}),
    )
    desk.store.letters.add([stored_letter("a", ("erp",))])
    fail(desk, "the drop folder /srv/drop is read-only; mount it")
    desk.make().look()
    (told,) = desk.bell.told
    assert told.subject.startswith(subject)
    assert line in told.text.splitlines()
    assert "the drop folder /srv/drop is read-only" in told.text


def test_every_kind_has_words_in_every_language() -> None:
    """Each kind of problem that the documents list has its words in Norwegian."""
    table = OPERATING.read_text().partition("| kind |")[2].partition("\n\n")[0]
    listed = set(re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE))
    assert "failing" in listed
    for language in ("nb", "nn"):
        assert listed == alert_text._PHRASES[language].kinds.keys()
