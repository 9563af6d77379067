"""Nodes that should be there and are not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from daemon.core.nodes import NodeState
from daemon.monitoring.problem import Problem, moment

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


def any_lives(states: Sequence[NodeState]) -> bool:
    """Whether a node of the store is at work."""
    return any(each.alive for each in states)
