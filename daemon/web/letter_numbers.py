"""Numbers of all letters: how complete they are, and how long they take.

Imported only when needed, like `exposition`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime

from prometheus_client import Metric

from daemon.config.loader import Configuration
from daemon.core.completeness import PLACES, Account, ChannelState
from daemon.monitoring.completeness import Completeness, completeness
from daemon.monitoring.passages import BOUNDS, PassageTimes
from daemon.store import Store
from daemon.web.exposition import Sample, family, histogram_family


def of_all_letters(
    configuration: Configuration, store: Store, now: datetime, passages: PassageTimes
) -> Iterator[Metric]:
    """Yield the numbers of everything that is read. Raises StoreError."""
    mailboxes = [each.name for each in configuration.mailboxes]
    yield from _completeness(completeness(configuration, store, now), mailboxes)
    yield _passages(passages)


def _passages(found: PassageTimes) -> Metric:
    """Return the histogram over the letters of the last 30 days, so its counts may fall."""
    return histogram_family(
        "postmottak_letter_step_seconds",
        "From one step of a letter to the next, over the letters of the last 30 days.",
        BOUNDS,
        ["step", "service", "destination"],
        {key: each.distribution(BOUNDS, found.every) for key, each in found.by_key.items()},
    )


def _completeness(found: Completeness, mailboxes: Sequence[str]) -> Iterator[Metric]:
    """Yield where the letters of each mailbox are, and how many of its channels say so."""
    accounts = {name: found.by_mailbox.get(name, Account()).numbers() for name in mailboxes}
    letters = [
        ({"mailbox": name, "place": place}, float(numbers[place]))
        for name, numbers in accounts.items()
        for place in PLACES
    ]
    yield family(
        "postmottak_completeness_letters",
        "gauge",
        "Letters that the source has, by where they are, as of the last comparison.",
        letters,
    )
    channels: list[Sample] = [
        ({"mailbox": name, "state": state.value}, float(count))
        for name in mailboxes
        for state in ChannelState
        for count in [found.channels_of.get(name, Counter())[state]]
    ]
    yield family(
        "postmottak_completeness_channels",
        "gauge",
        "Channels of a mailbox, by what the last comparison says of them.",
        channels,
    )
    yield family(
        "postmottak_completeness_organisations_never_asked",
        "gauge",
        "Organisations of a mailbox of which nothing was ever listed or compared.",
        [({"mailbox": name}, float(len(found.never_asked_of.get(name, ())))) for name in mailboxes],
    )
    checked: list[Sample] = [
        ({"mailbox": name}, at.timestamp())
        for name, at in found.checked_of.items()
        if name in mailboxes
    ]
    yield family(
        "postmottak_completeness_checked_timestamp_seconds",
        "gauge",
        "When the channel was compared whose comparison is longest ago.",
        checked,
    )
