"""What the settings of the mailboxes of Altinn have in common."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit

from connectors.network import is_loopback
from daemon.settings import duration


def some_time(length: timedelta) -> timedelta:
    """A length of time that is more than none. Raises ValueError."""
    if not length:
        raise ValueError('is no time at all; write for example "5m"')
    return length


def all_or_duration(value: object) -> timedelta | None:
    """A length of time, or None for `"all"`. Raises ValueError."""
    return None if value is None or value == "all" else duration(value)


def without_repeats(values: tuple[str, ...]) -> tuple[str, ...]:
    """At least one, and none twice. Raises ValueError."""
    if not values:
        raise ValueError("is empty; name at least one")
    repeated = next((each for each in values if values.count(each) > 1), None)
    if repeated:
        raise ValueError(f"names {repeated!r} twice; strike one of them out")
    return values


def is_safe(url: str) -> bool:
    """Whether secrets may be sent there: encrypted, or within this machine. A password in it would show in errors."""
    parts = urlsplit(url)
    if "@" in parts.netloc:
        return False
    if parts.scheme == "https":
        return bool(parts.hostname)
    return parts.scheme == "http" and is_loopback(parts.hostname or "")
