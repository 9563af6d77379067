"""Intake when a channel or the whole mailbox fails: the other channels are read, and no letter is
passed over."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import repeat

import pytest

from daemon.core.errors import AccessRefused, StoreError
from daemon.core.ports import Channel, Listing
from daemon.intake import listing_waves
from daemon.intake.poll import IntakeSummary
from daemon.store import Store
from tests.unit.conftest import NOW, TAX, Clock
from tests.unit.memory import MemoryMailbox
from tests.unit.polling_two_channels import (
    AWAY,
    OTHER,
    Poll,
    kept,
    new_mailbox,  # noqa: F401  # a fixture
    new_poll,  # noqa: F401  # a fixture
    position,
)


def test_a_channel_that_cannot_be_listed(poll: Poll, store: Store, mailbox: MemoryMailbox) -> None:
    """A channel's trouble is told and noted; the others are read, and its bookmark stays."""
    mailbox.publish("a")
    mailbox.publish("b", channel=OTHER)
    mailbox.fails["list", "skatt"] = iter([AWAY])
    summary = poll()
    assert (summary.stored, summary.unreachable) == (1, False)
    assert summary.problems == ["991825827 4255/8 skatt: Altinn does not answer"]
    bookmark = store.bookmarks.of_channel("altinn", TAX)
    assert (bookmark.position, bookmark.failed_at, bookmark.succeeded_at, bookmark.last_error) == (
        None,
        NOW,
        None,
        str(AWAY),
    )
    poll()
    bookmark = store.bookmarks.of_channel("altinn", TAX)
    assert (bookmark.succeeded_at, bookmark.last_error) == (NOW, None)
    assert kept(store) == {"a", "b"}


def test_a_fault_of_the_connector_while_listing_concerns_one_channel(
    poll: Poll, store: Store, mailbox: MemoryMailbox
) -> None:
    """A channel that the connector stumbles over is told, and the others are read."""
    mailbox.publish("b", channel=OTHER)
    mailbox.fails["list", "skatt"] = iter([KeyError("items")])
    summary = poll()
    assert (kept(store), len(summary.problems)) == ({"b"}, 1)


def test_nothing_can_be_reached(poll: Poll, mailbox: MemoryMailbox) -> None:
    """A mailbox none of whose channels answers cannot be reached; one that refuses can."""
    mailbox.fails = {("list", "skatt"): repeat(AWAY), ("list", "plan"): repeat(AWAY)}
    assert poll().unreachable
    mailbox.fails["list", "plan"] = repeat(AccessRefused("no right"))
    assert not poll().unreachable


@pytest.mark.parametrize("presumed", [True, False])
def test_a_presumed_channel_that_is_refused_is_a_remark(
    poll: Poll, mailbox: MemoryMailbox, *, presumed: bool
) -> None:
    """That a resource which we only guessed cannot be read is a remark; of one that the operator
    named it is a problem."""
    mailbox.boxes = [replace(TAX, presumed=presumed), OTHER]
    mailbox.fails["list", "skatt"] = repeat(AccessRefused("no right to this resource"))
    summary = poll()
    told = ["991825827 4255/8 skatt: no right to this resource"]
    assert (summary.remarks, summary.problems) == ((told, []) if presumed else ([], told))


def test_a_listing_that_is_not_whole(poll: Poll, store: Store, mailbox: MemoryMailbox) -> None:
    """What a cut listing has is fetched, but the bookmark stays, since there may be more."""
    mailbox.publish("a")
    mailbox.shortfall = "more than 1000 letters in one second"
    assert poll().stored == 1
    assert position(store) is None
    mailbox.shortfall = ""
    poll()
    assert kept(store) == {"a"}


def test_stopping_before_the_first_listing(
    poll: Poll, store: Store, mailbox: MemoryMailbox, stopping: threading.Event
) -> None:
    """A round that is called off at once asks for nothing and blames nobody."""
    stopping.set()
    summary = poll()
    assert mailbox.calls == []
    assert summary == IntakeSummary()
    assert store.queries.bookmarks() == []


def test_a_bookmark_in_the_future_is_not_believed(
    poll: Poll, store: Store, mailbox: MemoryMailbox, clock: Clock
) -> None:
    """A bookmark that a letter, or a wrong clock, has put into the future comes back, and what it
    has hidden meanwhile is found."""
    mailbox.publish("a")
    poll()
    bookmark = store.bookmarks.of_channel(mailbox.name, TAX)
    bookmark.position = clock.now + timedelta(days=400)
    store.bookmarks.save([bookmark])
    mailbox.publish("hidden", requested_at=NOW - timedelta(days=100))
    assert poll().stored == 1
    assert position(store) == NOW
    mailbox.publish("ahead", requested_at=NOW + timedelta(days=300))
    assert poll().stored == 1
    assert position(store) == NOW


