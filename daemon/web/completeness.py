"""Numbers of how complete the store is, by mailbox. Imported only when needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client import Metric

from daemon.core.completeness import PLACES, Account, ChannelState
from daemon.monitoring.completeness import Completeness
from daemon.web.exposition import Sample, family


def completeness_numbers(found: Completeness, mailboxes: Sequence[str]) -> Iterator[Metric]:
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
        for count in [found.channels_of.get(name, {}).get(state, 0)]
    ]
    yield family(
        "postmottak_completeness_channels",
        "gauge",
        "Channels of a mailbox, by what the last comparison says of them.",
        channels,
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
