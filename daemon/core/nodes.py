"""Nodes: the machines that work with one store, and the duties that one of them has at a time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from sqlmodel import Field, SQLModel

from daemon.core.errors import NodeFenced

BEAT_EVERY = timedelta(seconds=1)
"""How often a node says that it is alive."""
LOOK_EVERY = timedelta(seconds=5)
"""How often it looks at the others."""
FRESH = timedelta(seconds=3)
"""A node that has had no answer for so long waits for one before it lets others see anything."""
LEASE = timedelta(seconds=18)
"""After so long it waits no more, and claims nothing."""
ENDED_AFTER = timedelta(seconds=4)
"""After so long others may take over its work if the server says that its connection has ended:
then it has died, or cannot reach the server and lets nobody see anything."""
SILENT_AFTER = timedelta(seconds=25)
"""After so long others may take over its work in any case."""
WATCHED_FOR = timedelta(seconds=10)
"""So long another node must itself have seen the silence: after an outage of the database all have
been silent, and need a moment.
"""
CONNECTED_FOR = timedelta(seconds=20)
"""So long a node must itself have had one connection before it believes that another one's has
ended: after a failover, trying hosts that are gone takes some time.
"""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class Duty(StrEnum):
    """What one node at a time does."""

    HOUSEKEEPING = "housekeeping"  # retention, the journal's heads, senders that fall silent
    RECONCILIATION = "reconciliation"
    ALERTS = "alerts"
    REMINDERS = "reminders"  # escalations, digests and warnings of deadlines, too
    CANARIES = "canaries"
    DISCOVERY = "discovery"  # organisations, resources, and what coverage lacks
    MARKS = "marks"
    LATE_FILES = "late-files"  # files that came without, and letters that are opened for them


class NodeRow(SQLModel, table=True):
    """A node: its newest start, and when the database last heard of it."""

    __tablename__ = "nodes"

    name: str = Field(primary_key=True)
    incarnation: str = Field(description="drawn at each start")
    host: str
    pid: int
    version: str
    lock: str = Field(description="what shows on the same machine that its process has ended")
    started_at: datetime
    seen_at: datetime
    stopped_at: datetime | None = Field(default=None, description="when it was stopped in order")
    fenced_at: datetime | None = Field(
        default=None, description="when others began to take over its work, because it was silent"
    )
    backend: int = Field(
        default=0, description="the server's process for its heartbeats; ends with the connection"
    )

    @property
    def member(self) -> Member:
        """Return the start that the row is about."""
        return Member(node=self.name, incarnation=self.incarnation)

    @property
    def takes_part(self) -> bool:
        """Whether what it has claimed is its own."""
        return self.stopped_at is None and self.fenced_at is None

    def silent(self, now: datetime) -> bool:
        """Whether it should be there and has not been heard of; `now` is the database's time."""
        return self.stopped_at is None and (
            self.fenced_at is not None or now - self.seen_at >= SILENT_AFTER
        )


class DutyRow(SQLModel, table=True):
    """Which node has a duty. It is free if that start of the node does not take part any more."""

    __tablename__ = "duties"

    name: str = Field(primary_key=True)
    node: str
    incarnation: str
    since: datetime


@dataclass(frozen=True, kw_only=True)
class Member:
    """One start of a node. Everything that it claims has its name."""

    node: str
    incarnation: str

    @property
    def owner(self) -> str:
        """Return the name in claims of the node's service; those of its workers begin with it."""
        return f"{self.node}/{self.incarnation}"


def fenced(node: str) -> NodeFenced:
    """Return the error for a node whose work others have taken over."""
    return NodeFenced(
        f"the node {node} was silent for too long, and others have taken over its work; it must be "
        "started again"
    )


def member_of(owner: str) -> Member:
    """Return the start of a node that has made a claim."""
    node, _, rest = owner.partition("/")
    return Member(node=node, incarnation=rest.partition("/")[0])


def is_node_name(text: str) -> bool:
    """Whether a node may be called so."""
    return _NAME.fullmatch(text) is not None


def node_name(host: str) -> str:
    """Return the name of a node on a machine of this name, if it has no other."""
    cleaned = re.sub(r"[^A-Za-z0-9._-]", "-", host).lstrip("._-")[:63]
    return cleaned or "node"


@dataclass(frozen=True, kw_only=True)
class NodeState:
    """A node as others see it."""

    node: NodeRow
    alive: bool
    claims: int
    parties: int
    duties: Sequence[str]


class KnowsNodes(Protocol):
    """What a node knows of itself and of others, without asking the database."""

    node: str
    takeovers: int

    def alive(self) -> int:
        """How many nodes are alive."""

    def age(self) -> float:
        """Seconds since the database answered."""

    def duties(self) -> list[str]:
        """The duties of this node."""

    def runs(self) -> bool:
        """Whether its lease runs."""
