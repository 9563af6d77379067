"""The recipients of the routing table in force, as its text has them, for what is checked often."""

from __future__ import annotations

import tomllib
from functools import lru_cache

from daemon.routing.holdings import Rows
from daemon.store import Store


def recipients_in_force(store: Store) -> Rows:
    """Return the rows; none if there is no table, or it cannot be read. Raises StoreError."""
    active = store.queries.table_in_force()
    return _rows(active.text) if active else ()


@lru_cache(maxsize=2)  # the table is the same for months
def _rows(text: str) -> Rows:
    try:
        rows = tomllib.loads(text).get("recipient", [])
    except tomllib.TOMLDecodeError:
        return ()
    return [each for each in rows if isinstance(each, dict)] if isinstance(rows, list) else ()
