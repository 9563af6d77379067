"""What the index knows of itself: how far it has read the store, and what is left to do."""

from __future__ import annotations

import secrets
import sqlite3

FORGETTING = "forgetting"
"""Whether deleted words are still in the file."""
BUILT = "built"
"""Whether every letter of the store was read once."""
ARRIVAL = "arrival"
"""The last letter by its time of arrival."""
RENEWED = "renewed"
"""Changes whenever the number of a profile may stand for another one, or for none."""


def get(connection: sqlite3.Connection, name: str) -> str:
    """Return what is noted, or an empty text."""
    row = connection.execute("SELECT value FROM meta WHERE name = ?", [name]).fetchone()
    return str(row[0]) if row else ""


def put(connection: sqlite3.Connection, name: str, value: str) -> None:
    """Note something; what is noted already costs no write."""
    if get(connection, name) != value:
        connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", [name, value])


def renew(connection: sqlite3.Connection) -> None:
    """Note that profiles were removed."""
    put(connection, RENEWED, secrets.token_hex(8))
