"""Users who are disabled, and whom the routing table in force or a calendar still names."""

from __future__ import annotations

from collections.abc import Iterator

from daemon.monitoring.problem import Problem
from daemon.monitoring.recipients_in_force import recipients_in_force
from daemon.routing.holdings import people_of
from daemon.store import Store

KIND = "holder"


def of_holders(store: Store) -> Iterator[Problem]:
    """Yield a problem for each of them. Raises StoreError."""
    for name in store.handovers.holders(people_of(recipients_in_force(store))):
        yield Problem(
            kind=KIND,
            about=name,
            text=(
                f"The user {name} is disabled, and the routing table or a calendar still names "
                f"them; `postmottak recipients handover {name} TO` hands over what they hold"
            ),
            critical=False,
        )
