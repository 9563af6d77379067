"""What takes longer than allowed: channels, letters and pickups, for problems and `status`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from daemon.config.loader import Configuration
from daemon.core.bookkeeping import Bookmark, SkippedLetter
from daemon.core.model import Delivery, SightingState
from daemon.store import Store


def unread(
    configuration: Configuration, bookmarks: Sequence[Bookmark], now: datetime
) -> list[Bookmark]:
    """Return channels without a complete listing for longer than `silent_after`, longest first."""
    names, limit = (
        {each.name for each in configuration.mailboxes},
        configuration.alerts.silent_after,
    )
    late = [
        each
        for each in bookmarks
        if each.mailbox in names and each.failing_since and now - each.failing_since > limit
    ]
    return sorted(late, key=lambda each: each.failing_since or now)


def unfetched(
    configuration: Configuration, store: Store, bookmarks: Sequence[Bookmark], now: datetime
) -> list[SkippedLetter]:
    """Return letters that could not be fetched for longer than `silent_after`, longest first."""
    names, limit = (
        {each.name for each in configuration.mailboxes},
        configuration.alerts.silent_after,
    )
    retired = {(each.mailbox, each.party, each.resource) for each in bookmarks if each.retired_at}
    failing = [
        each
        for each in store.queries.sightings(SightingState.FAILING)
        if each.mailbox in names and each.failing_since
    ]
    late = [each for each in failing if each.failing_since and now - each.failing_since > limit]
    wanted = [each for each in late if (each.mailbox, each.party, each.resource) not in retired]
    return sorted(wanted, key=lambda each: each.failing_since or now)


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
