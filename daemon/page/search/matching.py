"""The letters that have the words of a query, found once for all that is shown of them.

A common word is in nearly every letter, and to find those letters is most of a search. So the list,
its total and its facets share one table of their numbers. It is the connection's own and in memory,
and lives as long as the read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def matched(connection: sqlite3.Connection, words: str) -> Iterator[int | None]:
    """Fill the table `matched` until the block ends, and return how many letters are in it.

    None without words, which need no such table.
    """
    if not words:
        yield None
        return
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS matched (number INTEGER PRIMARY KEY)")
    yield connection.execute(
        "INSERT INTO matched SELECT rowid FROM words WHERE words MATCH ?", [words]
    ).rowcount
    connection.execute("DELETE FROM matched")  # a read that fails closes its connection
