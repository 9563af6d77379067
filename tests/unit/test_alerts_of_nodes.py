"""Problems of one node are begun and ended by that node, and told of by whose duty it is."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path

import pytest

from daemon.config.loader import (
    AlertSettings,
)
from daemon.config.store import StoreSettings
from daemon.core.bookkeeping import LOG
from daemon.core.nodes import SILENT_AFTER, Duty
from daemon.monitoring.alerts import AlertNotifier
from daemon.monitoring.problem import Problem
from daemon.monitoring.service_problems import ServiceProblems
from daemon.runtime.heartbeat import Heartbeats
from daemon.service.membership import Membership, new_lease
from daemon.store import Store
from daemon.web.exposition import exposition
from daemon.web.node_numbers import of_nodes
from tests.processes.warm import ROOT
from tests.unit.alerting import WakeEvent
from tests.unit.conftest import active_snapshot, configuration_of
from tests.unit.nodes_together import Nodes, new_nodes  # noqa: F401  # a fixture

_FULL_LOG = Problem(kind=LOG, about="", text="The log cannot be written; check it", critical=False)


class _Machine:
    """A node with its alerter."""

    def __init__(self, url: str, name: str, folder: Path, bell: WakeEvent) -> None:
        content = folder / name
        content.mkdir()
        settings = StoreSettings(database=url, content=content, node=name)
        alerts = AlertSettings(to=("mail",), free_bytes=0)
        configuration = configuration_of(settings, folder, alerts=alerts)
        self.store, self.problems = Store(url), ServiceProblems()
        self.node = Membership(self.store, name, name, new_lease(settings))
        self.node.join()
        self.alerter = AlertNotifier(
            store=self.store,
            active=active_snapshot({"mail": bell}, configuration=configuration),
            faults=tuple,
            clock=self.node.now,
            heartbeats=Heartbeats(),
            service_problems=self.problems,
            role=self.node,
        )


@pytest.fixture(name="machines")
def two_machines(nodes: Nodes, tmp_path: Path) -> Callable[[WakeEvent], list[_Machine]]:
    """Makes nodes a and b."""

    def make(bell: WakeEvent) -> list[_Machine]:
        return [_Machine(nodes.url, name, tmp_path, bell) for name in "ab"]

    return make


def test_a_nodes_own_problem_is_its_own(
    nodes: Nodes, machines: Callable[[WakeEvent], list[_Machine]]
) -> None:
    """What is wrong at one node begins and ends with it alone, with its name, and is told of once;
    what is wrong with a node that is silent is told of by another one."""
    bell = WakeEvent("mail")
    a, b = machines(bell)
    with ExitStack() as ends:
        for each in (a, b):
            ends.enter_context(closing(each.store))
        assert a.node.has(Duty.ALERTS)
        b.problems.begin(_FULL_LOG)
        for each in (b, a, b, a):
            each.node.beat()
            each.alerter.look()
        assert [each.ended for each in bell.told] == [False]
        (alert,) = a.store.alerts.all()
        assert (alert.key, alert.text.partition(":")[0]) == ("log (node b)", "On the node b")
        b.problems.end(LOG, "")
        for each in (a, b, a):
            each.alerter.look()
        assert [each.ended for each in bell.told] == [False, True]
        nodes.silence("b", SILENT_AFTER + timedelta(seconds=1))
        a.alerter.look()
        assert [(each.kind, each.ended) for each in bell.told[2:]] == [("node", False)]
        b.node.beat()
        a.alerter.look()
        assert bell.told[3].ended


def test_the_numbers_of_nodes_are_documented(
    machines: Callable[[WakeEvent], list[_Machine]],
) -> None:
    """A node that knows another has every number that the document names, and no other."""
    a, b = machines(WakeEvent("mail"))
    with closing(a.store), closing(b.store):
        assert b.node.has(Duty.MARKS)
        b.node.beat()
        found = exposition(of_nodes(b.node, "1.2.3"))
    kinds = dict(re.findall(r"# TYPE postmottak_(\w+) (\w+)", found))
    text = (ROOT / "docs/several-nodes.md").read_text(encoding="utf-8")
    assert dict(re.findall(r"^\| `(\w+)` \| (gauge|counter) \|", text, re.MULTILINE)) == kinds
    assert 'postmottak_node_info{node="b",version="1.2.3"} 1.0' in found
    assert 'postmottak_node_duty{duty="marks"} 1.0' in found
    assert "postmottak_nodes_alive 2.0" in found
