"""Pauses that servers ask for, for all nodes: told when one is heard, and looked at with turns."""

from __future__ import annotations

import threading
from datetime import datetime

import structlog

from daemon.core.errors import PostmottakError
from daemon.core.pacing import PAUSES
from daemon.store import Store

_log = structlog.get_logger(__name__)


def tell_pauses(store: Store) -> None:
    """From now on let other processes know what this one hears, if others share the store."""
    if store.is_shared:
        PAUSES.tell = _Teller(store)


def hear_pauses(store: Store, now: datetime) -> None:
    """Take what others have heard; one statement. Raises StoreError."""
    for each in store.polls.pauses(now):
        PAUSES.heard(each.host, each.client, (each.closed_until - now).total_seconds())


class _Teller:
    """Writes in a thread of its own: whoever hears of a pause is in the middle of a call."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __call__(self, host: str, client: str, seconds: float) -> None:
        writing = threading.Thread(
            target=self._write, args=(host, client, seconds), name="pause", daemon=True
        )
        writing.start()

    def _write(self, host: str, client: str, seconds: float) -> None:
        try:
            self._store.polls.pause(host, client, seconds)
        except PostmottakError as error:
            _log.warning("other nodes do not know of a pause", host=host, reason=str(error))
