"""Nodes in the store: claims of one that is gone go to others, and it never writes again."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import timedelta

import psycopg
import pytest

from daemon.core.errors import NodeFenced, NotFound, OperatorError
from daemon.core.model import DeliveryState, Outcome
from daemon.core.nodes import ENDED_AFTER, SILENT_AFTER, Duty, Member, member_of
from daemon.store import Store
from tests.unit.claiming import ENDS
from tests.unit.conftest import NOW, stored_letter
from tests.unit.nodes_together import Nodes, never, new_nodes, node  # noqa: F401  # a fixture

LEASE = timedelta(minutes=15)
A1, A2, B1 = (Member(node=each[0], incarnation=each[1]) for each in ("a1", "a2", "b1"))


def owners(store: Store) -> dict[str, str | None]:
    """Who has claimed which letter's delivery."""
    with store._database.read() as session:
        from sqlmodel import select

        from daemon.core.model import Delivery, Message

        found = session.exec(
            select(Message.external_id, Delivery.owner).where(Delivery.message_id == Message.id)
        )
        return dict(found.all())


def test_a_living_name_is_taken(nodes: Nodes) -> None:
    """Nobody joins under the name of a node that may be alive; whoever proves that it ended does,
    and the earlier start writes nothing more."""
    first = nodes.start("a", "1")
    with closing(Store(nodes.url)) as other:
        found = other.nodes.join(node("a", "2"), never)
        assert found is not None
        assert (found.host, found.pid, found.incarnation) == ("host-a", 1, "1")
        assert first.nodes.beat(A1)
        assert other.nodes.join(node("a", "2"), lambda *_: True) is None
        with pytest.raises(NodeFenced):
            first.nodes.beat(A1)
        assert other.nodes.beat(A2)
    with pytest.raises(NodeFenced):
        first.letters.add([stored_letter("late")])


def test_a_start_releases_only_what_is_nobodys(nodes: Nodes) -> None:
    """A node that starts again makes what its earlier start had claimed due, and that of workers
    of it, and of programs that were never a node; what another node has stays claimed."""
    a, b = nodes.start("a"), nodes.start("b")
    a.letters.add([stored_letter(name) for name in ("mine", "workers", "other", "old")])
    for owner in (A1.owner, f"{A1.owner}/7.0", B1.owner, "machine:123"):
        (b if owner == B1.owner else a).outbox.claim(owner, NOW, LEASE, 1)
    assert sorted(filter(None, owners(a).values())) == [
        "a/1", "a/1/7.0", "b/1", "machine:123",
    ]  # fmt: skip
    again = nodes.start("a", "2")
    assert [each for each in owners(again).values() if each] == ["b/1"]
    assert member_of("a/1/7.0") == A1


def test_a_silent_node_is_fenced_off_before_others_take_its_work(nodes: Nodes) -> None:
    """What a silent node had claimed goes to others; it cannot record what it did, nor claim."""
    a, b = nodes.start("a"), nodes.start("b")
    a.letters.add([stored_letter("x")])
    (old,) = a.outbox.claim(A1.owner, NOW, LEASE, 1)
    assert b.nodes.take_over([A1]) == {}, "it was heard of just now"
    nodes.silence("a", SILENT_AFTER)
    assert b.nodes.take_over([A1]) == {"a": 1}
    assert b.nodes.take_over([A1]) == {}, "only once"
    (claim,) = b.outbox.claim(B1.owner, b.nodes.beat(B1).now, LEASE, 1)
    assert claim.fence == old.fence + 1
    for late in (
        lambda: ENDS["delivered"](a.outbox, old),
        lambda: a.outbox.claim(A1.owner, NOW, LEASE, 1),
        lambda: a.nodes.take_duty(Duty.ALERTS, A1),
        lambda: a.nodes.beat(A1),
    ):
        with pytest.raises(NodeFenced, match="node a was silent"):
            late()
    assert ENDS["delivered"](b.outbox, claim)
    assert [each.alive for each in b.nodes.states()] == [False, True]


