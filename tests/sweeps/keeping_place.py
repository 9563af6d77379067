"""An installation that has worked for a while, to be copied for each strike of the sweep over
keeping; and how two of them compare.

Its letters are in every state in which retention must leave one alone, and the rest may go. There
is a backup from before the last changes, and beside the newer database the journal of a writer that
was killed, which only its own database may ever see.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from connectors.sandbox.samples import letters as sample_letters
from connectors.sandbox.sinks.webhook import Reply
from tests.journeys.conftest import Begin, Journey
from tests.processes.warm import Warm
from tests.sweeps import aftermath

Picture = dict[str, list[tuple[object, ...]]]
"""Every row of every table."""
LETTERS = 10
STATES = ("dead", "not taken", "rejected", "legal hold", "pending", "held")
_RETENTION = """
[retention]
body = "0d"
attachments = "0d"
metadata = "0d"
service = { "4255/8" = { metadata = "forever" } }
"""
_OLD = timedelta(days=3)


@dataclass(frozen=True, kw_only=True)
class Place:
    """The template: its folder, what its database says, and the ids of letters that retention must
    not touch, by their state."""

    folder: Path
    picture: Picture
    of_backup: Picture
    letters: set[str]
    protected: dict[str, str]

    @classmethod
    def build(cls, folder: Path, warm: Warm) -> Place:
        """Let an installation work, in that folder."""
        with Begin(folder, routing=aftermath.ROUTING) as journey:
            protected = _Letters(journey, warm).work()
            of_backup = picture(folder / "backup" / "postmottak.db")
        long_ago = (datetime.now(UTC) - _OLD).timestamp()
        for path in (folder / "content").glob("??/*"):
            os.utime(path, (long_ago, long_ago))
        found = picture(folder / "postmottak.db")
        letters = ids(folder / "postmottak.db", "messages", "id")
        _be_killed_while_writing(folder / "postmottak.db")
        return cls(
            folder=folder, picture=found, of_backup=of_backup, letters=letters, protected=protected
        )


class _Letters:
    """Brings letters into every state, by the commands that everybody has."""

    def __init__(self, journey: Journey, warm: Warm) -> None:
        self._journey, self._warm = journey, warm
        self._left: list[str] = []

    def work(self) -> dict[str, str]:
        configuration = self._journey.scene.configuration
        waits = configuration.read_text().replace(
            'path = "drop"\n', 'path = "drop"\nawait_pickup = "24h"\n'
        )
        configuration.write_text(waits + _RETENTION)
        self._journey.webhook.script(Reply(status=400))
        for letter in sample_letters(
            LETTERS, party=self._journey.scene.party, now=datetime.now(UTC)
        ):
            self._journey.altinn.publish(letter)
        self._run(3, "poll")
        found = {
            "dead": _ask(self._journey, "SELECT message_id FROM deliveries WHERE state = 'dead'")[0]
        }
        self._left = [
            key
            for key in _ask(self._journey, "SELECT id FROM messages ORDER BY external_id")
            if key != found["dead"]
        ]
        found |= {state: self._left.pop() for state in STATES if state not in found}
        self._take_all_but(found["not taken"], found["rejected"])
        self._run(3, "poll")
        self._run(0, "backup", "backup")
        self._run(0, "messages", "legal-hold", found["legal hold"])
        for state in ("pending", "held"):
            self._run(0, "deliveries", "resend", self._hook(found[state], 1), "--yes")
        self._run(0, "deliveries", "hold", self._hook(found["held"], 2))
        return found

    def _take_all_but(self, not_taken: str, rejected: str) -> None:
        """A consumer takes every drop, but for one that it leaves and one that it rejects."""
        drops = {
            json.loads((drop / "message.json").read_text())["id"].replace("-", ""): drop
            for drop in self._journey.whole_drops()
        }
        for key, drop in drops.items():
            if key not in {not_taken, rejected}:
                shutil.rmtree(drop)
        drops[rejected].with_name(f"{drops[rejected].name}.err").write_text("nei")

    def _hook(self, message: str, generation: int) -> str:
        where = (
            f"destination = 'webhook' AND message_id = '{message}' AND generation = {generation}"
        )
        return _ask(self._journey, f"SELECT id FROM deliveries WHERE {where}")[0]

    def _run(self, wanted: int, *arguments: str) -> None:
        ended = self._warm.run(self._journey.scene.configuration, *arguments)
        if ended.code != wanted:
            raise SystemExit(f"{' '.join(arguments)} ended with {ended.code}: {ended.errors}")


def _ask(journey: Journey, sql: str) -> list[str]:
    with closing(sqlite3.connect(journey.scene.folder / "postmottak.db")) as connection:
        return [str(row[0]) for row in connection.execute(sql)]


def _be_killed_while_writing(database: Path) -> None:
    """Leave what a process leaves that was killed in a transaction: pages of it in the database,
    and the journal to undo them."""
    half = database.with_name("half.db")
    shutil.copy(database, half)
    with closing(sqlite3.connect(half, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size=1")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE messages SET title = title || title, body = body || body")
        connection.execute("UPDATE deliveries SET state = 'dead'")
        for end in ("", "-journal"):
            shutil.copy(f"{half}{end}", f"{database}{end}")
        connection.execute("ROLLBACK")
    for left in database.parent.glob("half.db*"):
        left.unlink()


def picture(database: Path) -> Picture:
    """What a database says; what its journal undoes is undone."""
    with closing(sqlite3.connect(database)) as connection:
        tables = [
            name
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
            )
        ]
        return {
            name: sorted(connection.execute(f"SELECT * FROM {name}"), key=repr) for name in tables
        }


def ids(database: Path, table: str, column: str = "message_id") -> set[str]:
    """The letters that a table is about."""
    with closing(sqlite3.connect(database)) as connection:
        return {key for (key,) in connection.execute(f"SELECT {column} FROM {table}")}


def about(found: Picture, message: str) -> list[tuple[object, ...]]:
    """Every row that is about a letter."""
    keys = {message, *(row[0] for row in found["deliveries"] if message in row)}
    return [row for rows in found.values() for row in rows if keys & set(row)]


def bytes_kept(content: Path) -> set[str]:
    """The hashes of whole files in a content store; those of damaged ones are not among them."""
    return {
        path.name
        for path in content.glob("??/*")
        if hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    }


def needed(database: Path) -> set[str]:
    """The hashes that a database says are kept."""
    with closing(sqlite3.connect(database)) as connection:
        return {
            key
            for (key,) in connection.execute(
                "SELECT sha256 FROM attachments WHERE sha256 IS NOT NULL"
            )
        }
