"""When the client certificates and keys of the configuration expire."""

from __future__ import annotations

from datetime import datetime, time
from pathlib import Path
from typing import Any

from daemon.config.loader import Configuration
from daemon.core.times import NORWAY


def keys(configuration: Configuration) -> dict[str, datetime]:
    """Return the end of each mailbox key's last day, by mailbox, if the configuration has it."""
    days = {each.name: each.settings.key_ends for each in configuration.mailboxes}
    return {name: datetime.combine(day, time.max, NORWAY) for name, day in days.items() if day}


def certificates(configuration: Configuration) -> dict[str, datetime]:
    """Return when the client certificates expire, by destination."""
    paths = {each.name: each.settings.client_certificate for each in configuration.destinations}
    return {name: ends for name, path in paths.items() if path and (ends := _ends_at(path))}


def expiries(configuration: Configuration) -> list[dict[str, Any]]:
    """Return when client certificates and keys expire, earliest first."""
    found = [
        *(
            {"what": "certificate", "of": name, "ends_at": ends}
            for name, ends in certificates(configuration).items()
        ),
        *(
            {"what": "key", "of": name, "ends_at": ends}
            for name, ends in keys(configuration).items()
        ),
    ]
    return sorted(found, key=lambda each: each["ends_at"])


def _ends_at(path: Path) -> datetime | None:
    """Return when a certificate expires; None if it cannot be read, which the check reports."""
    from cryptography import x509  # takes 40 milliseconds, and most have no certificate

    try:
        return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    except (OSError, ValueError):
        return None
