"""Limits attempts to log in, by account and by address: token buckets that outlive a restart."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlmodel import Session, col, delete

from daemon.core.accounts import LoginAttempts, known_as
from daemon.store.database import Database

_A_MINUTE = {"user": 5, "address": 20}
"""Attempts a minute, and at once after a pause, by what a key begins with."""
LONGEST_WAIT = timedelta(minutes=15)
_FULL_AFTER = LONGEST_WAIT + timedelta(minutes=2)
_ROUNDING = 1e-6
_LONGEST_KEY = 200


class Wait(NamedTuple):
    """An attempt was refused."""

    seconds: int
    """After which the next one is looked at."""
    is_first: bool
    """Whether it is the first one since an attempt was left; so that not each fills the log."""


class LoginThrottle:
    """Attempts that are left. May be used from several threads and processes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def wait(self, keys: Sequence[str], now: datetime) -> Wait | None:
        """Count an attempt. Call it before the password is looked at.

        Returns None if it may be made; otherwise how long to wait, whatever the password. Each
        attempt that is refused makes the wait longer, up to `LONGEST_WAIT`. Of the keys (see
        `login_keys`), only those that refuse count one that is refused, so that many attempts from
        one address do not shut out every account.
        """
        with self._database.write() as session:
            session.exec(delete(LoginAttempts).where(col(LoginAttempts.at) <= now - _FULL_AFTER))
            buckets = [_bucket(session, key[:_LONGEST_KEY], now) for key in keys]
            empty = [each for each in buckets if each.tokens < 1 - _ROUNDING]
            is_first = any(each.tokens >= 0 for each in empty)
            for each in empty or buckets:
                each.tokens = max(each.tokens - 1, _least(each.key))
            session.add_all(buckets)
            return Wait(max(map(_seconds, empty)), is_first) if empty else None


def login_keys(user: str, address: str) -> tuple[str, str]:
    """Return the keys of an attempt. An IPv6 address counts as its network of 64 bits.

    Whoever has one such address has the whole network: RFC 6177.
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:  # such as a Unix socket's
        place = address
    else:
        mapped = found.ipv4_mapped if found.version == 6 else None  # noqa: PLR2004  # IPv6
        place = str(mapped or found)
        if found.version == 6 and not mapped:  # noqa: PLR2004  # likewise
            place = str(ipaddress.ip_network((found.packed, 64), strict=False))
    return f"user:{known_as(user)}", f"address:{place}"


def _rate(key: str) -> float:
    """Return the attempts a second."""
    return _A_MINUTE[key.partition(":")[0]] / 60


def _bucket(session: Session, key: str, now: datetime) -> LoginAttempts:
    full = _A_MINUTE[key.partition(":")[0]]
    found = session.get(LoginAttempts, key) or LoginAttempts(key=key, tokens=full, at=now)
    passed = max((now - found.at).total_seconds(), 0)
    found.tokens, found.at = min(found.tokens + passed * _rate(key), full), now
    return found


def _least(key: str) -> float:
    return 1 - LONGEST_WAIT.total_seconds() * _rate(key)


def _seconds(bucket: LoginAttempts) -> int:
    return math.ceil((1 - bucket.tokens) / _rate(bucket.key) - _ROUNDING)
