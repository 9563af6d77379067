"""`[journal]`: where the head of the journal is published."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from daemon.config.faults import FaultList


class JournalSettings(BaseModel):
    """`[journal]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    publish_to: tuple[str, ...] = ()
    """The destinations that get the signed head each day."""


def check_publish_to(
    settings: JournalSettings | None, destinations: Any, faults: FaultList
) -> None:
    """Check that heads are published to configured destinations, by the file's value of them."""
    named = destinations if isinstance(destinations, dict) else {}
    for place, name in enumerate(settings.publish_to if settings else ()):
        if name not in named:
            faults.add(
                ("journal", "publish_to", place),
                f"{name!r} is not a configured destination",
                "Use the name of a [destination.NAME] section",
            )
