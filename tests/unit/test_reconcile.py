"""Reconciliation: everything in the mailbox against everything here, in numbers, and what is
missing is fetched."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import repeat

import pytest

from daemon.core.errors import LetterGone, MailboxUnavailable
from daemon.core.model import SightingState
from daemon.core.ports import Channel
from daemon.intake.new_letter import MarkPolicies
from daemon.intake.poll import Intake
from daemon.intake.reconcile import Compared, Reconciliation
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from tests.unit.conftest import APPOINTED, NOW, SECRET, TAX, Clock, new_intake
from tests.unit.memory import MemoryMailbox

pytestmark = pytest.mark.both_databases

AWAY = MailboxUnavailable("Altinn does not answer")
OTHER = replace(TAX, service="4255/1", resource="plan")
LISTED = replace(SECRET, list_only=True, fetch_confidential=False)
Reconcile = Callable[[], dict[str, Compared]]


@dataclass
class FromADay(MemoryMailbox):
    """A mailbox whose first listing goes back to a day, as `start_from` says."""

    start: datetime = NOW - timedelta(days=30)

    def earliest(
        self, channel: Channel, position: datetime | None, now: datetime
    ) -> datetime | None:
        """Look back from the bookmark; at first, to the day."""
        return super().earliest(channel, position, now) or self.start


@pytest.fixture
def mailbox() -> FromADay:
    """A mailbox whose polls hardly look back."""
    return FromADay(boxes=[TAX], look_back=timedelta(hours=2))


@pytest.fixture
def intake(store: Store, content: ContentFolder, clock: Clock) -> Intake:
    """An intake by the table that appoints somebody."""
    store.letters.note_table(APPOINTED.version, APPOINTED.text, NOW)
    return new_intake(store, content, clock, lambda: APPOINTED)


@pytest.fixture
def poll(intake: Intake, mailbox: FromADay, stopping: threading.Event) -> Callable[[], object]:
    """One round with the mailbox."""
    return lambda: intake.poll(mailbox, MarkPolicies(), stopping)


@pytest.fixture
def reconcile(
    store: Store, intake: Intake, mailbox: FromADay, stopping: threading.Event
) -> Reconcile:
    """Compare, and tell each channel by its resource."""
    reconciliation = Reconciliation(store=store, intake=intake)
    return lambda: {
        each.resource: each for each in reconciliation.run(mailbox, MarkPolicies(), stopping)
    }


def test_when_everything_is_here(
    poll: Callable[[], object], reconcile: Reconcile, mailbox: FromADay
) -> None:
    """Two numbers that are the same, for each channel, and nothing is fetched."""
    mailbox.boxes = [TAX, OTHER]
    for number in range(3):
        mailbox.publish(f"a{number}")
    poll()
    fetched = len(mailbox.asked("fetch"))
    found = reconcile()
    assert {
        name: (each.remote, each.local, each.missing, each.problems) for name, each in found.items()
    } == {
        "skatt": (3, 3, [], []),
        "plan": (0, 0, [], []),
    }
    assert found["skatt"].sentence == "991825827 4255/8 skatt: Altinn 3, here 3"
    assert len(mailbox.asked("fetch")) == fetched


def test_what_is_missing_is_fetched(
    poll: Callable[[], object], reconcile: Reconcile, mailbox: FromADay, store: Store
) -> None:
    """A letter that came in so late that no poll looks there any more is told by its id, and
    fetched."""
    mailbox.publish("new", requested_at=NOW)
    poll()
    mailbox.publish("late", requested_at=NOW - timedelta(days=9))
    poll()
    assert store.letters.stored_in("altinn", TAX) == {"new"}
    position = store.bookmarks.of_channel("altinn", TAX).position
    found = reconcile()["skatt"]
    assert (found.remote, found.local, found.missing, found.fetched) == (2, 1, ["late"], 1)
    assert (
        found.sentence == "991825827 4255/8 skatt: Altinn 2, here 1, missing: late; 1 fetched now"
    )
    assert store.letters.stored_in("altinn", TAX) == {"new", "late"}
    assert store.bookmarks.of_channel("altinn", TAX).position == position
    assert reconcile()["skatt"].missing == []


def test_another_environment_under_the_same_name_loses_nothing(
    poll: Callable[[], object],
    reconcile: Reconcile,
    mailbox: FromADay,
    store: Store,
    clock: Clock,
) -> None:
    """After a change from a test environment to production, under one name and for one party, the
    bookmark hides what is older; the comparison fetches what a first poll there would have."""
    mailbox.publish("test", requested_at=NOW)
    poll()
    clock.advance(days=5)
    mailbox.letters.clear()
    mailbox.start += timedelta(days=5)
    mailbox.publish("first", requested_at=mailbox.start + timedelta(hours=1))
    mailbox.publish("second", requested_at=NOW - timedelta(days=9))
    poll()
    assert store.letters.stored_in("altinn", TAX) == {"test"}
    assert reconcile()["skatt"].fetched == 2
    assert store.letters.stored_in("altinn", TAX) == {"test", "first", "second"}


def test_what_is_older_than_the_first_poll_is_left_alone(
    poll: Callable[[], object], reconcile: Reconcile, mailbox: FromADay, clock: Clock
) -> None:
    """Letters from before `start_from` are counted and never fetched, also when the first poll is
    long past."""
    mailbox.publish("ancient", requested_at=NOW - timedelta(days=31))
    mailbox.publish("new", requested_at=NOW)
    poll()
    clock.advance(days=10)
    mailbox.start += timedelta(days=10)
    mailbox.publish("late", requested_at=NOW - timedelta(days=29))
    found = reconcile()["skatt"]
    assert (found.remote, found.local, found.older, found.missing) == (3, 1, 1, ["late"])
    assert "(1 older than the first poll)" in found.sentence
    assert "ancient" not in mailbox.asked("fetch")


def test_a_channel_that_was_never_polled(reconcile: Reconcile, mailbox: FromADay) -> None:
    """Where there was no poll yet, what the first one would find is missing, and the rest is
    older."""
    mailbox.publish("ancient", requested_at=NOW - timedelta(days=31))
    mailbox.publish("a", requested_at=NOW)
    found = reconcile()["skatt"]
    assert (found.older, found.missing, found.fetched) == (1, ["a"], 1)


def test_what_is_gone_or_waits_is_counted(
    poll: Callable[[], object], reconcile: Reconcile, mailbox: FromADay, store: Store
) -> None:
    """Letters that were removed, and confidential ones that are left alone, are no letters that are
    missing; none is opened."""
    mailbox.boxes = [TAX, LISTED]
    mailbox.publish("went")
    mailbox.publish("here")
    mailbox.publish("s", channel=LISTED, confidential=True)
    mailbox.fails["fetch", "went"] = repeat(LetterGone("removed"))
    poll()
    found = reconcile()
    assert (found["skatt"].gone, found["skatt"].missing) == (1, [])
    assert (
        found["taushetsbelagt"].remote,
        found["taushetsbelagt"].waiting,
        found["taushetsbelagt"].missing,
    ) == (1, 1, [])
    assert "(1 confidential and left alone)" in found["taushetsbelagt"].sentence
    assert found["taushetsbelagt"].local == 0, "a notice is no letter of the mailbox"
    assert "s" not in mailbox.asked("fetch")
    assert store.queries.counts().sightings[SightingState.WAITING] == 1


def test_a_letter_that_fails_is_missing(
    poll: Callable[[], object], reconcile: Reconcile, mailbox: FromADay
) -> None:
    """A letter that cannot be fetched is told as missing, with the reason, and the rest is
    fetched."""
    mailbox.publish("fails", requested_at=NOW)
    mailbox.publish("late", requested_at=NOW)
    mailbox.fails["fetch", "fails"] = repeat(AWAY)
    mailbox.fails["fetch", "late"] = iter([AWAY])
    poll()
    found = reconcile()["skatt"]
    assert (found.missing, found.fetched, found.problems) == (
        ["fails", "late"],
        1,
        ["letter fails: Altinn does not answer"],
    )


def test_trouble_with_one_channel(reconcile: Reconcile, mailbox: FromADay) -> None:
    """A channel that cannot be listed is told, and so is a listing that is not whole; the others
    are compared."""
    mailbox.boxes = [TAX, OTHER]
    mailbox.publish("b", channel=OTHER)
    mailbox.fails["list", "skatt"] = iter([AWAY])
    mailbox.shortfall = "more than 1000 letters in one second"
    found = reconcile()
    assert found["skatt"].problems == ["Altinn does not answer"]
    assert (found["plan"].problems, found["plan"].fetched) == (
        ["more than 1000 letters in one second"],
        1,
    )


def test_stopping(reconcile: Reconcile, mailbox: FromADay, stopping: threading.Event) -> None:
    """When asked to stop, no further channel is compared."""
    mailbox.boxes = [TAX, OTHER]
    mailbox.during = lambda verb, _: stopping.set() if verb == "list" else None
    assert set(reconcile()) == {"skatt"}
