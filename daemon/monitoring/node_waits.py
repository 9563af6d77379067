"""Deliveries that wait for a node: their destination is reached from its machine only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from daemon.config.loader import Configuration
from daemon.core.model import DeliveryState
from daemon.core.nodes import NodeState
from daemon.monitoring.problem import moment
from daemon.store import Store

_WAITS = (DeliveryState.PENDING, DeliveryState.CLAIMED)


@dataclass(frozen=True, kw_only=True)
class NodeWait:
    """What waits for the nodes of a destination, none of which is at work."""

    destination: str
    deliveries: int
    nodes: Sequence[str]
    since: datetime | None
    """When one of them was last heard of; None if none ever was."""
    text: str
    """What is waited for, such as "waits for the node a, silent since ..."."""


def node_waits(
    configuration: Configuration, store: Store, states: Sequence[NodeState]
) -> Mapping[str, NodeWait]:
    """Return what waits, by destination. Raises StoreError."""
    wanted = {each.name: each.settings.nodes for each in configuration.destinations}
    if not store.is_shared or not any(wanted.values()):
        return {}
    waiting = Counter[str]()
    for (destination, state), count in store.queries.queues().items():
        waiting[destination] += count if state in _WAITS else 0
    return {
        each.destination: each
        for name, nodes in wanted.items()
        if nodes
        for each in _wait(name, nodes, waiting[name], states)
    }


def _wait(
    destination: str, nodes: Sequence[str], deliveries: int, states: Sequence[NodeState]
) -> Iterator[NodeWait]:
    known = {each.node.name: each for each in states if each.node.name in nodes}
    if any(each.alive for each in known.values()):
        return
    seen = max((each.node.seen_at for each in known.values()), default=None)
    names = f"the node {nodes[0]}" if len(nodes) == 1 else f"one of the nodes {', '.join(nodes)}"
    stopped = known and all(each.node.stopped_at for each in known.values())
    since = f"{'stopped' if stopped else 'silent'} since {moment(seen)}" if seen else "never seen"
    yield NodeWait(
        destination=destination,
        deliveries=deliveries,
        nodes=list(nodes),
        since=seen,
        text=f"waits for {names}, {since}",
    )
