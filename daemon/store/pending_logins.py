"""Log-ins that were begun and lead over a provider, where any node may finish them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import col, delete, select

from daemon.core.accounts import PendingLogin
from daemon.store.database import Database
from daemon.store.login_tokens import new_token, token_id

VALID = timedelta(minutes=10)
_MOST = 1000


class PendingLoginRows:
    """Log-ins that have not come back, by their tokens."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, data: Mapping[str, Any], now: datetime) -> str:
        """Keep the data of a log-in for `VALID`, and return its token.

        If there are too many, the oldest ones are dropped.
        """
        token, oldest = new_token(), col(PendingLogin.ends_at).desc()
        newest = select(PendingLogin.id).order_by(oldest).limit(_MOST - 1)
        with self._database.write() as session:
            session.exec(
                delete(PendingLogin).where(
                    (col(PendingLogin.ends_at) <= now) | col(PendingLogin.id).not_in(newest)
                )
            )
            session.add(
                PendingLogin(id=token_id(token), ends_at=now + VALID, data=json.dumps(dict(data)))
            )
        return token

    def take(self, token: str, now: datetime) -> dict[str, Any] | None:
        """Return the data, once; None if there is none, or no longer."""
        with self._database.write() as session:
            found = session.get(PendingLogin, token_id(token))
            if found is None:
                return None
            session.delete(found)
            data: dict[str, Any] = json.loads(found.data)
            return data if now < found.ends_at else None