def test_a_node_that_died_need_not_be_silent_for_long(nodes: Nodes) -> None:
    """The server knows that a node's connection ended: if it does not come back at once, others may
    take over; while it is connected, or did not say how, a moment of silence means nothing."""
    a, b = nodes.start("a"), nodes.start("b")
    nodes.silence("a", 2 * ENDED_AFTER)
    assert not b.nodes.beat(B1).ended, "it has not said which connection it has"
    a.nodes.beat(A1)
    nodes.silence("a", 2 * ENDED_AFTER)
    assert not b.nodes.beat(B1).ended
    assert b.nodes.take_over([A1]) == {}
    a.nodes.beat(A1)
    a.close()
    wait_until_only(nodes, b.nodes.beat(B1).backend)
    assert not b.nodes.beat(B1).ended, "it may be connecting again"
    nodes.silence("a", ENDED_AFTER)
    assert b.nodes.beat(B1).ended == {A1}
    assert b.nodes.take_over([A1]) == {"a": 0}
    assert not b.nodes.beat(B1).ended


def wait_until_only(nodes: Nodes, backend: int) -> None:
    """Wait until the server has noticed that a connection of heartbeats is closed."""
    gone = (
        "SELECT NOT EXISTS (SELECT 1 FROM nodes JOIN pg_stat_activity AS s ON backend = s.pid"
        f" WHERE s.pid <> {backend})"
    )
    ends = time.monotonic() + 20
    with psycopg.connect(nodes.url.replace("+psycopg", ""), autocommit=True) as connection:
        while connection.execute(gone).fetchone() != (True,):
            assert time.monotonic() < ends
            time.sleep(0.01)


def test_blame_is_for_who_may_have_ended_it(nodes: Nodes) -> None:
    """A delivery counts a crash if its node went silent by itself; not after an orderly stop."""
    a, b = nodes.start("a"), nodes.start("b")
    a.letters.add([stored_letter("x")])
    (claim,) = a.outbox.claim(A1.owner, NOW, LEASE, 1)
    a.nodes.leave(A1)
    later = b.nodes.beat(B1).now
    (again,) = b.outbox.claim(B1.owner, later, LEASE, 1)
    assert again.delivery.crashes == 0
    nodes.silence("b", timedelta(days=3650))
    c = nodes.start("c")
    assert c.nodes.take_over([B1]) == {"b": 1}
    (third,) = c.outbox.claim("c/1", c.nodes.beat(Member(node="c", incarnation="1")).now, LEASE, 1)
    assert third.delivery.crashes == 0, "the server was started after it was last heard of"
    assert [each.outcome for each in c.queries.attempts(claim.id)] == [Outcome.LOST] * 2
    assert third.delivery.state is DeliveryState.CLAIMED


def test_a_duty_is_one_nodes_until_it_is_gone(nodes: Nodes) -> None:
    """The first who asks has a duty; another one gets it when that one stops or is taken over."""
    a, b = nodes.start("a"), nodes.start("b")
    assert a.nodes.take_duty(Duty.ALERTS, A1) == A1
    assert b.nodes.take_duty(Duty.ALERTS, B1) == A1
    assert b.nodes.take_duty(Duty.MARKS, B1) == B1
    assert b.nodes.seen().duties == {"alerts": A1, "marks": B1}
    nodes.silence("a", SILENT_AFTER)
    assert b.nodes.take_duty(Duty.ALERTS, B1) == A1, "it is not fenced off yet"
    b.nodes.take_over([A1])
    assert b.nodes.take_duty(Duty.ALERTS, B1) == B1
    b.nodes.leave(B1)
    c = nodes.start("c")
    assert c.nodes.take_duty(Duty.MARKS, Member(node="c", incarnation="1")).node == "c"


def test_a_node_is_forgotten_when_it_is_gone(nodes: Nodes) -> None:
    """A living node cannot be forgotten; one that was stopped or is silent can, once."""
    a = nodes.start("a")
    nodes.start("b")
    with pytest.raises(OperatorError, match="alive"):
        a.nodes.forget("b")
    nodes.silence("b", SILENT_AFTER)
    a.nodes.forget("b")
    with pytest.raises(NotFound):
        a.nodes.forget("b")
    assert [each.node.name for each in a.nodes.states()] == ["a"]


def test_sqlite_has_no_nodes(store: Store) -> None:
    """A store in a file is one process's, which its lock file sees to."""
    assert not store.is_shared
    assert store.nodes.states() == []
