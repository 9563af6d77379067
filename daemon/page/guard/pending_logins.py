"""Log-ins that were begun and lead over an OpenID Connect provider; kept in memory.

Where nodes share the store, any of them may finish a log-in, so they are kept there instead.

A browser has a random token. What must come back unchanged, such as state and nonce, never leaves
this process, and can be used once.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from daemon.store.login_tokens import new_token
from daemon.store.pending_logins import VALID

__all__ = ["VALID", "PendingLogins"]
_MOST = 1000  # of each, some hundred bytes are kept


class PendingLogins:
    """Log-ins that have not come back, by their tokens. May be used from several threads."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[datetime, Mapping[str, Any]]] = {}
        self._one = threading.Lock()

    def keep(self, data: Mapping[str, Any], now: datetime) -> str:
        """Keep the data of a log-in for `VALID`, and return its token.

        If there are too many, the oldest one is dropped.
        """
        token = new_token()
        with self._one:
            while len(self._found) >= _MOST:
                del self._found[next(iter(self._found))]
            self._found[token] = now + VALID, data
        return token

    def take(self, token: str, now: datetime) -> dict[str, Any] | None:
        """Return the data, once; None if there is none, or no longer."""
        with self._one:
            ends, data = self._found.pop(token, (now, {}))
        return dict(data) if now < ends else None
