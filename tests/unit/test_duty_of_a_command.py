"""A command that does what a duty does has the duty meanwhile, or is refused."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from daemon.config.store import StoreSettings
from daemon.core.errors import OperatorError
from daemon.core.nodes import Duty, Member
from daemon.service.membership import having
from daemon.store import Store
from tests.unit.nodes_together import Nodes, new_nodes  # noqa: F401  # a fixture


def settings(folder: Path, url: str) -> StoreSettings:
    """Those of another machine, called c."""
    return StoreSettings(
        database=url, content=folder / "content", own_files=folder / "own", node="c"
    )


def test_a_living_node_keeps_it(nodes: Nodes, tmp_path: Path) -> None:
    """The refusal names the node that does it, and the machine of the command is no node then."""
    nodes.start("a").nodes.take_duty(Duty.HOUSEKEEPING, Member(node="a", incarnation="1"))
    with (
        closing(Store(nodes.url)) as store,
        pytest.raises(OperatorError, match=r"node a .*`housekeeping`"),
        having(Duty.HOUSEKEEPING, store, settings(tmp_path, nodes.url)),
    ):
        pytest.fail("the command ran")
    with closing(Store(nodes.url)) as store:
        assert [each.node.name for each in store.nodes.states()] == ["a"]


def test_no_node_gets_it_meanwhile(nodes: Nodes, tmp_path: Path) -> None:
    """A node that starts while the command runs leaves it the duty, and has it afterwards."""
    later = Member(node="b", incarnation="1")
    with (
        closing(Store(nodes.url)) as store,
        having(Duty.HOUSEKEEPING, store, settings(tmp_path, nodes.url)),
    ):
        started = nodes.start("b")
        assert started.nodes.take_duty(Duty.HOUSEKEEPING, later).node == "c"
        store.events.add(started.nodes.beat(later).now, kind="x", user="kari")  # it may write
    assert started.nodes.take_duty(Duty.HOUSEKEEPING, later) == later


def test_a_store_of_one_machine_has_no_duties(store: Store, tmp_path: Path) -> None:
    """There the lock sees to it."""
    one = StoreSettings(database="sqlite:///x.db", content=tmp_path)
    with having(Duty.HOUSEKEEPING, store, one):
        assert store.nodes.states() == []
