"""What takes longer than allowed, for problems and `status`."""

from __future__ import annotations

from datetime import datetime

from daemon.config.loader import Configuration
from daemon.core.model import Delivery
from daemon.store import Store


def is_long(configuration: Configuration, since: datetime | None, now: datetime) -> bool:
    """Whether it has lasted longer than a letter may wait, so that it is critical."""
    limit = max(configuration.alerts.undelivered_after, configuration.alerts.silent_after)
    return since is not None and now - since > limit


def not_taken(configuration: Configuration, store: Store, now: datetime) -> list[Delivery]:
    """Return deliveries neither picked up nor rejected in the time that their destination allows.

    The oldest comes first.
    """
    allowed = {
        each.name: limit
        for each in configuration.destinations
        if (limit := each.settings.pickup_limit)
    }
    waiting = store.outbox.awaiting_pickup(allowed) if allowed else iter(())
    return [
        each
        for each in waiting
        if each.delivered_at and now - each.delivered_at > allowed[each.destination]
    ]
