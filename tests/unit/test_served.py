"""Destinations that one machine reaches, and what several nodes share of the others."""

from __future__ import annotations

import csv
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from connectors.destinations.filedrop import FileDrop
from connectors.destinations.filedrop import Settings as DropFolder
from daemon.config.loader import Configuration, DestinationConfiguration
from daemon.core.model import Delivery, Outcome
from daemon.core.nodes import SILENT_AFTER
from daemon.core.settings import DestinationSettings
from daemon.delivery.dispatch import Dispatch
from daemon.delivery.served import ServedDestinations
from daemon.delivery.snapshot import ActiveSnapshot
from daemon.monitoring.node_waits import NodeWait, node_waits
from daemon.monitoring.problems import find_all
from daemon.store import Store
from daemon.store.content import ContentStore
from tests.processes.warm import ROOT
from tests.unit.conftest import NOW, Clock, active_snapshot, stored_letter
from tests.unit.memory import MemoryDestination
from tests.unit.nodes_together import Nodes, new_nodes  # noqa: F401  # a fixture
from tests.unit.one_of_nodes import OneOfNodes

pytestmark = pytest.mark.both_databases

_LETTERS = 150


def snapshot(places: dict[str, MemoryDestination], nodes: tuple[str, ...]) -> ActiveSnapshot:
    """What is in force: `erp` is reached from these nodes, `mail` from all."""
    found = active_snapshot(places)
    settings = DestinationSettings(nodes=nodes)
    erp = DestinationConfiguration(name="erp", type="memory", settings=settings)
    configuration = replace(found.configuration(), destinations=(erp,))
    return active_snapshot(places, configuration=configuration)


def waits_of(configuration: Configuration, store: Store) -> Mapping[str, NodeWait]:
    """What waits for nodes, as they are now."""
    return node_waits(configuration, store, store.nodes.states())


def dispatch_of(store: Store, content: ContentStore, node: str, active: ActiveSnapshot) -> Dispatch:
    """A node's dispatch, beside that of another node."""
    return Dispatch(
        store=store,
        content=content,
        active=active,
        clock=Clock(NOW),
        give_up_after=timedelta(days=5),
        role=OneOfNodes(node, ("a", "b")),
    )


def test_a_destination_of_one_machine_waits_for_its_node(
    nodes: Nodes, content: ContentStore, stopping: threading.Event
) -> None:
    """Another node leaves its deliveries, poison messages too, and is not woken for them; they say
    what they wait for when it is silent; its own node delivers them."""
    content.put([b"pdf"])
    stores = {name: nodes.start(name) for name in "ab"}
    places = {name: MemoryDestination(name) for name in ("erp", "mail")}
    active = snapshot(places, ("a",))
    stores["a"].letters.add([stored_letter("x", ("erp", "mail")), stored_letter("y")])
    (crashed,) = stores["a"].outbox.claim("a/1", NOW, timedelta(0), 1, only=["erp"])
    with stores["a"].outbox._database.write() as session:
        poison = session.get(Delivery, crashed.id)
        assert poison
        poison.crashes, poison.due_at = 2, NOW
    of_b = dispatch_of(stores["b"], content, "b", active)
    assert of_b.deliver_due(stopping) == Counter({Outcome.DELIVERED: 1})
    assert (len(places["erp"].handed), len(places["mail"].handed)) == (0, 1)
    assert of_b.next_due() is None
    configuration = active.configuration()
    assert waits_of(configuration, stores["b"]) == {}
    nodes.silence("a", SILENT_AFTER)
    wait = waits_of(configuration, stores["b"])["erp"]
    assert (wait.deliveries, wait.nodes) == (2, ["a"])
    assert wait.text.startswith("waits for the node a, silent since 20")
    of_a = dispatch_of(stores["a"], content, "a", active)
    assert of_a.deliver_due(stopping) == Counter({Outcome.DELIVERED: 2})


def test_what_waits_for_a_node_says_why(nodes: Nodes) -> None:
    """A destination of nodes that were stopped, or that never were, waits for them."""
    store = nodes.start("c")
    text = waits_of(snapshot({}, ("a", "b")).configuration(), store)["erp"].text
    assert text == "waits for one of the nodes a, b, never seen"
    member = nodes.start("a").nodes.states()[0].node.member
    store.nodes.leave(member)
    text = waits_of(snapshot({}, ("a",)).configuration(), store)["erp"].text
    assert text.startswith("waits for the node a, stopped since 20")


