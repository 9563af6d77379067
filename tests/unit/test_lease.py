"""The lease of a node: what others see waits for a fresh answer of the database, not for ever."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from daemon.config.store import StoreSettings
from daemon.core.elapsed import elapsed
from daemon.core.errors import TemporaryFailure
from daemon.runtime.lease import Lease
from daemon.service.membership import new_lease

_LONG = 3600.0


def test_what_others_see_waits_for_a_fresh_answer() -> None:
    """While the last answer is old, nothing is let out; the next one lets it go on."""
    lease, confirmed = Lease(_LONG, fresh=_LONG / 2), threading.Event()
    lease.renew(elapsed() - _LONG / 2)
    assert lease.runs(), "it may still claim"

    def let_out() -> None:
        lease.confirm()
        confirmed.set()

    waiting = threading.Thread(target=let_out, daemon=True)
    waiting.start()
    assert not confirmed.wait(0.3)
    lease.renew(elapsed())
    assert confirmed.wait(20)
    waiting.join()


def test_the_wait_ends_with_the_lease() -> None:
    """Without an answer the wait ends when the lease does, or when the node is fenced off, and
    nothing was let out."""
    lease = Lease(_LONG, fresh=1)
    lease.renew(elapsed() - _LONG + 0.2)
    with pytest.raises(TemporaryFailure, match="another node may be"):
        lease.confirm()
    lease.renew(elapsed() - 2)
    fence = threading.Timer(0.2, lease.end)
    fence.start()
    with pytest.raises(TemporaryFailure):
        lease.confirm()
    fence.join()
    assert not lease.runs()


def test_one_service_with_a_file_waits_for_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without nodes nobody answers, and none is waited for, however long the service runs."""
    lease = new_lease(StoreSettings(database="sqlite:///letters.db", content=tmp_path))
    started = elapsed()
    monkeypatch.setattr(lease, "_clock", lambda: started + 365 * 24 * _LONG)
    lease.confirm()
    assert lease.runs()
