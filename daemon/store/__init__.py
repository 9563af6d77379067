"""All SQL: letters in, the outbox, marks for the mailbox, rerouting, and views for people.

One class for each, all on one `Database`. Only this package and `dispatch` change a delivery's state.
"""

from __future__ import annotations

from daemon.store.alerts import Alerts
from daemon.store.claims import Claim
from daemon.store.endings import Ending
from daemon.store.engine import Database
from daemon.store.letters import Letters, StoredLetter
from daemon.store.marks import Marks
from daemon.store.outbox import Outbox
from daemon.store.rerouting import WAITING, Decided, Rerouting
from daemon.store.retention import RetentionRows
from daemon.store.stamps import Stamps
from daemon.store.views import Views

__all__ = [
    "WAITING",
    "Alerts",
    "Claim",
    "Database",
    "Decided",
    "Ending",
    "Letters",
    "Marks",
    "Outbox",
    "Rerouting",
    "Stamps",
    "Store",
    "StoredLetter",
    "Views",
]


class Store:
    """The database, by what it is asked for. May be used from several threads."""

    def __init__(self, url: str) -> None:
        """Open the database. Raises StoreError."""
        self._database = Database(url)
        self.letters = Letters(self._database)
        self.outbox = Outbox(self._database)
        self.marks = Marks(self._database)
        self.rerouting = Rerouting(self._database)
        self.retention = RetentionRows(self._database)
        self.views = Views(self._database)
        self.alerts = Alerts(self._database)
        self.stamps = Stamps(self._database)

    def close(self) -> None:
        """Let go of all connections. May be called twice."""
        self._database.close()
