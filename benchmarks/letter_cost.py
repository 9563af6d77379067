"""What a letter takes of PostgreSQL, of the service and of the disk: a real service, and counts.

The server writes a page of a table whole after each checkpoint. So the same letters take more of
its log when they come a few at a time than when they come at once: both are measured.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.other_side import letters_of
from benchmarks.processes import cpu_seconds
from benchmarks.report import Figure
from benchmarks.turns import private_server
from tests.journeys.conftest import Begin, Journey
from tests.processes.node_crew import ROUTING, Crew, NodeProcess
from tests.processes.postgresql import PostgresqlServer

LETTERS_A_YEAR = 10_000_000
_BATCH, _BATCHES = 100, 10
_BODY, _ATTACHMENT = 2_000, 100_000
_MAILBOX = 'bell = "off"\npoll_every = "2s"\nmark_read = "delivered"\n'
_PATIENCE, _LOOK = 300.0, 1.0  # seconds; each look is work for the server
_HOURS = 3600.0
_WAYS = (
    ("all within one checkpoint", _BATCH * _BATCHES, 1),
    ("a checkpoint for each 100", _BATCH, _BATCHES),
)


@dataclass(frozen=True, kw_only=True)
class _Use:
    """What had been used at a moment, or was used for a letter."""

    wal: float
    size: float
    content: float
    server: float
    service: float
    calls: float

    def for_each(self, before: _Use, letters: int) -> _Use:
        """Return the difference by letter."""
        own, earlier = vars(self), vars(before)
        return _Use(**{name: (own[name] - earlier[name]) / letters for name in own})


@dataclass
class _Installation:
    """A node on a server of its own, with a simulated Altinn."""

    server: PostgresqlServer
    journey: Journey
    crew: Crew
    node: NodeProcess
    published: int = 0

    def receive(self, count: int) -> None:
        """Publish letters, and wait until all of them are delivered and marked."""
        contents = (os.urandom(_ATTACHMENT) for _ in range(count))
        for number, letter in enumerate(
            letters_of(contents, self.journey.scene.party, datetime.now(UTC)), self.published
        ):
            title = f"Vedtak i sak 2026/{number}"
            self.journey.altinn.publish(replace(letter, title=title, body="a" * _BODY))
        self.published += count
        ends = time.monotonic() + _PATIENCE
        while not self._is_done():
            if time.monotonic() > ends:
                raise RuntimeError(self.node.tail())
            time.sleep(_LOOK)

    def _is_done(self) -> bool:
        done = self.crew.ask(
            "SELECT (SELECT count(*) FROM deliveries WHERE state = 'delivered'), "
            "(SELECT count(*) FROM marks WHERE state = 'done')"
        )
        return done == [(2 * self.published, self.published)]

    def used(self) -> _Use:
        """Return what was used so far."""
        assert self.node.process
        ((wal, size),) = self.crew.ask(
            "SELECT pg_current_wal_insert_lsn() - '0/0', pg_database_size(current_database())"
        )
        return _Use(
            wal=float(wal),
            size=float(size),
            content=_on_disk(self.journey.scene.folder / "content"),
            server=cpu_seconds(self.server.pid),
            service=cpu_seconds(self.node.process.pid),
            calls=float(self.journey.altinn.count()),
        )


def letter_cost(folder: Path) -> Iterator[Figure]:
    """Measure it, and multiply it."""
    for number, (way, batch, batches) in enumerate(_WAYS):
        place = folder / f"letters-{number}"
        place.mkdir()
        used = _measured(place, batch, batches)
        what = f"a letter of {_BODY:,} and {_ATTACHMENT:,} bytes, 2 deliveries, {way}: "
        yield _of_bytes(f"{what}log of the server (WAL)", used.wal)
        if number == 0:
            continue
        yield _of_bytes(f"{what}database", used.size)
        yield _of_bytes(f"{what}content", used.content)
        yield _of_time(f"{what}processor time of the server", used.server)
        yield _of_time(f"{what}processor time of the service", used.service)
        yield Figure(
            what=f"{what}calls to Altinn",
            measured=f"{used.calls:.1f}",
            beside="counted, with the polls of the time it took",
        )


def _measured(folder: Path, batch: int, batches: int) -> _Use:
    with ExitStack() as ends:
        server = ends.enter_context(private_server())
        server.run("CREATE DATABASE letters")
        journey = ends.enter_context(Begin(folder, routing=ROUTING))
        url = server.url("letters")
        crew = ends.enter_context(closing(Crew(journey.scene.folder, url, _MAILBOX)))
        node = crew.node("a")
        node.start()
        installation = _Installation(server, journey, crew, node)
        installation.receive(_BATCH)  # with it comes what is made once
        before = installation.used()
        for _ in range(batches):
            server.run("CHECKPOINT")
            installation.receive(batch)
        return installation.used().for_each(before, batch * batches)


def _on_disk(folder: Path) -> float:
    """Return the bytes that the files in a folder take of the disk."""
    files = (Path(place, name) for place, _, names in os.walk(folder) for name in names)
    return float(sum(512 * each.stat().st_blocks for each in files))


def _of_bytes(what: str, used: float) -> Figure:
    year = used * LETTERS_A_YEAR
    return Figure(
        what=what,
        measured=f"{used / 1000:.1f} kB",
        beside=f"{year / 1e9:,.0f} GB for 10 million",
    )


def _of_time(what: str, used: float) -> Figure:
    year = used * LETTERS_A_YEAR / _HOURS
    return Figure(
        what=what, measured=f"{1000 * used:.1f} ms", beside=f"{year:,.0f} hours for 10 million"
    )
