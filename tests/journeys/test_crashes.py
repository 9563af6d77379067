"""Killed at any moment, and polled again: every letter arrives, each drop once, and a repeat is
recognisable as one."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable

import pytest

from tests.journeys.conftest import Begin, Journey, kill
from tests.processes.crash_at import POINTS


@pytest.mark.parametrize(
    "point", [*POINTS, "bytes-written:7", "drop-renamed:5", "webhook-posted:2"]
)
def test_killed_at_a_named_point(begun: Callable[..., Begin], point: str) -> None:
    """After a kill at this point one poll brings everything to an end: nothing lost, nothing
    dropped twice, no temporary left."""
    with begun(mailbox='mark_read = "delivered"\n') as journey:
        letters = journey.publish(13)
        crashed = journey.run("poll", "--json", crash=point)
        assert crashed.code == -9, crashed.errors
        assert journey.poll().code == 0
        _assert_everything_arrived_once(journey, letters, kills=1)
        assert all(journey.altinn.statuses(letter).count("Read") == 1 for letter in letters)


@pytest.mark.parametrize(
    "point",
    ["drop-before-rename:2", "drop-renamed:2", "delivered-before-commit", "drop-unsettled:2"],
)
def test_a_consumer_that_is_quicker_than_the_repeat(journey: Journey, point: str) -> None:
    """A consumer that takes every drop at once, also between a crash and the repeat, gets each
    letter once."""
    letters = journey.publish(6)
    assert journey.run("poll", "--json", crash=point).code == -9
    taken = journey.dropped_ids()
    for drop in journey.whole_drops():
        shutil.rmtree(drop)
    assert journey.poll().code == 0
    assert sorted(taken + journey.dropped_ids()) == sorted(letters)


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_random_moments(journey: Journey, seed: int) -> None:
    """After three kills at random moments of poll and run, one poll brings everything to an end."""
    chance = random.Random(seed)
    letters = journey.publish(26)
    for command in ("poll", "run", "poll"):
        process = journey.start(command)
        _wait_a_while(journey, chance)
        kill(process)
    assert journey.poll().code == 0
    _assert_everything_arrived_once(journey, letters, kills=3)


def _wait_a_while(journey: Journey, chance: random.Random) -> None:
    """Until so many requests were made, or a second has passed where there is nothing left to
    do."""
    wanted = journey.altinn.count() + chance.randrange(1, 60)
    journey.altinn.wait_for(lambda: journey.altinn.count() >= wanted, timeout=1 + chance.random())


def _assert_everything_arrived_once(journey: Journey, letters: list[str], *, kills: int) -> None:
    assert journey.dropped_ids() == sorted(letters)
    assert not [drop.name for drop in journey.drops() if drop.name.startswith(".")]
    hooks = Counter(hook.id for hook in journey.webhook.taken)
    mails = Counter(mail.message["Message-ID"] for mail in journey.mail.mails)
    deliveries = journey.run("deliveries", "list", "--json").json
    assert {each["state"] for each in deliveries} == {"delivered"}
    assert set(hooks) == {each["id"] for each in deliveries if each["destination"] == "webhook"}
    assert len(mails) == len([each for each in deliveries if each["destination"] == "epost"])
    most_in_flight = 8 * kills
    assert sum(hooks.values()) - len(hooks) + sum(mails.values()) - len(mails) <= most_in_flight
