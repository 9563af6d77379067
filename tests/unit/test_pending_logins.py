"""Log-ins over a provider that begin on one node and come back to another."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta

import pytest

from daemon.store import Store
from daemon.store.pending_logins import VALID
from tests.unit.conftest import NOW

pytestmark = pytest.mark.both_databases


def test_any_node_finishes_a_log_in_once(store: Store, database_url: str) -> None:
    """What one node has begun another one takes, once; a token that was not given out has none."""
    data = {"page": {"state": "s", "nonce": "å"}, "next": "/"}
    token = store.pending_logins.keep(data, NOW)
    with closing(Store(database_url)) as other:
        assert other.pending_logins.take("x" * 43, NOW) is None
        assert other.pending_logins.take(token, NOW) == data
    assert store.pending_logins.take(token, NOW) is None


def test_a_log_in_ends(store: Store) -> None:
    """What did not come back in time does not count, and is removed when the next one begins."""
    token = store.pending_logins.keep({"next": "/"}, NOW)
    late = NOW + VALID
    store.pending_logins.keep({"next": "/"}, late - timedelta(seconds=1))
    assert store.pending_logins.take(token, late) is None


def test_there_is_a_limit(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever begins log-ins without end pushes out the oldest ones, and fills nothing."""
    monkeypatch.setattr("daemon.store.pending_logins._MOST", 3)
    moments = [NOW + timedelta(seconds=number) for number in range(5)]
    tokens = [store.pending_logins.keep({"next": "/"}, moment) for moment in moments]
    found = [store.pending_logins.take(token, moments[-1]) for token in tokens]
    assert [each is not None for each in found] == [False, False, True, True, True]
