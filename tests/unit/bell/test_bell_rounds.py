"""Rounds by the bell: what rings is fetched, and what the bell misses is not lost."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from connectors.sandbox.altinn3 import faults
from connectors.sandbox.letters import Status
from daemon.core.model import SightingState
from tests.connectors.altinn3_post import CONFIDENTIAL, OTHER, PARTY, TAX
from tests.unit.bell.conftest import BellWorld


def test_the_first_round_lists_everything(world: BellWorld) -> None:
    """What was there before the bell is found by lists; after that only the bell is asked."""
    ids = [world.publish(), world.publish(OTHER, resource=TAX)]
    rounds = world.start()
    world.rounds(rounds)
    assert world.kept() == sorted(ids)
    world.rounds(rounds, 3)  # lets what has rung be settled, and the first comparisons be made
    world.altinn.forget_calls()
    summary = world.rounds(rounds)
    assert (summary.heard, summary.channels) == (2, 0)
    assert world.altinn.count() == world.altinn.count("dialogsearch") == 2


def test_a_new_letter_is_looked_up_and_fetched(world: BellWorld) -> None:
    """One letter costs the search, a lookup and its overview: no list."""
    rounds = world.start()
    world.rounds(rounds, 4)
    letter = world.publish()
    world.altinn.forget_calls()
    summary = world.rounds(rounds)
    assert (summary.stored, world.kept()) == (1, [letter])
    counts = {each: world.altinn.count(each) for each in ("dialoglookup", "overview", "list")}
    assert counts == {"dialoglookup": 1, "overview": 1, "list": 0}
    assert (world.record.found_by_bell, world.record.found_by_walk) == (1, 0)
    world.rounds(rounds, 3)
    assert world.altinn.count("dialoglookup", "overview") == 2


def test_many_letters_cost_one_list(world: BellWorld) -> None:
    """Where more than a few ring in one channel, it is listed instead of looking up each."""
    rounds = world.start()
    world.rounds(rounds, 4)
    letters = [world.publish() for _ in range(20)]
    world.altinn.forget_calls()
    world.rounds(rounds)
    assert world.kept() == sorted(letters)
    assert (world.altinn.count("list"), world.altinn.count("dialoglookup")) == (1, 0)


def test_a_letter_dated_back_is_found_at_once(world: BellWorld) -> None:
    """A letter that its sender dates years back rings when it comes in: no list looks that far."""
    rounds = world.start()
    world.rounds(rounds, 4)
    old = world.altinn.clock.now() - timedelta(days=900)
    letter = world.publish(requested_at=old)
    world.rounds(rounds)
    assert world.kept() == [letter]


def test_a_letter_that_rings_before_it_is_published_is_waited_for(world: BellWorld) -> None:
    """Its dialog is there first. It is neither noted as gone nor as failing, and is fetched when it
    is published, also if the service is started again meanwhile."""
    rounds = world.start()
    world.rounds(rounds, 4)
    later = world.altinn.clock.now() + timedelta(seconds=50)
    few = world.publish(status=Status.Initialized, requested_at=later)
    many = [world.publish(status=Status.Initialized, resource=TAX) for _ in range(5)]
    world.altinn.letters.record(few)
    world.rounds(rounds)
    assert (world.failing(), [each for each in world.kept() if each in many]) == ([], [])
    rounds = world.start()
    world.rounds(rounds)
    for each in many:
        world.altinn.complete(each)
    world.rounds(rounds, 3)
    assert world.kept() == sorted([few, *many])
    assert world.failing() == []


def test_a_letter_that_was_withdrawn_before_it_could_be_fetched(world: BellWorld) -> None:
    """It is asked for ever more seldom, and then left to the daily comparison, which notes it."""
    rounds = world.start()
    world.rounds(rounds, 4)
    letter = world.publish()
    world.altinn.letters.advance(letter, Status.PurgedByAltinn)  # its dialog is still there
    world.altinn.forget_calls()
    world.rounds(rounds, 60)
    assert world.altinn.count("overview") < 12
    assert world.kept() == []


def test_confidential_post_that_is_only_listed_is_not_opened(world: BellWorld) -> None:
    """A ring there leads to a list, and to no overview."""
    rounds = world.start()
    world.rounds(rounds, 4)
    letter = world.publish(resource=CONFIDENTIAL)
    world.rounds(rounds)
    assert world.altinn.count("overview", "dialoglookup") == 0
    waiting = world.store.queries.sightings(SightingState.WAITING)
    assert [each.external_id for each in waiting] == [letter]


def test_what_never_rings_is_found_by_the_daily_comparison(world: BellWorld) -> None:
    """A letter whose dialog is silent is found within a day, and counted as found that way."""
    rounds = world.start()
    world.rounds(rounds, 4)
    letter = world.publish(external_references=())
    world.rounds(rounds, 10)
    assert world.kept() == []
    world.altinn.clock.advance(timedelta(hours=24))
    world.rounds(rounds, 2)
    assert world.kept() == [letter]
    assert (world.record.found_by_walk, world.record.found_by_bell) == (1, 0)


def test_what_comes_up_behind_is_found_by_the_overlap(world: BellWorld) -> None:
    """A letter that is dated back by some minutes comes up behind the time of the last search."""
    rounds = world.start()
    world.rounds(rounds, 4)
    behind = world.altinn.clock.now() - timedelta(minutes=5)
    letter = world.publish(requested_at=behind, altinn2_id=4711)
    world.rounds(rounds)
    assert world.kept() == [letter]
    assert (world.record.found_by_overlap, world.record.found_by_bell) == (1, 0)


def test_without_the_scope_everything_is_listed(world: BellWorld) -> None:
    """A client that lost Dialogporten's scope is read by lists, at the usual interval; the bell is
    used again when the scope is back."""
    rounds = world.start(poll_every="1s")  # a refused token is not asked for again for half of that
    world.rounds(rounds, 4)
    client = world.altinn.access.client(world.client.client_id)
    assert client
    both, client.scopes = client.scopes, frozenset({"altinn:correspondence.read"})
    world.altinn.revoke_tokens()
    letter = world.publish()
    world.altinn.forget_calls()
    summary = world.rounds(rounds, 5)
    assert summary.refused
    assert world.kept() == [letter]
    assert world.record.lost_since
    lists = [each for each in world.altinn.calls("list") if each.status == 200]
    assert len(lists) == 6  # each channel once in an interval of polls
    client.scopes = both
    time.sleep(0.6)
    world.rounds(rounds, 10)
    assert world.record.lost_since is None
    assert world.record.parties_heard == 2


def test_a_bell_that_does_not_answer_is_replaced_by_lists(world: BellWorld) -> None:
    """While searches fail, everything is listed as often as without a bell."""
    rounds = world.start()
    world.rounds(rounds, 4)
    world.altinn.faults.inject(faults.status(500), "dialogsearch", times=None)
    letters = []
    for _ in range(3):
        letters.append(world.publish())
        world.rounds(rounds, 5)
        assert world.kept() == sorted(letters)
    world.altinn.faults.clear()
    letters.append(world.publish())
    world.rounds(rounds)
    assert world.kept() == sorted(letters)


def test_a_start_after_a_stop_misses_nothing(world: BellWorld) -> None:
    """What came while the service was stopped rings after the start: no list is needed."""
    rounds = world.start()
    world.rounds(rounds, 4)
    letters = [world.publish(), world.publish(OTHER)]
    world.altinn.clock.advance(timedelta(hours=9))
    rounds = world.start()
    world.altinn.forget_calls()
    world.rounds(rounds)
    assert world.kept() == sorted(letters)
    assert world.altinn.count("list") == 0


def test_a_bell_that_is_switched_on_begins_where_the_lists_were(world: BellWorld) -> None:
    """Letters that came between the last list and the first ring are not passed over."""
    rounds = world.start()
    world.rounds(rounds, 4)
    world.store.bells.save(type(world.record)(mailbox="altinn"))  # as if it had never been asked
    letter = world.publish()
    world.altinn.clock.advance(timedelta(hours=5))
    world.rounds(world.start())
    assert world.kept() == [letter]


def test_a_lost_right_is_noticed_within_a_day(world: BellWorld) -> None:
    """A right that is withdrawn is silence for the bell; the comparison finds it, and the channel
    is noted as refused."""
    rounds = world.start()
    world.rounds(rounds, 4)
    world.altinn.revoke(world.client.client_id, PARTY, [TAX])
    world.altinn.clock.advance(timedelta(hours=25))
    world.rounds(rounds, 8)
    lost = [each for each in world.store.queries.bookmarks() if each.refused]
    assert [(each.party, each.resource) for each in lost] == [(PARTY, TAX)]


def test_a_clock_that_was_ahead_does_not_silence_the_bell(world: BellWorld) -> None:
    """A time to come, which a wrong clock left in the record, is not asked from."""
    rounds = world.start()
    world.rounds(rounds, 4)
    record = world.record
    record.asked_until = world.altinn.clock.now() + timedelta(days=400)
    world.store.bells.save(record)
    letter = world.publish()
    world.rounds(world.start())
    assert world.kept() == [letter]


def test_a_clock_that_was_ahead_for_a_while_stops_no_lists(
    world: BellWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was asked, listed, compared and tried while the service's clock was days ahead is done
    again in its time once the clock is right, and not when it reaches those days."""
    right, ahead = world.altinn.clock.now, [timedelta()]
    monkeypatch.setattr(world.altinn.clock, "now", lambda: right() + ahead[0])
    rounds = world.start(poll_every="1s")
    world.rounds(rounds)
    client = world.altinn.access.client(world.client.client_id)
    assert client
    client.scopes = frozenset({"altinn:correspondence.read"})
    world.altinn.revoke_tokens()
    ahead[0] = timedelta(days=3)
    world.rounds(rounds, 6)
    ahead[0] = timedelta()
    letter = world.publish()
    world.rounds(rounds, 5)
    assert world.kept() == [letter]
    compared = [each.compared_at for each in world.store.queries.bookmarks() if each.begun]
    assert not [at for at in compared if at and at > right()]


def test_nothing_that_looks_leaves_a_trace(world: BellWorld) -> None:
    """Check, discovery and a whole comparison leave seen logs, labels and marks as they are; the
    fixture's end looks at that."""
    world.publish()
    rounds = world.start()
    world.rounds(rounds)
    mailbox = world.mailboxes[-1]
    assert [each.subject for each in mailbox.check()][-1] == "bell"
    assert [each.readable for each in mailbox.discover()]
    rounds._parts.reconciliation.run(mailbox, rounds._policies, world.stopping)
    labels = {tuple(each.dialog.labels) for each in world.altinn.dialogs.of_parties([PARTY])}
    assert labels == {("Default",)}
    assert not world.altinn.dialogs.seen_log()
