"""Users who are disabled, and whom the routing table in force or a calendar still names."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from daemon.monitoring.problem import Problem
from daemon.routing.holdings import people_of
from daemon.store import Store

KIND = "holder"


def of_holders(store: Store) -> Iterator[Problem]:
    """Yield a problem for each of them. Raises StoreError."""
    active = store.queries.table_in_force()
    people = _people(active.text) if active else frozenset()
    for name in store.handovers.holders(people):
        yield Problem(
            kind=KIND,
            about=name,
            text=(
                f"The user {name} is disabled, and the routing table or a calendar still names "
                f"them; `postmottak recipients handover {name} TO` hands over what they hold"
            ),
            critical=False,
        )


@lru_cache(maxsize=2)  # the table is the same for months
def _people(text: str) -> frozenset[str]:
    """Return the people whom a table names; nobody, if it cannot be read."""
    try:
        rows: Any = tomllib.loads(text).get("recipient", [])
        return people_of(rows)
    except (tomllib.TOMLDecodeError, AttributeError, TypeError):
        return frozenset()
