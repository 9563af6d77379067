"""Turns of organisations: one node at a time has each, and none is left behind."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from connectors.net.pacer import Pacers
from daemon.core.nodes import SILENT_AFTER, Member
from daemon.core.pacing import PAUSES, PROCESSES
from daemon.core.turns import Turn, late_after, next_due, place_of, preferred
from daemon.intake.pauses import tell_pauses
from daemon.intake.turns import Turns
from daemon.store import Store
from tests.unit.conftest import NOW, Clock
from tests.unit.nodes_together import Nodes, new_nodes  # noqa: F401  # a fixture
from tests.unit.one_of_nodes import OneOfNodes

EVERY = timedelta(minutes=5)
PARTIES = [f"9{number:08}" for number in range(60)]
LEASE = timedelta(minutes=15)


@pytest.fixture(autouse=True)
def alone_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process knows of other nodes ends with the test."""
    monkeypatch.setattr(PROCESSES, "nodes", 1)
    monkeypatch.setattr(PAUSES, "tell", PAUSES.tell)


def turns_of(store: Store, role: OneOfNodes, clock: Clock) -> Turns:
    """The turns of a node that knows every organisation; each is due from the beginning."""
    turns = Turns(store, role, clock, "altinn", EVERY)
    turns.follow(dict.fromkeys(PARTIES, NOW))
    return turns


def test_one_node_is_preferred_and_stays_so() -> None:
    """Each organisation has one preferred node; when one goes, only what it had moves, and the
    shares are about even."""
    three = {each: preferred(each, ["a", "b", "c"]) for each in PARTIES}
    two = {each: preferred(each, ["c", "a"]) for each in PARTIES}
    assert all(two[each] == node for each, node in three.items() if node != "b")
    assert all(10 <= [*three.values()].count(node) <= 30 for node in "abc")
    assert preferred("x", []) == ""


def test_turns_keep_their_places() -> None:
    """A turn comes an interval after the one before, however late that began, and never in the
    past; after an outage the turns are spread over half an interval."""
    late = late_after(EVERY)
    assert late == timedelta(seconds=30)
    assert late_after(timedelta(seconds=1)) == timedelta(seconds=5)
    turn = Turn(party="x", fence=1, was_due=NOW, had_by=None)
    assert next_due(turn, NOW + timedelta(seconds=4), EVERY, late=late) == NOW + EVERY
    began = NOW + timedelta(hours=1)
    later = [
        next_due(Turn(party=each, fence=1, was_due=NOW, had_by=None), began, EVERY, late=late)
        for each in PARTIES
    ]
    assert began + EVERY / 2 <= min(later) < began + EVERY * 0.6
    assert began + EVERY * 0.9 < max(later) <= began + EVERY
    assert all(timedelta() <= place_of(each, EVERY) < EVERY for each in PARTIES)


def test_each_organisation_is_polled_by_one_node(nodes: Nodes) -> None:
    """Two nodes take all turns that are due, each its own, and none twice until the next is due;
    `nodes` says how many each has."""
    clock, alive = Clock(NOW + timedelta(seconds=1)), ("a", "b")
    stores = {name: nodes.start(name) for name in alive}
    both = [turns_of(stores[name], OneOfNodes(name, alive), clock) for name in alive]
    taken: list[str] = []
    for _ in range(10):
        for each in both:
            some = each.take(10)
            taken += [turn.party for turn in some]
            each.end(clock(), dict.fromkeys(PARTIES, EVERY))
    assert sorted(taken) == PARTIES
    for each in both:
        each.settle()
    parties = {each.node.name: each.parties for each in stores["a"].nodes.states()}
    assert parties["a"] + parties["b"] == len(PARTIES)
    assert min(parties.values()) > 15
    clock.now = NOW + EVERY + timedelta(seconds=1)
    assert {turn.had_by for turn in both[0].take(100)} == {"a/1"}


def test_anybody_takes_what_is_late(nodes: Nodes) -> None:
    """What another node does not take is left to it for a tenth of the interval, and no longer."""
    clock = Clock(NOW + timedelta(seconds=29))
    a = turns_of(nodes.start("a"), OneOfNodes("a", ("a", "b")), clock)
    own = a.take(100)
    assert 0 < len(own) < len(PARTIES)
    a.end(clock(), dict.fromkeys(PARTIES, EVERY))
    clock.now = NOW + timedelta(seconds=30)
    assert len(a.take(100)) == len(PARTIES) - len(own)


