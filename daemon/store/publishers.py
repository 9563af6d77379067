"""Which users may publish the routing table, read without opening the store."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from daemon.config.store import StoreSettings
from daemon.core.rights import ROLES, Right
from daemon.store.postgresql_server import asked

_ROLES = tuple(role.value for role, rights in ROLES.items() if Right.PUBLISH in rights)
_WANTED = (
    "SELECT DISTINCT name FROM users JOIN grants ON grants.user = users.name "
    "WHERE disabled_at IS NULL AND role = ? ORDER BY name"
)


def publishers(settings: StoreSettings) -> list[str] | None:
    """Return the names of the users who may publish; None if the database does not say.

    Changes nothing: it neither creates a database, nor brings an earlier one up to date.
    """
    found = _in_file(settings.beside) if settings.is_file else _on_server(settings)
    return None if found is None else sorted({name for (name,) in found})


def _in_file(database: Path) -> list[Any] | None:
    try:
        with closing(sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True)) as opened:
            return [row for role in _ROLES for row in opened.execute(_WANTED, [role])]
    except sqlite3.Error:
        return None


def _on_server(settings: StoreSettings) -> list[Any] | None:
    found: list[Any] = []
    for role in _ROLES:
        rows = asked(settings.database, settings.password, _WANTED, (role,))
        if rows is None:
            return None
        found += rows
    return found
