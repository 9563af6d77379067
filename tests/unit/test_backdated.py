"""Letters that are dated before the first poll: those that have come since are fetched, and the
others are left unopened or counted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import repeat
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon.core.errors import LetterGone, MailboxUnavailable
from daemon.core.model import LetterRef, SightingState
from daemon.core.ports import Channel
from daemon.intake import reconcile as reconcile_module
from daemon.intake.new_letter import MarkPolicies
from daemon.intake.poll import Intake
from daemon.intake.reconcile import Compared, Reconciliation
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from tests.unit.conftest import NOW, SECRET, TAX, Clock, new_intake
from tests.unit.memory import MemoryMailbox

LISTED = replace(SECRET, list_only=True, fetch_confidential=False)
START = timedelta(days=30)
AWAY = MailboxUnavailable("Altinn does not answer")


@dataclass
class FromADay(MemoryMailbox):
    """A mailbox whose first listing goes back thirty days, and that tells nothing of when a letter
    came."""

    look_back: timedelta = timedelta(hours=2)

    def earliest(
        self, channel: Channel, position: datetime | None, now: datetime
    ) -> datetime | None:
        """Look back from the bookmark; at first, thirty days."""
        return super().earliest(channel, position, now) or now - START


@dataclass
class Telling(FromADay):
    """One that tells."""

    told: list[str] = field(default_factory=list)

    def published(self, ref: LetterRef) -> datetime:
        """When the letter came."""
        self.told.append(ref.external_id)
        self._called("published", ref.external_id)
        return self.letters[ref.external_id][1].envelope.published_at


@dataclass
class Desk:
    """A mailbox and a store, to be polled and compared."""

    store: Store
    clock: Clock
    intake: Intake
    stopping: threading.Event = field(default_factory=threading.Event)

    def poll(self, mailbox: MemoryMailbox) -> None:
        """One round."""
        self.intake.poll(mailbox, MarkPolicies(), self.stopping)

    def compare(self, mailbox: MemoryMailbox) -> Compared:
        """Everything of its first channel."""
        return Reconciliation(store=self.store, intake=self.intake).run(
            mailbox, MarkPolicies(), self.stopping
        )[0]


@pytest.fixture
def desk(store: Store, content: ContentFolder, clock: Clock) -> Desk:
    """A desk."""
    return Desk(store, clock, new_intake(store, content, clock))


@pytest.mark.parametrize("make", [FromADay, Telling])
def test_what_comes_after_a_comparison_is_fetched(
    desk: Desk, make: Callable[[], MemoryMailbox]
) -> None:
    """Whatever date it bears, also where the mailbox itself calls it old; what was there before is
    left, and opened no second time."""
    mailbox = make()
    mailbox.publish(
        "ancient", requested_at=NOW - timedelta(days=99), published_at=NOW - timedelta(days=99)
    )
    desk.poll(mailbox)
    assert (desk.compare(mailbox).older, desk.compare(mailbox).missing) == (1, [])
    mailbox.publish(
        "late", requested_at=NOW - timedelta(days=99), published_at=NOW - timedelta(days=99)
    )
    found = desk.compare(mailbox)
    assert (found.missing, found.fetched, found.late, found.older) == (["late"], 1, 1, 1)
    assert mailbox.asked("fetch") == ["late"]
    assert mailbox.asked("published") == (["ancient"] if make is Telling else [])
    assert desk.compare(mailbox).missing == []


def test_what_came_between_the_first_poll_and_the_first_comparison(desk: Desk) -> None:
    """A mailbox that tells when a letter came has it fetched, however old its date."""
    mailbox = Telling()
    mailbox.publish(
        "ancient", requested_at=NOW - timedelta(days=99), published_at=NOW - timedelta(days=99)
    )
    desk.poll(mailbox)
    mailbox.publish("late", requested_at=NOW - timedelta(days=40), published_at=NOW)
    found = desk.compare(mailbox)
    assert (found.missing, found.fetched, found.late, found.older, found.unseen) == (
        ["late"],
        1,
        1,
        1,
        0,
    )


def test_confidential_post_is_not_opened(desk: Desk) -> None:
    """A letter of a channel that is only listed is not looked at; if it came since it waits, and
    somebody is notified."""
    mailbox = Telling(boxes=[LISTED])
    mailbox.publish("ancient", channel=LISTED, requested_at=NOW - timedelta(days=99))
    desk.poll(mailbox)
    desk.compare(mailbox)
    mailbox.publish("late", channel=LISTED, requested_at=NOW - timedelta(days=99))
    found = desk.compare(mailbox)
    assert (found.waiting, found.missing, found.older, found.problems) == (1, [], 1, [])
    assert [each.external_id for each in desk.store.queries.sightings(SightingState.WAITING)] == [
        "late"
    ]
    assert mailbox.asked("published") == mailbox.asked("fetch") == []


def test_a_mailbox_that_fails_to_tell_is_asked_again(desk: Desk) -> None:
    """A letter that could not be looked at is a problem, and is looked at in the next round; one
    that is gone is gone."""
    mailbox = Telling()
    for name in ("late", "gone"):
        mailbox.publish(name, requested_at=NOW - timedelta(days=40), published_at=NOW)
    mailbox.fails["published", "late"] = iter([AWAY])
    mailbox.fails["published", "gone"] = repeat(LetterGone("withdrawn"))
    desk.poll(mailbox)
    found = desk.compare(mailbox)
    assert (found.missing, found.unseen, len(found.problems)) == ([], 1, 1)
    found = desk.compare(mailbox)
    assert (found.missing, found.fetched, found.unseen, found.gone, found.problems) == (
        ["late"],
        1,
        0,
        1,
        [],
    )


def test_thousands_of_old_letters_are_looked_at_by_and_by(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round asks about a limited number, and those that are left are counted until every one has
    had its turn."""
    monkeypatch.setattr(reconcile_module, "_LOOKS", 4)
    mailbox = Telling()
    for number in range(10):
        mailbox.publish(
            f"a{number}",
            requested_at=NOW - timedelta(days=40),
            published_at=NOW - timedelta(days=40),
        )
    mailbox.publish("late", requested_at=NOW - timedelta(days=41), published_at=NOW)
    desk.poll(mailbox)
    rounds = [desk.compare(mailbox) for _ in range(3)]
    assert [each.unseen for each in rounds] == [7, 3, 0]
    assert (sum(each.fetched for each in rounds), sorted(mailbox.told)) == (
        1,
        sorted(mailbox.letters),
    )


