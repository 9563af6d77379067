"""How complete the store is, in numbers: nothing reads as complete that was not looked at."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from itertools import repeat

import pytest

from daemon.core.completeness import PLACES, Account, ChannelState
from daemon.core.errors import AccessRefused, LetterGone, MailboxUnavailable
from daemon.core.parties import MailboxParty
from daemon.intake.new_letter import MarkPolicies
from daemon.intake.poll import Intake
from daemon.intake.reconcile import Compared, Reconciliation
from daemon.monitoring.completeness import Completeness, completeness
from daemon.monitoring.passages import PassageTimes
from daemon.monitoring.problems import find_problems
from daemon.store.content_folder import ContentFolder
from daemon.web.letter_numbers import of_all_letters
from tests.unit.alerting import Desk, Expiring, new_desk  # noqa: F401  # a fixture
from tests.unit.conftest import APPOINTED, NOW, SECRET, TAX, new_intake
from tests.unit.test_reconcile import FromADay

pytestmark = pytest.mark.both_databases

AWAY = MailboxUnavailable("Altinn does not answer")
PLAN = replace(TAX, service="4255/1", resource="plan")
LISTED = replace(SECRET, list_only=True, fetch_confidential=False)


class Naming(Expiring):
    """Settings that name an organisation."""

    @property
    def organisations(self) -> tuple[str, ...]:
        return ("910000001",)


class World:
    """A mailbox that is polled and compared, and what is said of it."""

    def __init__(self, desk: Desk, content: ContentFolder) -> None:
        self.desk, self.store, self.clock = desk, desk.store, desk.clock
        self.mailbox = FromADay(boxes=[TAX], look_back=timedelta(hours=2))
        self.store.letters.note_table(APPOINTED.version, APPOINTED.text, NOW)
        self.intake: Intake = new_intake(self.store, content, self.clock, lambda: APPOINTED)

    def poll(self) -> None:
        """Do one round."""
        self.intake.poll(self.mailbox, MarkPolicies(), threading.Event())

    def compare(self) -> dict[str, Compared]:
        """Compare, and return what was found, by resource."""
        reconciliation = Reconciliation(store=self.store, intake=self.intake)
        found = reconciliation.run(self.mailbox, MarkPolicies(), threading.Event())
        return {each.resource: each for each in found}

    def whole(self) -> Completeness:
        """Return what is known."""
        return completeness(self.desk.configuration, self.store, self.clock())

    def shortfalls(self) -> list[tuple[str, int]]:
        """Return the problems of letters that cannot be explained."""
        found = find_problems(self.desk.configuration, self.store, self.clock())
        return [(each.about, each.count) for each in found if each.kind == "shortfall"]


@pytest.fixture
def world(desk: Desk, content: ContentFolder) -> World:
    """A mailbox with one channel."""
    return World(desk, content)


def test_every_letter_is_in_one_place(world: World) -> None:
    """What the source has is counted by where it is after the fetching, and adds up."""
    world.mailbox.boxes = [TAX, LISTED]
    for name in ("a", "b", "went", "fails"):
        world.mailbox.publish(name, requested_at=NOW)
    world.mailbox.publish("ancient", requested_at=NOW - timedelta(days=40))
    world.mailbox.publish("s", channel=LISTED, confidential=True)
    world.mailbox.fails["fetch", "went"] = repeat(LetterGone("removed"))
    world.mailbox.fails["fetch", "fails"] = repeat(AWAY)
    world.poll()
    world.mailbox.publish("late", requested_at=NOW - timedelta(days=9))
    world.mailbox.publish("s2", channel=LISTED, confidential=True)
    found = world.compare()
    account = found["skatt"].account
    assert account == Account(source=6, here=3, gone=1, failing=1, older=1)
    assert found["taushetsbelagt"].account == Account(source=2, waiting=2)
    assert sum(getattr(world.whole().account, name) for name in PLACES) == 8
    first = f"{NOW - timedelta(days=30):%Y-%m-%d}"
    assert world.whole().sentence.startswith(
        f"6 of 7 letters since {first} are here or explained, checked today "
    )
    assert world.whole().sentence.endswith("; 1 could not be fetched yet")
    assert not world.shortfalls()


def test_a_letter_that_cannot_be_explained_is_told_once(world: World) -> None:
    """A letter whose id cannot be asked for is a problem with one alert, and one when it is over;
    what is only asked for in vain is not."""
    world.mailbox.publish("a", requested_at=NOW)
    world.poll()
    alerter = world.desk.make()
    world.mailbox.publish("\ud800", requested_at=NOW)
    for _ in range(3):
        world.compare()
        world.clock.advance(hours=20)
        world.poll()
        alerter.look()
    assert world.shortfalls() == [("altinn", 1)]
    assert [each for each in world.desk.kinds() if each[0] == "shortfall"] == [("shortfall", False)]
    assert "1 cannot be explained" in world.whole().sentence
    assert not world.whole().is_whole
    world.mailbox.letters = {key: each for key, each in world.mailbox.letters.items() if key == "a"}
    world.compare()
    alerter.look()
    assert [each for each in world.desk.kinds() if each[0] == "shortfall"] == [
        ("shortfall", False),
        ("shortfall", True),
    ]


def test_what_was_not_compared_yet_is_not_said_to_have_failed(world: World) -> None:
    """Between a channel's first poll and its first comparison the sentence says just that."""
    world.mailbox.publish("a", requested_at=NOW)
    world.poll()
    whole = world.whole()
    assert (whole.channels[ChannelState.PENDING], whole.is_whole) == (
        len(world.mailbox.boxes),
        False,
    )
    assert "channels that do not count: 1 not compared yet" in whole.sentence