def test_the_turns_of_a_dead_node_are_released(nodes: Nodes) -> None:
    """What a node was polling when it died is due when its work is taken over; its own end of the
    turn, if it was only frozen, changes nothing."""
    stores = {name: nodes.start(name) for name in "ab"}
    clock = Clock(NOW + timedelta(seconds=1))
    a = turns_of(stores["a"], OneOfNodes("a", ("a",)), clock)
    b = turns_of(stores["b"], OneOfNodes("b", ("b",)), clock)
    (turn, *_) = a.take(len(PARTIES))
    assert b.take(100) == ()
    nodes.silence("a", SILENT_AFTER)
    stores["b"].nodes.take_over([Member(node="a", incarnation="1")])
    clock.now = stores["b"].nodes.beat(Member(node="b", incarnation="1")).now
    assert len(b.take(100)) == len(PARTIES)
    stores["b"].polls.end("altinn", [(turn, NOW + 3 * EVERY)])
    b.end(clock(), dict.fromkeys(PARTIES, EVERY))
    assert b.take(100) == ()
    assert [each.parties for each in stores["b"].nodes.states()] == [0, len(PARTIES)]


def test_a_turn_that_is_not_ended_is_not_lost(nodes: Nodes) -> None:
    """A loop that begins anew, as the database went away, has its turns again; others have them
    when the lease is over, unless it was renewed."""
    clock = Clock(NOW + timedelta(seconds=1))
    store = nodes.start("a")
    a = turns_of(store, OneOfNodes("a", ("a",)), clock)
    assert len(a.take(100)) == len(PARTIES)
    again = turns_of(store, OneOfNodes("a", ("a",)), clock)
    assert len(again.take(100)) == len(PARTIES)
    b = turns_of(nodes.start("b"), OneOfNodes("b", ("a", "b")), clock)
    clock.now += LEASE - timedelta(seconds=1)
    again.renew()
    clock.now += timedelta(minutes=1)
    assert b.take(100) == ()
    clock.now += LEASE
    assert len(b.take(100)) == len(PARTIES)


def test_a_node_without_a_lease_takes_nothing(nodes: Nodes) -> None:
    """A node that the database has not answered for long begins no poll."""
    role = OneOfNodes("a", ("a",), lease=False)
    assert turns_of(nodes.start("a"), role, Clock(NOW + EVERY)).take(100) == ()


def test_turns_of_organisations_that_are_gone_go(nodes: Nodes) -> None:
    """An organisation that no node knows any more loses its turn after a day; one that another
    node knows keeps it."""
    clock, store = Clock(NOW + timedelta(seconds=1)), nodes.start("a")
    turns_of(store, OneOfNodes("a", ("a",)), clock)
    clock.now += timedelta(hours=23)
    less = Turns(store, OneOfNodes("a", ("a",)), clock, "altinn", EVERY)
    less.follow(dict.fromkeys(PARTIES[1:], NOW))
    assert len(store.polls.due("altinn", clock())) == len(PARTIES)
    clock.now += timedelta(hours=2)
    less.follow(dict.fromkeys(PARTIES[1:], NOW))
    assert len(store.polls.due("altinn", clock())) == len(PARTIES) - 1


def test_a_ring_makes_a_turn_due(nodes: Nodes) -> None:
    """What happened is handed on by the time of the turn: the node whose turn it is looks; while
    it has the turn in hand, it says so."""
    clock = Clock(NOW + timedelta(seconds=1))
    a = turns_of(nodes.start("a"), OneOfNodes("a", ("a",)), clock)
    a.take(100)
    b = turns_of(nodes.start("b"), OneOfNodes("b", ("a", "b")), clock)
    assert not b.make_due(PARTIES[:1])
    a.end(clock(), dict.fromkeys(PARTIES, EVERY))
    a.settle()
    assert a.take(100) == ()
    assert b.make_due(PARTIES[:1])
    assert [each.party for each in a.take(100)] == PARTIES[:1]


def test_a_pause_holds_for_all_nodes(nodes: Nodes) -> None:
    """When a server asks one node to wait, the others make no call of that client once they have
    taken a turn, until the pause is over; a shorter one changes nothing. Each node has its share
    of the pace."""
    store, url = nodes.start("a"), "https://platform.example/x"
    pacers = Pacers()
    pacer, other = (pacers.of(client, url, 100) for client in ("client", "another"))
    store.polls.pause("platform.example", "client", 60)
    store.polls.pause("platform.example", "client", 5)
    assert pacer.reserve(url) == 0
    now = store.nodes.beat(Member(node="a", incarnation="1")).now
    turns_of(store, OneOfNodes("a", ("a", "b")), Clock(now)).take(100)
    assert 50 < pacer.reserve(url) < 61
    assert other.reserve(url) == 0
    assert PROCESSES.parts == 2
    assert store.polls.pauses(now + timedelta(seconds=70)) == []


def test_what_a_process_hears_is_told(nodes: Nodes) -> None:
    """A pause that a server asks this process for is in the store soon after, once."""
    store, url = nodes.start("a"), "https://platform.example/x"
    tell_pauses(store)
    pacer = Pacers().of("client", url, 100)
    for _ in range(3):
        pacer.refused(url, 30)
    for thread in threading.enumerate():
        if thread.name == "pause":
            thread.join()
    now = store.nodes.beat(Member(node="a", incarnation="1")).now
    (pause,) = store.polls.pauses(now)
    assert (pause.host, pause.client) == ("platform.example", "client")
    assert 20 < (pause.closed_until - now).total_seconds() <= 30