@pytest.mark.parametrize(
    ("silent_for", "is_passing", "is_told"),
    [
        (None, False, True),
        (timedelta(minutes=1), True, False),
        (timedelta(minutes=10), False, False),
        (timedelta(minutes=20), False, True),
    ],
    ids=["never there", "just gone", "gone for minutes", "gone"],
)
def test_what_waits_for_a_node_is_a_problem(
    nodes: Nodes, silent_for: timedelta | None, *, is_passing: bool, is_told: bool
) -> None:
    """Nothing is called well while deliveries wait for a node, such as one that is misspelt; where
    it may just be starting again, that is shown, and nobody is told."""
    store = nodes.start("c")
    store.letters.add([stored_letter("x"), stored_letter("y")])
    if silent_for:
        nodes.start("a")
        nodes.silence("a", silent_for)
    configuration, now = snapshot({}, ("a",)).configuration(), store.nodes.states()[-1].node.seen_at
    found = find_all(configuration, store, now)
    (problem,) = [each for each in found if each.kind == "node-wait"]
    assert (problem.count, problem.passing, problem.notify) == (2, is_passing, is_told)
    assert problem.text.startswith("erp waits for the node a, ")


def test_where_nothing_waits_there_is_no_problem(nodes: Nodes) -> None:
    """A destination of a node that is not there is no problem while nothing is to go there."""
    store = nodes.start("c")
    store.letters.add([stored_letter("x", ("mail",))])
    configuration, now = snapshot({}, ("a",)).configuration(), store.nodes.states()[-1].node.seen_at
    assert [x for x in find_all(configuration, store, now) if x.kind == "node-wait"] == []


def test_the_concurrency_is_divided(tmp_path: Path) -> None:
    """A receiver gets no more at a time from all living nodes than from one; a drop, where letters
    are only put together, is not divided, and each node has at least one."""
    (tmp_path / "drop").mkdir()
    places = {"erp": MemoryDestination("erp"), "mail": MemoryDestination("mail")}
    drop = FileDrop("drop", DropFolder(path=tmp_path / "drop"))
    with snapshot(places, ("a", "b")).use() as active:
        found = replace(active, destinations={**active.destinations, "drop": drop})
        three = ServedDestinations(OneOfNodes("a", ("a", "b", "c"))).limits(found)
        many = ServedDestinations(OneOfNodes("a", [f"n{number}" for number in range(20)])).limits(
            found
        )
        alone = ServedDestinations(OneOfNodes("", ("",))).limits(found)
    assert three == {"erp": 4, "mail": 2, "drop": 128}
    assert many["mail"] == 1
    assert alone == {"erp": 8, "mail": 8, "drop": 128}


def test_an_index_has_the_lines_of_all_nodes(nodes: Nodes, tmp_path: Path) -> None:
    """Two nodes, real processes, store 150 letters each and deliver to one drop with an index;
    the one that has the drop stops in the middle, and the other goes on: the index has each of the
    300 letters' two files once, and each node has delivered some."""
    (tmp_path / "drop").mkdir()
    with closing(Store(nodes.url)):
        pass
    command = [sys.executable, "-m", "tests.processes.csv_node", nodes.url, str(tmp_path)]
    with ThreadPoolExecutor() as pool:  # each is read at once, so that none waits to be
        both = [
            pool.submit(
                subprocess.run,
                [*command, node, str(_LETTERS), str(_LETTERS)],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                text=True,
                timeout=100,
                check=True,
            )
            for node in "ab"
        ]
        delivered = [int(each.result().stdout.splitlines()[-1]) for each in both]
    assert sum(delivered) == 2 * _LETTERS
    assert min(delivered) > 0
    with (tmp_path / "drop" / "index.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    assert len({row["delivery"] for row in rows}) == 2 * _LETTERS
    assert len(rows) == len({(row["delivery"], row["file"]) for row in rows}) == 4 * _LETTERS
