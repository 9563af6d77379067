"""`[acknowledgements]`: how people are told of letters that wait for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

from daemon.config.faults import FaultList
from daemon.core.settings import DestinationSettings
from daemon.core.working_days import Term, WorkingTerm


class AcknowledgementSettings(BaseModel):
    """`[acknowledgements]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    send_by: str = ""
    """A destination of type smtp; empty for the first one."""
    language: Literal["nb", "nn", "en"] = "nb"
    """Of the mails."""
    deadline_warnings: tuple[WorkingTerm, ...] = (Term(working_days=5), Term(working_days=1))
    """How long before a deadline those are warned whose letter it is."""


def check_send_by(
    settings: AcknowledgementSettings | None,
    destinations: Mapping[str, DestinationSettings],
    faults: FaultList,
) -> None:
    """Check that mails to people go by a destination that can send them."""
    name = settings.send_by if settings else ""
    if name and not (name in destinations and destinations[name].can_notify_people):
        faults.add(
            ("acknowledgements", "send_by"),
            f"{name!r} is not a destination that can mail people",
            "Use the name of a destination of type smtp",
        )
