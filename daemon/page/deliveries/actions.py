"""What can be done to deliveries on the page; the command line has the same verbs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from daemon.core.model import DeliveryState
from daemon.page.wording import N_
from daemon.store import Outbox
from daemon.store import outbox as states


@dataclass(frozen=True, kw_only=True)
class Action:
    """One thing that can be done."""

    name: str
    button: str
    event: str
    """The kind of the event that says that it was done."""
    states: tuple[DeliveryState, ...]
    """Of deliveries to which it can be done."""
    act: Callable[[Outbox, Sequence[UUID], datetime], object]
    wakes: bool = True
    """Whether there is something to deliver after it."""


_ALL = (
    Action(
        name="retry",
        button=N_("Try now"),
        event="deliveries-retried",
        states=states.RETRIED,
        act=lambda outbox, ids, now: outbox.retry(ids, now),
    ),
    Action(
        name="hold",
        button=N_("Hold back"),
        event="deliveries-held",
        states=states.HELD_BACK,
        act=lambda outbox, ids, _: outbox.hold(ids),
        wakes=False,
    ),
    Action(
        name="release",
        button=N_("Release"),
        event="deliveries-released",
        states=states.RELEASED,
        act=lambda outbox, ids, now: outbox.release(ids, now),
    ),
    Action(
        name="resend",
        button=N_("Send again"),
        event="deliveries-resent",
        states=states.RESENT,
        act=lambda outbox, ids, now: outbox.resend(ids, now),
    ),
)
ACTIONS: Mapping[str, Action] = {each.name: each for each in _ALL}


def possible(state: DeliveryState | None) -> Sequence[Action]:
    """Return what can be done to deliveries in this state, or to some in any."""
    return [each for each in _ALL if state is None or state in each.states]
