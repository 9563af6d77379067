"""What only a store that several nodes share can have."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from daemon.config.faults import FaultList
from daemon.config.store import StoreSettings


def check_nodes(
    store: StoreSettings | None, nodes: Mapping[str, Collection[str]], faults: FaultList
) -> None:
    """Check that no destination waits for a node where there are none.

    `nodes` has those of each destination.
    """
    for name in (name for name, some in nodes.items() if some and store and store.is_file):
        problem = "is for a store on PostgreSQL, which several nodes share"
        faults.add(("destination", name, "nodes"), problem, "Remove it")
