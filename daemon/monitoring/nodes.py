"""Nodes that should be there and are not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from daemon.core.nodes import NodeState
from daemon.monitoring.node_waits import NodeWait
from daemon.monitoring.problem import Problem, moment
from daemon.monitoring.sending import NOTIFY_AFTER, SHORT_WHILE

SILENT = "node"
"""The kind of problem that a node is silent."""


def of_nodes(states: Sequence[NodeState]) -> Iterator[Problem]:
    """Yield the nodes that were not stopped, and of which nothing is heard."""
    for each in states:
        node = each.node
        if not each.alive and node.stopped_at is None:
            text = (
                f"The node {node.name} on {node.host} was last heard of at {moment(node.seen_at)}, "
                f"and others do its work; start it, or `postmottak nodes forget {node.name}`"
            )
            yield Problem(
                kind=SILENT, about=node.name, since=node.seen_at, text=text, critical=False
            )


def of_node_waits(waits: Iterable[NodeWait], now: datetime) -> Iterator[Problem]:
    """Yield the destinations whose deliveries wait for a node, however that one ended.

    One that is just being started again may be back in a moment.
    """
    for each in waits:
        if not each.deliveries:
            continue
        age = now - each.since if each.since else NOTIFY_AFTER
        yield Problem(
            kind="node-wait",
            about=each.destination,
            where=each.destination,
            count=each.deliveries,
            since=each.since,
            text=(
                f"{each.destination} {each.text}; start it, or name others in `nodes` of this "
                f"destination. Deliveries that wait: {each.deliveries}"
            ),
            critical=False,
            passing=age < SHORT_WHILE,
            notify=age >= NOTIFY_AFTER,
        )


def any_lives(states: Sequence[NodeState]) -> bool:
    """Whether a node of the store is at work."""
    return any(each.alive for each in states)
