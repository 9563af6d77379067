"""`[canary]`: messages that are no letters, sent to see that letters come through."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from pydantic import BaseModel, ConfigDict

from daemon.config.faults import FaultList
from daemon.core.settings import Duration


class CanarySettings(BaseModel):
    """`[canary]`. Without the section none is sent by itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    every: Duration = timedelta(days=1)
    destinations: tuple[str, ...] = ()
    """Where to; empty for every destination whose receiver can tell it from a letter."""
    pickup_within: Duration = timedelta(hours=4)
    """How long a receiver may take to pick it up, where `await_pickup` is not shorter."""

    def wants(self, name: str) -> bool:
        """Whether this destination gets canaries."""
        return not self.destinations or name in self.destinations


def check_canary(
    settings: CanarySettings | None, named: object, able: Mapping[str, bool], faults: FaultList
) -> None:
    """Check that canaries go to destinations of the configuration that can be sent one.

    `able` says which can; one that is missing has faults of its own.
    """
    for place, name in enumerate(settings.destinations if settings else ()):
        if not isinstance(named, dict) or name not in named:
            faults.add(
                ("canary", "destinations", place),
                f"{name!r} is not a configured destination",
                "Use the name of a [destination.NAME] section",
            )
        elif not able.get(name, True):
            faults.add(
                ("canary", "destinations", place),
                f"{name!r} can be sent no canary: its receiver would take any call for a letter, "
                "or it has no fixed recipient",
                "Leave it out, or give it recipients if it is of type smtp",
            )
