"""Which users may publish the routing table, read without opening the store."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from daemon.core.rights import ROLES, Right

_ROLES = tuple(role.value for role, rights in ROLES.items() if Right.PUBLISH in rights)
_WANTED = (
    "SELECT DISTINCT name FROM users JOIN grants ON grants.user = users.name "
    "WHERE disabled_at IS NULL AND role = ? ORDER BY name"
)


def publishers(database: Path) -> list[str] | None:
    """Return the names of the users who may publish; None if the database does not say.

    Changes nothing: it neither creates a database, nor brings an earlier one up to date.
    """
    try:
        with closing(sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True)) as opened:
            return sorted({name for role in _ROLES for (name,) in opened.execute(_WANTED, [role])})
    except sqlite3.Error:
        return None
