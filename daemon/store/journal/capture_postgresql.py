"""Takes what triggers of PostgreSQL have noted in a transaction (`daemon/store/postgresql_schema`).

The same notes as `capture` has on SQLite.
"""

from __future__ import annotations

import json
from typing import Any

from daemon.store.journal.bindings import BINDINGS
from daemon.store.journal.capture import Note

_TAKE = (
    "DELETE FROM journal_notes WHERE transaction = txid_current() "
    "RETURNING number, binding, what, row_number, removed"
)


def taken(connection: Any) -> list[Note]:
    """Return what the transaction has changed so far, and forget it. Raises SQLAlchemyError.

    The triggers may be those of a later version, which binds more: what this one does not know, it
    cannot write.
    """
    return [
        (binding, what, row, *(json.loads(removed) if removed else ()))
        for _, binding, what, row, removed in sorted(connection.exec_driver_sql(_TAKE).all())
        if binding < len(BINDINGS)
    ]
