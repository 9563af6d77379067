"""Alerts: each problem is reported once, its end once, and a recipient that cannot be reached
disturbs no other."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise, repeat
from typing import Any

import pytest

from daemon.core.errors import (
    DiskFull,
    Fault,
    NotStorable,
    PostmottakError,
    TemporaryFailure,
)
from daemon.core.model import Outcome
from daemon.core.parcels import Receipt
from daemon.core.ports import Parcel
from daemon.delivery.dispatch import Dispatch
from daemon.monitoring import alerts
from daemon.monitoring.problems import find_problems
from daemon.monitoring.service_problems import log_problems
from daemon.store import results
from daemon.store.content_folder import ContentFolder
from daemon.web.metrics import Monitoring
from tests.unit.alerting import KEY_LASTS, Desk, new_desk, read  # noqa: F401  # a fixture
from tests.unit.conftest import active_snapshot, stored_letter
from tests.unit.memory import MemoryDestination

pytestmark = pytest.mark.both_databases


@dataclass
class Collider(MemoryDestination):
    """A destination where something else has every letter's name."""

    def deliver(self, parcel: Parcel) -> Receipt:
        """Deliver it under another one."""
        return replace(super().deliver(parcel), collided=True)


def test_a_key_that_ends_is_told_in_time(desk: Desk) -> None:
    """Thirty days before its last day an alert names the key, once; on the last day it is not
    worse, and after that it is critical."""
    desk.clock.advance(days=(KEY_LASTS - timedelta(days=30)).days)
    desk.store.journal.sign(b"k" * 32, desk.clock())
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
    desk: Desk, content: ContentFolder, stopping: threading.Event
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


@pytest.mark.parametrize(
    ("failure", "event"),
    [
        (DiskFull("no room"), "no alert can be kept until there is room"),
        (NotStorable("no room"), "an alert cannot be kept as it is; report this as a fault"),
    ],
)
def test_alerts_that_cannot_be_kept(
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
    logged: list[Any],
    failure: PostmottakError,
    event: str,
) -> None:
    """Where no alert can be kept because the disk is full, or because the database rejects one, the
    log says so and the looking goes on."""
    monkeypatch.setattr(alerts, "_LOOK", 0.01)
    monkeypatch.setattr(alerts, "_GLANCE", 0.01)
    stopping, looks = threading.Event(), [failure, None]
    alerter = desk.make()

    def look() -> None:
        if error := looks.pop(0):
            raise error
        stopping.set()

    monkeypatch.setattr(alerter, "look", look)
    alerter.loop(stopping)
    assert [line["reason"] for line in logged if line["event"] == event] == ["no room"]


def test_words_that_are_not_text_are_told(desk: Desk) -> None:
    """A problem whose words hold half a surrogate pair, as a file name can, is told like others."""
    read(desk)
    desk.problems.follow("log", lambda: log_problems("Brev\udcf8.pdf"))
    desk.make().look()
    assert desk.kinds() == [("log", False)]


def test_changes_without_end_cost_little(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where something changes all the time, as at a destination that fails every other time, a look
    that takes long is not repeated at once."""
    monkeypatch.setattr(alerts, "_GLANCE", 0.01)
    stopping, alerter, looks = threading.Event(), desk.make(), list[float]()

    def look() -> None:
        looks.append(time.monotonic())
        time.sleep(0.03)
        alerter.changed.set()
        if len(looks) == 3:
            stopping.set()

    monkeypatch.setattr(alerter, "look", look)
    alerter.loop(stopping)
    assert all(later - earlier > 0.6 for earlier, later in pairwise(looks))
    assert looks[-1] - looks[0] < 20


def test_metrics_tell_what_alerts_have_found(desk: Desk) -> None:
    """The endpoint tells what the last look has found, and does not look for itself at the same
    time; so it does after the next look."""
    read(desk)
    alerter = desk.make()
    endpoint = Monitoring(
        store=desk.store,
        configuration=lambda: desk.configuration,
        attempts=dict,
        token_ends=dict,
        faults=lambda: desk.faults,
        clock=desk.clock,
        service_problems=desk.problems.all,
        shared=alerter.shared,
    )
    alerter.look()
    desk.faults.append(Fault(file="x", key="y", problem="z", remedy=""))
    assert "postmottak_health 0" in endpoint.text()
    alerter.look()
    assert "postmottak_health 2" in endpoint.text()
