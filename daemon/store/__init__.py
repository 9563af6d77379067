"""All SQL: letters in, the outbox, marks for the mailbox, rerouting, and views for people.

One class for each, all on one `Database`. Only this package and `dispatch` change a delivery's state.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from daemon.store.alerts import Alerts
from daemon.store.busy import Patience, do_nothing, waiting_at_most
from daemon.store.claims import Claim
from daemon.store.covers import WAITING, Cover, Covers, Queued
from daemon.store.database import Database
from daemon.store.decisions import Decided, Rerouting
from daemon.store.letters import Letters, StoredLetter
from daemon.store.marks import Marks
from daemon.store.outbox import Outbox
from daemon.store.queries import Views
from daemon.store.results import Ending
from daemon.store.retention import RetentionRows
from daemon.store.stamps import Stamps

__all__ = [
    "WAITING",
    "Alerts",
    "Claim",
    "Cover",
    "Covers",
    "Database",
    "Decided",
    "Ending",
    "Letters",
    "Marks",
    "Outbox",
    "Patience",
    "Queued",
    "Rerouting",
    "Stamps",
    "Store",
    "StoredLetter",
    "Views",
    "waiting_at_most",
]


class Store:
    """The database, by what it is asked for. May be used from several threads."""

    def __init__(self, url: str, patience: Patience | None = None) -> None:
        """Open the database; one that is busy is waited for with `patience`. Raises StoreError."""
        self._database = Database(url, patience)
        self.letters = Letters(self._database)
        self.outbox = Outbox(self._database)
        self.marks = Marks(self._database)
        self.covers = Covers(self._database)
        self.rerouting = Rerouting(self._database)
        self.retention = RetentionRows(self._database)
        self.views = Views(self._database)
        self.alerts = Alerts(self._database)
        self.stamps = Stamps(self._database)

    def wait_until(self, stopping: threading.Event, on_wait: Callable[[float, float], None] = do_nothing) -> None:
        """From now on wait for a busy database as long as it takes; StoreBusy is raised only a little after `stopping` is set.

        `on_wait` is what `Patience` says.
        """
        patience = self._database.patience
        patience.limit, patience.stopping, patience.on_wait = None, stopping, on_wait

    def close(self) -> None:
        """Let go of all connections. May be called twice."""
        self._database.close()
