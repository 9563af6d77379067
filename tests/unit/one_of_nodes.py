"""What a node knows of itself and of others, for tests of what it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass
class OneOfNodes:
    """What a node is among others, of which it knows that they are alive."""

    node: str
    alive: Sequence[str]
    lease: bool = True

    @property
    def owner(self) -> str:
        """Its first start."""
        return f"{self.node}/1"

    def runs(self) -> bool:
        """Whether its lease runs."""
        return self.lease

    def living(self) -> Sequence[str]:
        """Those that are alive."""
        return self.alive

    def confirm(self) -> None:
        """It may deliver."""

    def has(self, _duty: str) -> bool:
        """It has every duty."""
        return True
