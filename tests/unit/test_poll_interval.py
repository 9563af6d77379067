"""Each organisation's own interval: within the operator's bounds, by its history in the store."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from daemon.core.bookkeeping import Bookmark
from daemon.core.poll_interval import PollBounds, newest_letter
from daemon.core.ports import Channel
from daemon.core.settings import MailboxSettings
from daemon.intake.mailboxes import PolledMailbox
from daemon.intake.new_letter import MarkPolicies
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from tests.unit.conftest import NOW, PARTY, SENDER, TAX, Clock, new_intake
from tests.unit.memory import MemoryMailbox

QUIET = Channel(party=SENDER, service="4255/8", resource="skatt")
BOUNDS = PollBounds(timedelta(minutes=5), timedelta(hours=6))
lengths = st.timedeltas(timedelta(seconds=1), timedelta(days=30))
bounds = st.tuples(lengths, lengths).map(lambda both: PollBounds(min(both), max(both)))
# hypothesis adds the zone
moments = st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(bounds, st.none() | moments, moments)
def test_never_outside_the_bounds(
    limits: PollBounds, newest: datetime | None, now: datetime
) -> None:
    """Whatever the history is, and whatever the clock says, the interval is within the bounds; of
    an organisation without a letter it is the longest."""
    found = limits.interval(newest, now)
    assert limits.shortest <= found <= limits.longest
    assert newest is not None or found == limits.longest


@given(bounds, moments, st.floats(0, 1))
def test_a_new_letter_brings_it_back_to_the_shortest(
    limits: PollBounds, now: datetime, share: float
) -> None:
    """A letter that was published since the last poll, however long that interval was, makes the
    next one the shortest."""
    assert limits.interval(now - limits.longest * share, now) == limits.shortest


@given(bounds, moments, st.timedeltas(timedelta(), timedelta(days=999)), lengths)
def test_longer_silence_is_never_a_shorter_interval(
    limits: PollBounds, now: datetime, silence: timedelta, more: timedelta
) -> None:
    """The interval grows with the silence, and by nothing else."""
    first = limits.interval(now - silence, now)
    assert first <= limits.interval(now - silence - more, now)


def test_confidential_post_says_nothing() -> None:
    """The channel of confidential post moves on whether there is a letter or not."""
    ordinary = Bookmark(mailbox="m", party=PARTY, service="4255/8", resource="r", position=None)
    listed = Bookmark(mailbox="m", party=PARTY, service="5504/1", resource="r", position=NOW)
    assert newest_letter([ordinary, listed]) is None


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ({"poll_every_min": "5m"}, "write both"),
        ({"poll_every_max": "5m"}, "write both"),
        ({"poll_every_min": "2h", "poll_every_max": "1h"}, "exchange them"),
        ({"poll_every_min": "0s", "poll_every_max": "1h"}, "longer than zero"),
    ],
)
def test_bounds_that_are_none(written: dict[str, str], problem: str) -> None:
    """One bound without the other, or bounds the wrong way round, are refused."""
    with pytest.raises(ValidationError, match=problem):
        MailboxSettings.model_validate(written)


class Rounds:
    """Polls what is due, with a new store each time, as after a restart."""

    def __init__(self, store: Store, content: ContentFolder, clock: Clock) -> None:
        self.store, self.content, self.clock = store, content, clock
        self.mailbox = MemoryMailbox(name="memory", boxes=[TAX, QUIET])

    def turn(self, limits: PollBounds | None = BOUNDS) -> set[str]:
        """Let one turn pass; return the organisations that were listed."""
        self.clock.advance(minutes=5)
        box = PolledMailbox(
            mailbox=self.mailbox,
            receiver=self.mailbox,
            policies=MarkPolicies(),
            poll_every=timedelta(minutes=5),
            bounds=limits,
        )
        due = box.due(self.store.bookmarks, self.mailbox.channels(), self.clock())
        if due:
            intake = new_intake(self.store, self.content, self.clock)
            intake.poll(self.mailbox, MarkPolicies(), threading.Event(), due)
        return {each.party for each in due}


@pytest.fixture(name="rounds")
def new_rounds(store: Store, content: ContentFolder, clock: Clock) -> Rounds:
    """Rounds of two organisations, of which one has a letter at once."""
    found = Rounds(store, content, clock)
    found.mailbox.publish("a", requested_at=clock())
    found.turn()
    return found


def test_who_has_letters_is_listed_more_often(rounds: Rounds) -> None:
    """Turn by turn the one with a letter is listed, and the other every six hours, though nothing
    but the store remembers; a letter makes the quiet one like the first."""
    turns = [rounds.turn() for _ in range(72)]
    assert sum(SENDER in each for each in turns) == 1
    assert all(PARTY in each for each in turns[:40])
    rounds.mailbox.publish("b", channel=QUIET, requested_at=rounds.clock())
    while SENDER not in rounds.turn():
        pass
    assert SENDER in rounds.turn()


def test_without_bounds_everything_is_listed_each_turn(rounds: Rounds) -> None:
    """Without the options all is as it was."""
    assert [rounds.turn(None) for _ in range(3)] == [{PARTY, SENDER}] * 3


def test_what_fails_is_tried_at_every_turn(rounds: Rounds) -> None:
    """A channel whose last listing failed is not put off."""
    bookmark = rounds.store.bookmarks.of_channel("memory", QUIET)
    assert bookmark.begun
    bookmark.failing_since = rounds.clock()
    rounds.store.bookmarks.save([bookmark])
    assert SENDER in rounds.turn()
