"""Several nodes on one store, for tests: each is a Store of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import datetime, timedelta

import psycopg
import pytest

from daemon.core.nodes import Member, NodeRow
from daemon.store import Store
from tests.processes.postgresql import PostgresqlServer
from tests.unit.conftest import NOW


def node(name: str, incarnation: str, lock: str = "") -> NodeRow:
    """A node's start, as it joins."""
    return NodeRow(
        name=name,
        incarnation=incarnation,
        host=f"host-{name}",
        pid=1,
        version="1",
        lock=lock,
        started_at=NOW,
        seen_at=NOW,
    )


def never(_node: NodeRow, _now: datetime) -> bool:
    """Nothing shows that it has ended."""
    return False


class Nodes:
    """Stores on one database, each of a node."""

    def __init__(self, url: str) -> None:
        self.url, self._ends = url, ExitStack()

    def start(self, name: str, incarnation: str = "1") -> Store:
        """A node that has joined, or has taken the place of one that ended."""
        store = Store(self.url)
        self._ends.callback(store.close)
        assert store.nodes.join(node(name, incarnation), lambda *_: True) is None
        store.write_as(Member(node=name, incarnation=incarnation))
        return store

    def silence(self, name: str, by: timedelta) -> None:
        """Nothing was heard of a node for so long."""
        with psycopg.connect(self.url.replace("+psycopg", "")) as connection:
            earlier = "UPDATE nodes SET seen_at = seen_at - %s WHERE name = %s"
            connection.execute(earlier, (by, name))

    def close(self) -> None:
        """Close all."""
        self._ends.close()


@pytest.fixture(name="nodes")
def new_nodes(postgresql: PostgresqlServer, template: str) -> Iterator[Nodes]:
    """No node yet, on a database of PostgreSQL of this test's own."""
    with postgresql.like(template) as url, closing(Nodes(url)) as nodes:
        yield nodes