def test_a_right_that_comes_late_passes_no_letter_over(
    poll: Poll,
    store: Store,
    mailbox: MemoryMailbox,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A channel that was refused, or listed only in part, for two months is listed from where the
    first attempt would have begun, and not from where one would begin today; an attempt that
    nothing answered says nothing, for the clock may be wrong then."""
    begin, month = clock.now, timedelta(days=30)

    def earliest(_: Channel, position: datetime | None, now: datetime) -> datetime:
        return (position or now) - month

    monkeypatch.setattr(mailbox, "earliest", earliest)
    mailbox.fails["list", "skatt"] = iter([AWAY, *[AccessRefused("no right")] * 2])
    clock.now -= 300 * month
    poll()
    assert store.bookmarks.of_channel("altinn", TAX).begins_at is None
    clock.now = begin
    poll()
    mailbox.publish("a", requested_at=begin + timedelta(days=1))
    clock.now += 2 * month
    poll()
    mailbox.shortfall = "more than 1000 letters in one second"
    clock.now += month
    poll()
    mailbox.shortfall = ""
    clock.now += month
    poll()
    bookmark = store.bookmarks.of_channel("altinn", TAX)
    assert (bookmark.begun, bookmark.begins_at) == (True, begin - month)
    assert mailbox.listed_since[-2] == begin - month
    assert kept(store) == {"a"}


def test_a_channel_that_cannot_even_be_begun(
    poll: Poll, store: Store, mailbox: MemoryMailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault in working out from when on to list is one channel's trouble, and so is an id that is
    not a text."""
    mailbox.publish("a", channel=OTHER)
    whole = mailbox.list

    def listing(channel: Channel, since: datetime | None) -> Listing:
        found = whole(channel, since)
        return replace(found, refs=(replace(found.refs[0], external_id="\ud800"), *found.refs))

    def earliest(channel: Channel, position: datetime | None, now: datetime) -> datetime | None:
        if channel == TAX:
            raise OverflowError
        return None

    monkeypatch.setattr(mailbox, "earliest", earliest)
    monkeypatch.setattr(mailbox, "list", listing)
    summary = poll()
    assert summary.stored == 1
    assert [each.partition(": ")[2] for each in summary.problems] == [
        "unexpected OverflowError in the connector; see the log",
        "1 letters have ids that are not text",
    ]
    assert store.bookmarks.of_channel(mailbox.name, TAX).last_error


def test_a_list_that_takes_long_holds_up_its_own_letters_only(
    poll: Poll, store: Store, mailbox: MemoryMailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one channel's list does not end, the letters of the others are stored and their
    bookmarks moved; then those of that channel follow, in the same round."""
    mailbox.publish("a")
    mailbox.publish("b", channel=OTHER)
    listed, ends = mailbox.list, time.monotonic() + 20
    others_are_stored: list[bool] = []

    def slow(channel: Channel, since: datetime | None) -> Listing:
        while channel == TAX and position(store, "plan") is None and time.monotonic() < ends:
            time.sleep(0.01)
        others_are_stored.append("b" in kept(store))
        return listed(channel, since)

    monkeypatch.setattr(listing_waves, "_TOGETHER", 0.05)
    monkeypatch.setattr(mailbox, "list", slow)
    summary = poll()
    assert others_are_stored == [False, True]
    assert (summary.listed, summary.stored, kept(store)) == (2, 2, {"a", "b"})
    assert position(store) is not None


def test_a_store_that_fails_ends_lists_that_wait(
    poll: Poll, store: Store, mailbox: MemoryMailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a first channel's letters cannot be stored, the round fails, and does not hang."""
    mailbox.publish("b", channel=OTHER)

    def slow(channel: Channel, since: datetime | None) -> Listing:
        time.sleep(0.3 * (channel == TAX))
        return Listing(refs=())

    def fail(_: object) -> None:
        raise StoreError("the disk has failed")

    monkeypatch.setattr(listing_waves, "_TOGETHER", 0.05)
    monkeypatch.setattr(mailbox, "list", slow)
    monkeypatch.setattr(store.bookmarks, "save", fail)
    with pytest.raises(StoreError, match="the disk has failed"):
        poll()