@pytest.mark.parametrize(
    ("error", "state"),
    [(AWAY, ChannelState.UNASKED), (AccessRefused("no right"), ChannelState.UNASKED)],
)
def test_what_could_not_be_asked_is_not_complete(
    world: World, error: Exception, state: ChannelState
) -> None:
    """After a comparison that failed the channel's numbers are those of before, and do not
    count."""
    world.mailbox.boxes = [TAX, PLAN]
    world.mailbox.publish("a", requested_at=NOW)
    world.mailbox.publish("b", channel=PLAN, requested_at=NOW)
    world.poll()
    world.compare()
    assert world.whole().account.letters == 2
    assert world.whole().is_whole
    world.mailbox.fails["list", "plan"] = repeat(error)
    world.compare()
    whole = world.whole()
    assert (whole.account.letters, whole.channels[state], whole.is_whole) == (1, 1, False)
    assert "channels that do not count: 1 could not be asked" in whole.sentence


def test_a_listing_that_is_not_whole_proves_nothing(world: World) -> None:
    """A source that may have more than it lists is not compared."""
    world.mailbox.publish("a", requested_at=NOW)
    world.poll()
    world.mailbox.shortfall = "more than 1000 letters in one second"
    assert world.compare()["skatt"].account is None
    assert world.whole().sentence == (
        "Nothing has been compared with the source yet; channels that do not count: "
        "1 could not be asked"
    )


def test_what_is_not_read_any_more_or_for_too_long(world: World) -> None:
    """A channel that the configuration no longer names, one that was last compared days ago, and a
    time that has not come are named and do not count."""
    world.mailbox.publish("a", requested_at=NOW)
    world.poll()
    world.compare()
    world.clock.advance(days=3)
    assert world.whole().channels == {ChannelState.STALE: 1}
    world.clock.advance(days=-9)
    assert world.whole().channels == {ChannelState.STALE: 1}
    world.clock.advance(days=6)
    world.store.bookmarks.retire("altinn", [], NOW)
    whole = world.whole()
    assert whole.channels == {ChannelState.ENDED: 1}
    assert not whole.is_whole
    assert "1 not read any more" in whole.sentence
    assert whole.account == Account()


