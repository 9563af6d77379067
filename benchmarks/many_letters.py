"""Makes an installation with as many delivered letters as wanted, faster than a service could.

One letter is stored as usual, and its rows are copied by SQL, with ids, hashes and times of their
own. Run as `python -m benchmarks.many_letters FOLDER COUNT`, it makes one to look at.
"""

from __future__ import annotations

import hashlib
import random
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.waiting import filled
from daemon.store.content import PREFIXES

_SPAN = timedelta(days=2 * 365)
_AT_A_TIME = 50_000
_FILES = 100_000
_FAST = ("synchronous=OFF", "journal_mode=OFF", "cache_size=-1500000")
_KEYS = {
    "messages": "id",
    "attachments": "message_id",
    "decisions": "message_id",
    "threads": "message_id",
    "deliveries": "message_id",
    "awaited": "message_id",
}
_TIMES = ("published_at", "fetched_at", "decided_at", "created_at", "due_at", "delivered_at")
_CONFIGURATION = """\
[store]
database = "sqlite:///lib/postmottak.db"
content = "lib/content"
[routing]
file = "routing.toml"
[mailbox.altinn]
type = "folder"
path = "in"
party = "991825827"
[destination.erp]
type = "filedrop"
path = "drop"
[destination.mail]
type = "filedrop"
path = "drop2"
[retention]
body = "365d"
attachments = "365d"
"""


def installation(folder: Path, count: int) -> Path:
    """Make an installation with `count` letters, each with two attachments, of the last two years.

    The files of attachments are of a few bytes, and at most `_FILES`. Returns the path of the
    configuration.
    """
    for name in ("lib/content", "in", "drop", "drop2"):
        (folder / name).mkdir(parents=True)
    path = filled(folder / "lib" / "postmottak.db", 1)
    with fast_database(path) as database:
        database.execute("UPDATE deliveries SET state = 'delivered', delivered_at = due_at")
        (table,) = database.execute("SELECT text FROM routing_versions").fetchone()
        copy_letter(database, count, _files(folder / "lib" / "content", min(2 * count, _FILES)))
    (folder / "routing.toml").write_text(table, encoding="utf-8")
    configuration = folder / "postmottak.toml"
    configuration.write_text(_CONFIGURATION, encoding="utf-8")
    return configuration


@contextmanager
def fast_database(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database without any safety."""
    with closing(sqlite3.connect(path)) as database:
        for pragma in _FAST:
            database.execute(f"PRAGMA {pragma}")
        yield database


def copy_letter(database: sqlite3.Connection, count: int, hashes: list[str]) -> None:
    """Replace the only letter by so many copies of the last two years, with files of `hashes`."""
    (template,) = database.execute("SELECT id FROM messages").fetchone()
    rows = {name: _rows(database, name, key, template) for name, key in _KEYS.items()}
    for name, key in _KEYS.items():
        database.execute(f"DELETE FROM {name} WHERE {key} = ?", [template])  # noqa: S608  # ours
    chance = random.Random(1)  # noqa: S311  # the same ids each time
    now = datetime.now(UTC).replace(tzinfo=None)
    for start in range(0, count, _AT_A_TIME):
        numbers = range(start, min(start + _AT_A_TIME, count))
        letters = [
            (f"{chance.getrandbits(128):032x}", now - _SPAN * (1 - number / count))
            for number in numbers
        ]
        for name in _KEYS:
            _insert(database, name, rows[name], letters, hashes)
        database.commit()


def _rows(database: sqlite3.Connection, table: str, key: str, value: str) -> list[dict[str, Any]]:
    cursor = database.execute(f"SELECT * FROM {table} WHERE {key} = ?", [value])  # noqa: S608
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _insert(
    database: sqlite3.Connection,
    table: str,
    rows: list[dict[str, Any]],
    letters: list[tuple[str, datetime]],
    hashes: list[str],
) -> None:
    for row in rows:
        made = (_changed(row, table, key, at, hashes) for key, at in letters)
        places = ", ".join("?" * len(row))
        # our own names
        database.executemany(f"INSERT INTO {table} VALUES ({places})", made)  # noqa: S608


def _changed(
    template: dict[str, Any], table: str, key: str, at: datetime, hashes: list[str]
) -> list[Any]:
    time = at.isoformat(" ", "microseconds")
    times = {name: time for name in _TIMES if template.get(name)}
    row = {**template, **times, _KEYS[table]: key}
    if table == "messages":
        row["external_id"] = key
    elif table == "deliveries":
        row["id"] = f"{int(key, 16) ^ 1:032x}"
    elif table == "threads":
        row["key"] = f"reference:991825827:974761076:{key}"
    elif table == "attachments":
        row["sha256"] = hashes[(int(key, 16) + int(row["position"])) % len(hashes)]
    return list(row.values())


def _files(content: Path, count: int) -> list[str]:
    """Make so many files with different bytes. Returns their hashes."""
    for prefix in PREFIXES:
        (content / prefix).mkdir(mode=0o700, exist_ok=True)
    hashes = []
    for number in range(count):
        data = f"attachment {number}".encode()
        hashes.append(hashlib.sha256(data).hexdigest())
        (content / hashes[-1][:2] / hashes[-1]).write_bytes(data)
    return hashes


if __name__ == "__main__":
    print(installation(Path(sys.argv[1]), int(sys.argv[2])))