def test_a_comparison_that_is_not_whole_counts_for_none(desk: Desk) -> None:
    """Where a listing may leave letters out, what turns up in a later one has not come since for
    that."""
    mailbox = FromADay(shortfall="more than 1000 letters in one second")
    desk.poll(mailbox)
    mailbox.shortfall = ""
    desk.poll(mailbox)
    mailbox.shortfall = "more than 1000 letters in one second"
    desk.compare(mailbox)
    mailbox.publish("old", requested_at=NOW - timedelta(days=99))
    mailbox.shortfall = ""
    assert desk.compare(mailbox).missing == []


def test_a_failing_letter_of_any_date_is_missing(desk: Desk) -> None:
    """A letter that has come since and could not be fetched is missing until it is here, and polls
    try it."""
    mailbox = FromADay()
    desk.poll(mailbox)
    desk.compare(mailbox)
    mailbox.publish("late", requested_at=NOW - timedelta(days=99))
    mailbox.fails["fetch", "late"] = iter([AWAY, AWAY])
    for _ in range(2):
        found = desk.compare(mailbox)
        assert (found.missing, found.fetched, found.older) == (["late"], 0, 0)
    desk.poll(mailbox)
    assert desk.store.letters.stored_in("altinn", TAX) == {"late"}


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_nothing_that_is_published_after_the_installation_is_left(
    desk: Desk, data: st.DataObject
) -> None:
    """Whatever dates letters bear, and whenever rounds and comparisons come between, a last
    comparison leaves none of them."""
    name = uuid4().hex  # a mailbox of its own, for all share the store
    mailbox = Telling(name=name)
    mailbox.publish(
        "old", requested_at=NOW - timedelta(days=99), published_at=NOW - timedelta(days=99)
    )
    desk.poll(mailbox)
    after = set()
    for number, act in enumerate(
        data.draw(st.lists(st.sampled_from(["publish", "poll", "compare"]), max_size=12))
    ):
        if act == "publish":
            dated = NOW - timedelta(days=data.draw(st.integers(0, 4000)))
            mailbox.publish(f"a{number}", requested_at=dated, published_at=NOW)
            after.add(f"a{number}")
        else:
            (desk.poll if act == "poll" else desk.compare)(mailbox)
    desk.compare(mailbox)
    assert desk.store.letters.stored_in(name, TAX) == after
