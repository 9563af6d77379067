"""What the parts of a service ask about the nodes of their store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from daemon.core.nodes import Duty


class NodeRole(Protocol):
    """What this process is among the nodes. May be used from any thread."""

    @property
    def node(self) -> str:
        """The name of the node; empty if the store has one process, and no nodes."""

    @property
    def owner(self) -> str:
        """The name of this process in claims; those of its workers begin with it."""

    def runs(self) -> bool:
        """Whether something may be claimed or begun."""

    def living(self) -> Sequence[str]:
        """The names of the nodes that are alive, with this one."""

    def confirm(self) -> None:
        """Raise TemporaryFailure if others may have taken over what this process delivers."""

    def has(self, duty: str) -> bool:
        """Whether this node does it, and no other. Raises StoreError."""


HasDuty = Callable[[Duty], bool]
"""Whether this node does something, and no other. Raises StoreError."""


def has_all(_duty: Duty) -> bool:
    """Return True: there are no other nodes."""
    return True


@dataclass(frozen=True)
class SoleProcess:
    """The one process that works with a store: it does everything, and its lock sees to that."""

    owner: str
    node: str = ""

    def runs(self) -> bool:
        """Return True."""
        return True

    def living(self) -> Sequence[str]:
        """Return this one."""
        return [self.node]

    def confirm(self) -> None:
        """Do nothing."""

    def has(self, _duty: str) -> bool:
        """Return True."""
        return True
