"""Organisations are called side by side, so that no worker waits for another's token."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from daemon.core.ports import Channel, Listing
from daemon.intake.listing import abreast
from daemon.intake.new_letter import MarkPolicies
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from tests.unit.conftest import TABLE, Clock, new_intake
from tests.unit.memory import MemoryMailbox

LATENCY, PARTIES, RESOURCES, WORKERS = 0.03, 40, 11, 8


def channels() -> list[Channel]:
    return [
        Channel(party=f"{party:09}", service="4255/8", resource=f"r{number}")
        for party in range(PARTIES)
        for number in range(RESOURCES)
    ]


class SlowMailbox(MemoryMailbox):
    """Takes a while for each list, and for a party's token, which the others wait for."""

    def __init__(self) -> None:
        super().__init__(boxes=channels())
        self._locks = {each.party: threading.Lock() for each in self.boxes}
        self._tokens: set[str] = set()
        self.begin_again()

    def begin_again(self) -> None:
        """Forget tokens and times."""
        self._tokens.clear()
        self.calls_made, self._begun, self._ended = 0, 0.0, 0.0

    @property
    def took(self) -> float:
        """Seconds from the first call's beginning to the last one's end."""
        return self._ended - self._begun

    def channels(self) -> Sequence[Channel]:
        return self.boxes

    @contextmanager
    def _token(self, party: str) -> Iterator[None]:
        with self._locks[party]:
            if party not in self._tokens:
                time.sleep(2 * LATENCY)  # Maskinporten, and the exchange
                self.calls_made += 2
                self._tokens.add(party)
        yield

    def list(self, channel: Channel, since: datetime | None) -> Listing:  # noqa: ARG002
        self._begun = self._begun or time.monotonic()
        with self._token(channel.party):
            time.sleep(LATENCY)
            self.calls_made += 1
        self._ended = time.monotonic()
        return Listing(refs=())


def test_channels_of_different_parties_come_side_by_side() -> None:
    """Each party's first channel comes before any party's second, and none is lost."""
    ordered = abreast(channels())
    assert [each.party for each in ordered[:PARTIES]] == [f"{each:09}" for each in range(PARTIES)]
    assert sorted(ordered, key=str) == sorted(channels(), key=str)
    assert abreast([]) == []


def test_a_round_is_as_fast_as_its_calls_allow(
    store: Store, content: ContentFolder, clock: Clock
) -> None:
    """With tokens included, a round takes at most a fifth longer than its calls need if all workers
    are always busy; in the order of parties, all workers would wait for each token."""
    mailbox = SlowMailbox()
    intake = new_intake(store, content, clock, lambda: TABLE, WORKERS)
    intake.poll(mailbox, MarkPolicies(), threading.Event())  # the store has the channels now
    mailbox.begin_again()
    intake.poll(mailbox, MarkPolicies(), threading.Event())
    assert mailbox.calls_made == PARTIES * (RESOURCES + 2)
    assert mailbox.took <= 1.2 * mailbox.calls_made * LATENCY / WORKERS
