"""The tables of search.db.

Letters that are alike in all that lists are filtered by share a profile. So a choice, a right and a
count are decided once for a profile, of which there are few, and not for each letter.
"""

from __future__ import annotations

import sqlite3

VERSION = 3
"""Of the tables and of what is in them. A file of another version is made again."""
NOWHERE, OPEN, BY_DEFAULT, ENDED = range(4)
"""The places of `letter.desk`."""
_TABLES = ("meta", "profile", "letter", "open_delivery", "words")
_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE profile (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  party TEXT NOT NULL,
  service TEXT NOT NULL,
  sender_org TEXT NOT NULL,
  sender_name TEXT NOT NULL,
  route TEXT NOT NULL,
  recipients TEXT NOT NULL,
  direct TEXT NOT NULL,
  states TEXT NOT NULL,
  UNIQUE (party, service, sender_org, sender_name, route, recipients, direct, states)
);
CREATE TABLE letter (
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  profile INTEGER NOT NULL,
  fetched_at INTEGER NOT NULL,
  published_at INTEGER NOT NULL,
  due_at INTEGER,
  due_source TEXT NOT NULL,
  desk INTEGER NOT NULL,
  desk_at INTEGER,
  acknowledged INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  changed_at INTEGER NOT NULL,
  day INTEGER NOT NULL,
  published_day INTEGER NOT NULL,
  confirmation_needed INTEGER NOT NULL,
  title TEXT NOT NULL,
  folded_title TEXT NOT NULL,
  deliveries TEXT NOT NULL
);
CREATE INDEX letter_by_arrival ON letter (fetched_at, number, profile);
CREATE INDEX letter_by_profile ON letter (profile, fetched_at);
CREATE INDEX letter_by_day ON letter (day, profile);
CREATE INDEX letter_by_published_day ON letter (published_day, profile);
CREATE INDEX letter_by_due ON letter (due_at, number, profile) WHERE due_at IS NOT NULL;
CREATE INDEX letter_by_desk ON letter (desk, desk_at, number, profile) WHERE desk > 0;
CREATE INDEX letter_by_end ON letter (changed_at, number, profile) WHERE desk = 3;
CREATE TABLE open_delivery (
  number INTEGER PRIMARY KEY, letter TEXT NOT NULL, state TEXT NOT NULL
);
CREATE INDEX open_by_letter ON open_delivery (letter);
CREATE VIRTUAL TABLE words USING fts5 (
  text, tokenize = 'trigram case_sensitive 1', columnsize = 0
);
"""
"""Times are microseconds since 1970; `letter.number` is the number of the row in the store.

`due_at` is the deadline that holds, and `desk_at` the one that the desk and calendars show, also
after a person said that nothing is due. `desk` is 1 for an open deadline, 2 for one that the
sending system wrote by itself, 3 for one that is over, 0 for none (`desk_place`). `revision` grows
with each change of it.
"""


def is_current(connection: sqlite3.Connection) -> bool:
    """Whether the tables are those of this version."""
    return bool(connection.execute("PRAGMA user_version").fetchone()[0] == VERSION)


def make(connection: sqlite3.Connection) -> None:
    """Make the tables, empty, in the transaction that the caller has begun."""
    found = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    for name in _TABLES:
        if (name,) in found:
            connection.execute(f"DROP TABLE {name}")
    for statement in _SCHEMA.split(";\n"):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")