def test_a_channel_that_is_not_read_whole_beside_one_that_is(world: World) -> None:
    """The sentence says that older letters of some channels are not among those it counts."""
    world.mailbox.boxes = [TAX, PLAN]
    world.poll()
    world.compare()
    for each in world.store.queries.bookmarks():
        each.begins_at = NOW if each.resource == "plan" else None
        world.store.bookmarks.save([each])
    assert world.whole().sentence.startswith(
        f"0 of 0 letters (some channels since {NOW:%Y-%m-%d}) are here or explained"
    )


def test_a_mailbox_that_is_not_configured_any_more(world: World) -> None:
    """Its channels have ended; they are not for ever those that were asked too long ago."""
    world.mailbox.publish("a", requested_at=NOW)
    world.poll()
    world.compare()
    (box,) = world.desk.configuration.mailboxes
    other = replace(box, name="other")
    world.desk.configuration = replace(world.desk.configuration, mailboxes=(other,))
    world.clock.advance(days=3)
    assert world.whole().channels == {ChannelState.ENDED: 1}
    assert not world.whole().is_whole


def test_an_organisation_of_which_nothing_is_known(world: World) -> None:
    """An organisation of the configuration that was never asked is named, and so is one that was
    found and is not gone."""
    settings = world.desk.configuration.mailboxes[0].settings
    box = replace(world.desk.configuration.mailboxes[0], settings=Naming(**settings.model_dump()))
    world.desk.configuration = replace(world.desk.configuration, mailboxes=(box,))
    world.mailbox.publish("a", requested_at=NOW)
    world.poll()
    world.compare()
    world.store.mailbox_parties.save(
        MailboxParty(mailbox="altinn", party=party, name="", found_at=NOW, gone_at=gone_at)
        for party, gone_at in (("910000002", None), ("910000003", NOW))
    )
    assert world.whole().never_asked == ["910000001", "910000002"]
    assert "never asked: 910000001, 910000002" in world.whole().sentence
    assert not world.whole().is_whole
    (metric,) = [
        each
        for each in of_all_letters(
            world.desk.configuration, world.store, world.clock(), PassageTimes(since=NOW)
        )
        if each.name == "postmottak_completeness_organisations_never_asked"
    ]
    assert [(each.labels, each.value) for each in metric.samples] == [({"mailbox": "altinn"}, 2.0)]


def test_a_row_for_each_result(world: World) -> None:
    """The same result goes on in its row; another one begins a row; retention removes those that
    are over, and never the newest."""
    world.mailbox.publish("a", requested_at=NOW)
    world.poll()
    for _ in range(3):
        world.compare()
        world.clock.advance(days=1)
    world.mailbox.publish("b", requested_at=NOW)
    world.compare()
    (newest,) = [
        each.row
        for each in world.store.completeness.channels(world.clock(), ["altinn"])
        if each.row
    ]
    assert (newest.here, newest.checks, newest.first_at) == (2, 1, world.clock())
    assert world.store.completeness.forget(NOW) == 0
    world.clock.advance(days=400)
    assert world.store.completeness.forget(world.clock()) == 1
    assert [each.row for each in world.store.completeness.channels(world.clock(), ["altinn"])] == [
        newest
    ]


def test_the_service_that_stops_finds_no_shortfall(world: World) -> None:
    """What the end of the service keeps from being fetched is not recorded as a shortfall."""
    world.mailbox.publish("a", requested_at=NOW)
    world.poll()
    world.mailbox.publish("late", requested_at=NOW - timedelta(days=9))
    stopping = threading.Event()
    world.mailbox.during = lambda verb, _: stopping.set() if verb == "list" else None
    Reconciliation(store=world.store, intake=world.intake).run(
        world.mailbox, MarkPolicies(), stopping
    )
    assert world.whole().checked_at is None
    assert not world.shortfalls()
