"""Lists of several organisations share the threads."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import pytest

from daemon.core.bookkeeping import Bookmark
from daemon.core.errors import StoreError
from daemon.core.ports import Channel
from daemon.intake import listing_waves
from daemon.intake.listing import ListedChannel
from daemon.intake.listing_waves import listed_in_waves
from tests.unit.conftest import NOW, TAX

THREADS = 8
HOSTILE, OTHER = "910000001", "910000002"


def _channels(party: str, number: int = 11) -> list[Channel]:
    return [replace(TAX, party=party, resource=f"dpv-{place}") for place in range(number)]


def _bookmark(channel: Channel) -> Bookmark:
    return Bookmark(
        mailbox="altinn", party=channel.party, resource=channel.resource, service=channel.service
    )


def _listed(channel: Channel, bookmark: Bookmark) -> ListedChannel:
    return ListedChannel(channel=channel, bookmark=bookmark, at=NOW)


def test_lists_without_end_leave_threads_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """While no list of one organisation ends, all of another are listed."""
    monkeypatch.setattr(listing_waves, "_TOGETHER", 0.05)
    rows = zip(_channels(HOSTILE), _channels(OTHER), strict=True)
    channels = [(each, _bookmark(each)) for row in rows for each in row]
    go_on = threading.Event()

    def list_one(channel: Channel, bookmark: Bookmark) -> ListedChannel:
        if channel.party == HOSTILE:
            go_on.wait(30)
        return _listed(channel, bookmark)

    found: list[Channel] = []
    with ThreadPoolExecutor(THREADS) as pool:
        for wave in listed_in_waves(pool, list_one, channels, THREADS):
            found += [each.channel for each in wave]
            if {*_channels(OTHER)} <= {*found}:
                go_on.set()
        assert go_on.is_set()
    assert sorted(found, key=str) == sorted((each for each, _ in channels), key=str)


def test_one_organisation_has_all_threads() -> None:
    """Where there is nobody else, as many lists are made at a time as there are threads."""
    together = threading.Barrier(THREADS, timeout=30)

    def list_one(channel: Channel, bookmark: Bookmark) -> ListedChannel:
        together.wait()
        return _listed(channel, bookmark)

    channels = [(each, _bookmark(each)) for each in _channels(OTHER, THREADS)]
    with ThreadPoolExecutor(THREADS) as pool:
        (wave,) = listed_in_waves(pool, list_one, channels, THREADS)
    assert [each.channel for each in wave] == [each for each, _ in channels]


def test_a_failure_ends_the_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that fails for a fault of ours is raised where the results are taken, and those that
    wait are not begun."""
    monkeypatch.setattr(listing_waves, "_TOGETHER", 0.05)
    begun: list[Channel] = []
    go_on = threading.Event()

    def list_one(channel: Channel, _: Bookmark) -> ListedChannel:
        begun.append(channel)
        if len(begun) > 1:
            go_on.wait(30)
        raise StoreError("the disk has failed")

    channels = [(each, _bookmark(each)) for each in _channels(OTHER)]
    with ThreadPoolExecutor(1) as pool:
        waves = listed_in_waves(pool, list_one, channels, 1)
        with pytest.raises(StoreError), closing(waves):
            next(waves)
        go_on.set()
    assert len(begun) <= 2
