"""What retention deletes is gone from the index too, words and all.

FTS5 only notes that a word is deleted, until the parts of its index are merged; and the file beside
the index keeps old pages until it is emptied.
"""

from __future__ import annotations

import sqlite3
import time

from daemon.page.search import meta

_PAGES = 200  # merged at a time: about 20 ms
_DUE, _BEGUN = "due", "begun"
_NO_MORE = 2  # changes that FTS5 makes when nothing is left to merge: fts5.html, 6.9


def must_forget(connection: sqlite3.Connection) -> None:
    """Note, in the caller's transaction, that words were deleted."""
    meta.put(connection, meta.FORGETTING, _DUE)


def forget(connection: sqlite3.Connection, ends: float | None) -> bool:
    """Remove the deleted words from the file, until `ends` by the monotonic clock.

    Returns whether nothing is left to do. A reader at this moment leaves it to the next call.
    """
    state = meta.get(connection, meta.FORGETTING)
    while state:
        if ends is not None and time.monotonic() > ends:
            return False
        more = _merged(connection, first=state == _DUE)
        state = _BEGUN
        if not more:
            break
    else:
        return True
    if connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
        return False
    meta.put(connection, meta.FORGETTING, "")
    return True


def _merged(connection: sqlite3.Connection, *, first: bool) -> bool:
    """Merge some pages, in a transaction; return whether there are more."""
    connection.execute("BEGIN IMMEDIATE")
    before = connection.total_changes
    # a negative number begins to merge all parts into one, as `optimize` does at once
    pages = -_PAGES if first else _PAGES
    connection.execute("INSERT INTO words (words, rank) VALUES ('merge', ?)", [pages])
    more = connection.total_changes - before >= _NO_MORE
    if first:
        connection.execute("DELETE FROM profile WHERE number NOT IN (SELECT profile FROM letter)")
        meta.renew(connection)
    meta.put(connection, meta.FORGETTING, _BEGUN)
    connection.execute("COMMIT")
    return more or first
