"""Senders' histories are read in walks, so that memory does not depend on how many there are."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from daemon.store import SenderHistories, Store, senders
from daemon.store.senders import SenderKey
from tests.unit.conftest import NOW, stored_letter

pytestmark = pytest.mark.both_databases

DAY = timedelta(days=1)


def fill(store: Store) -> dict[SenderKey, set[date]]:
    """Letters of eleven senders to three organisations, some of them confidential."""
    sent: dict[SenderKey, set[date]] = {}
    for number in range(66):
        party, sender = f"91000000{number % 3}", f"97476{number % 11:04}"
        secret = number % 5 == 0
        letter = stored_letter(
            f"letter-{number}",
            party=party,
            sender_org=sender,
            confidential=secret,
            published_at=NOW - number * DAY,
        )
        letter.message.fetched_at = NOW
        store.letters.add([letter])
        key = SenderKey("altinn", party, sender, secret)
        sent.setdefault(key, set()).add((NOW - number * DAY).date())
    return sent


def test_walks_find_what_one_walk_finds(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """However few are in memory, each sender is in one walk, with all of its days; none is left
    out, and never are there more than twice as many as wanted and one piece."""
    sent = fill(store)
    monkeypatch.setattr(senders, "ROWS", 7)
    for most in (1, 4, len(sent), 10 * len(sent)):
        found: dict[SenderKey, set[date]] = {}
        histories, walks = SenderHistories(most=most), 1
        while True:
            for _ in store.senders.read(histories, NOW - 700 * DAY):
                assert len(histories.by_sender) <= 2 * most + 7
            assert all(histories.has(each) for each in histories.by_sender)
            assert not histories.by_sender.keys() & found.keys()
            found |= {key: set(each.days()) for key, each in histories.by_sender.items()}
            if histories.until is None:
                break
            histories, walks = SenderHistories(after=histories.until, most=most), walks + 1
        assert found == sent
        assert walks > 1 or most >= len(sent)


def test_a_sender_of_a_later_walk_is_not_missing(store: Store) -> None:
    """What a walk has nothing of is not said to be in it, so no silence ends by being elsewhere."""
    sent = fill(store)
    first, last = min(sent), max(sent)
    histories = SenderHistories(most=1)
    for _ in store.senders.read(histories, NOW - 700 * DAY):
        pass
    assert histories.has(first)
    assert not histories.has(last)
    assert not SenderHistories(after=first).has(first)
