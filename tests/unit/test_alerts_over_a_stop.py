"""A stop, a restart or a suspended machine is no reason to alarm, and ends no alarm either."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import timedelta

import pytest

from daemon.core.bookkeeping import FULL
from daemon.monitoring.alerts import AlertNotifier
from daemon.monitoring.problem import Problem
from daemon.monitoring.service_problems import pickup_problems
from daemon.store import results
from tests.unit.alerting import Desk, new_desk, read  # noqa: F401  # a fixture
from tests.unit.conftest import stored_letter

UNSEEN = {"share": "the share has no folder .postmottak; mount the share"}


def start(desk: Desk) -> AlertNotifier:
    """A service that starts now."""
    alerter = desk.make()
    alerter.begin()
    return alerter


def looks(desk: Desk, alerter: AlertNotifier, minutes: int) -> None:
    """The service looks for so long, and the mailbox is not polled."""
    for _ in range(minutes):
        desk.clock.advance(minutes=1)
        alerter.look()


@pytest.mark.parametrize("away", [timedelta(minutes=45), timedelta(hours=5)])
@pytest.mark.parametrize("suspended", [False, True])
def test_nobody_is_told_of_a_stop(desk: Desk, away: timedelta, *, suspended: bool) -> None:
    """A service that has been away looks before it polls: nobody is told that the mailbox was not
    read or that a letter has waited meanwhile."""
    read(desk)
    desk.store.letters.add([stored_letter("a", ("erp",))])
    alerter = start(desk)
    alerter.look()
    desk.clock.now += away
    alerter = alerter if suspended else start(desk)
    looks(desk, alerter, 5)
    read(desk)
    now = desk.clock()
    [claim] = desk.store.outbox.claim("me", now, timedelta(minutes=1), 1)
    desk.store.outbox.end([results.dead(claim, "x", now, now)])
    alerter.look()
    assert [kind for kind, _ in desk.kinds()] == ["dead"]


def test_a_service_that_does_not_poll_is_told(desk: Desk) -> None:
    """It has run for an hour since its start and has not polled; over a restart the alert is told
    neither again nor to be over."""
    read(desk)
    desk.clock.advance(hours=3)
    alerter = start(desk)
    looks(desk, alerter, 59)
    assert desk.kinds() == []
    looks(desk, alerter, 2)
    assert desk.kinds() == [("silence", False)]
    looks(desk, start(desk), 10)
    assert desk.kinds() == [("silence", False)]


def test_one_round_from_cron_tells_at_once(desk: Desk) -> None:
    """Without a service each round is a process of its own, which looks when it has polled."""
    read(desk)
    desk.clock.advance(hours=2)
    desk.make().look()
    assert desk.kinds() == [("silence", False)]


def test_what_only_the_service_sees_goes_on_over_a_restart(desk: Desk) -> None:
    """The first look comes before the first round of pickups: the alert is not told to be over, nor
    told again; it is when the share is back, at once if it had been seen to be away."""
    unseen: dict[str, str] = dict(UNSEEN)
    desk.problems.follow("pickup", lambda: pickup_problems(unseen))
    alerter = start(desk)
    alerter.look()
    for _ in range(16):
        desk.clock.advance(minutes=1)
        read(desk)
        alerter.look()
    assert desk.kinds() == [("pickup", False)]
    unseen.clear()
    alerter = start(desk)
    alerter.look()
    unseen.update(UNSEEN)
    alerter.look()
    assert desk.kinds() == [("pickup", False)]
    unseen.clear()
    alerter.look()
    assert desk.kinds() == [("pickup", False), ("pickup", True)]


def test_what_was_over_during_a_stop_is_told_to_be_over(desk: Desk) -> None:
    """After two minutes every part of the service has found out; what it did not see is over."""
    desk.problems.begin(Problem(kind=FULL, about="the outbox", text="the disk is full"))
    read(desk)
    start(desk).look()
    desk.problems.end(FULL, "the outbox")
    alerter = start(desk)
    alerter.look()
    assert desk.kinds() == [("full", False)]
    looks(desk, alerter, 2)
    assert desk.kinds() == [("full", False), ("full", True)]


def test_a_pickup_that_is_unseen_for_a_moment_is_not_told(desk: Desk) -> None:
    """It stands in the store at once, for `status`, and is told when it has lasted."""
    unseen: Mapping[str, str] = UNSEEN
    desk.problems.follow("pickup", lambda: pickup_problems(unseen))
    read(desk)
    alerter = start(desk)
    alerter.look()
    assert [each.kind for each in desk.store.alerts.all()] == ["pickup"]
    unseen = {}
    desk.clock.advance(minutes=1)
    alerter.look()
    assert (desk.kinds(), desk.store.alerts.all()) == ([], [])


def test_the_loop_of_the_service_has_patience(desk: Desk, stopping: threading.Event) -> None:
    """It is the service that waits, and not a round from cron."""
    read(desk)
    desk.clock.advance(hours=2)
    alerter = desk.make()
    alerter.on_health = lambda _: stopping.set()
    alerter.loop(stopping)
    assert desk.kinds() == []
