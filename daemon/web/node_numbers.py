"""Numbers of the nodes of a store, as one of them knows them. There are none without nodes."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import Metric

from daemon.core.nodes import KnowsNodes
from daemon.web.exposition import family


def of_nodes(node: KnowsNodes, version: str) -> Iterator[Metric]:
    """Yield them."""
    info = {"node": node.node, "version": version}
    yield family("postmottak_node_info", "gauge", "This node.", [(info, 1.0)])
    alive = float(node.alive())
    yield family("postmottak_nodes_alive", "gauge", "Nodes that are alive.", [({}, alive)])
    yield family(
        "postmottak_node_heartbeat_age_seconds",
        "gauge",
        "Seconds since the database answered this node's heartbeat.",
        [({}, node.age())],
    )
    yield family(
        "postmottak_node_takeovers_total",
        "counter",
        "How often this process has taken over the work of a silent node.",
        [({}, float(node.takeovers))],
    )
    yield family(
        "postmottak_node_duty",
        "gauge",
        "What this node does, and no other.",
        [({"duty": name}, 1.0) for name in node.duties()],
    )
