"""Measures reads of all waiting letters: they must not block others, nor need more memory.

A destination that is down for weeks, an edit of the table, Norwegian midnight, and a dry run over a
year: each reads every letter. Meanwhile another process commits repeatedly, as the service does,
and reports how long that took.
"""

from __future__ import annotations

import logging
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import event

from benchmarks.report import Figure
from daemon.core.model import (
    AttachmentValues,
    DecisionValues,
    DeliveryValues,
    MessageValues,
    PartState,
    ThreadValues,
    delivery_id,
)
from daemon.intake.rerouting import Rerouter, samples
from daemon.routing.dryrun import compare
from daemon.routing.table import Table, parse_table
from daemon.store import Store, StoredLetter
from daemon.store.snapshot import take_snapshot

_LETTERS = 100_000
_READ_AT_MOST = 0.1
_MORE_MEMORY_AT_MOST = 50.0
_NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
_TABLE = """\
[[recipient]]
name = "kari"
deliver_to = ["erp"]
[[recipient]]
name = "ola"
deliver_to = ["mail"]
[[route]]
name = "Skatt"
title_contains = ["skatt"]
to = ["kari"]
[[route]]
name = "Alt annet"
to = ["kari"]
"""
_COVER = '[[delegation]]\nfrom = "kari"\nto = "ola"\nstarts = 2026-11-24\nends = 2026-11-25\n'
_COMMITTER = """
import select, sys, time
from sqlalchemy import text
from daemon.store.busy import BusyWait
from daemon.store.database import Database
database = Database(f"sqlite:///{sys.argv[1]}", BusyWait(limit=600))
with database.write() as session:
    session.execute(text("CREATE TABLE IF NOT EXISTS beside (number)"))
print("ready", flush=True)
longest, count = 0.0, 0
while not select.select([sys.stdin], [], [], 0.005)[0]:
    began = time.perf_counter()
    with database.write() as session:
        session.execute(text("INSERT INTO beside VALUES (1)"))
    longest, count = max(longest, time.perf_counter() - began), count + 1
print(longest, count, flush=True)
"""
Do = Callable[[Store], object]


def waiting(folder: Path) -> Iterator[Figure]:
    """Measure each walk over all waiting letters, and over all stored ones."""
    # without a log line for each letter, which is not to be measured
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    path = filled(folder / "postmottak.db", _LETTERS)
    table, covered = _table(_TABLE), _table(_TABLE + _COVER)
    yield from _figures(
        "from start to the first delivery: covers followed",
        path,
        lambda store: _follow(store, table),
    )
    yield from _figures(
        "a dry run",
        path,
        lambda store: compare(
            table, covered, samples(store, _NOW - timedelta(days=365), follow_threads=False)
        ),
    )
    yield from _figures(
        "a cover begins for all of them", path, lambda store: _follow(store, covered)
    )

    yield from _figures(
        "a copy of the database, for a backup or a check", path, partial(_copy, path)
    )


def _copy(path: Path, _: Store) -> None:
    take_snapshot(path, path.with_name("copy.db"))


def _table(text: str) -> Table:
    return parse_table(text, "routing.toml", None)


def _follow(store: Store, table: Table) -> int:
    store.letters.note_table(table.version, table.text, _NOW)
    return Rerouter(store=store, table=lambda: table, clock=lambda: _NOW).follow_covers()


def _figures(what: str, path: Path, do: Do) -> Iterator[Figure]:
    store = Store(f"sqlite:///{path}")
    before = _peak()
    with _commits(path) as commits, _reads(store) as reads:
        began = time.perf_counter()
        do(store)
        seconds = time.perf_counter() - began
    store.close()
    what = f"{what}, {_LETTERS:,} letters"
    longest, (commit, count) = max(reads), commits
    yield Figure(what=f"{what}, seconds", measured=f"{seconds:.1f}")
    yield Figure(
        what=f"{what}: longest read, ms of the processor",
        measured=f"{1000 * longest:.0f}",
        wanted=f"at most {1000 * _READ_AT_MOST:.0f}",
        held=longest <= _READ_AT_MOST,
    )
    yield Figure(
        what=f"{what}: longest of {count:.0f} commits beside it, ms",
        measured=f"{1000 * commit:.0f}",
    )
    more = _peak() - before
    wanted = f"at most {_MORE_MEMORY_AT_MOST:.0f}"
    yield Figure(
        what=f"{what}: more memory, MB",
        measured=f"{more:.0f}",
        wanted=wanted,
        held=more <= _MORE_MEMORY_AT_MOST,
    )


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@contextmanager
def _commits(path: Path) -> Iterator[list[float]]:
    """Let another process commit until the block ends.

    After that, the list has the seconds of the longest commit, and how many there were.
    """
    found: list[float] = []
    command = [sys.executable, "-c", _COMMITTER, str(path)]
    with subprocess.Popen(  # noqa: S603  # our own program
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdout.readline()
        try:
            yield found
        finally:
            process.stdin.close()
            found += map(float, process.stdout.readline().split())


@contextmanager
def _reads(store: Store) -> Iterator[list[float]]:
    """Yield how long each reading transaction is open, in seconds of its thread's processor time.

    Time in which it waits for a commit does not count, because it blocks no other process.
    """
    # what is measured is inside
    engine, begun, lengths = store._database._engine.reader, {}, [0.0]  # noqa: SLF001

    def begins(connection: Any) -> None:
        if not connection.get_execution_options().get("immediate"):
            begun[id(connection)] = time.thread_time()

    def ends(connection: Any) -> None:
        if id(connection) in begun:
            lengths.append(time.thread_time() - begun.pop(id(connection)))

    event.listen(engine, "begin", begins)
    event.listen(engine, "rollback", ends)
    yield lengths
    event.remove(engine, "begin", begins)
    event.remove(engine, "rollback", ends)


def filled(path: Path, count: int) -> Path:
    """Make a store with `count` waiting letters. Returns its path."""
    fill(f"sqlite:///{path}", count)
    return path


def fill(url: str, count: int) -> None:
    """Make a store with `count` letters that wait for `erp`."""
    store = Store(url)
    table = _table(_TABLE)
    store.letters.note_table(table.version, table.text, _NOW)
    chance = random.Random(1)  # noqa: S311  # the same ids each time
    for start in range(0, count, 2000):
        store.letters.add(
            [
                _letter(chance, table.version, number)
                for number in range(start, min(start + 2000, count))
            ]
        )
    store.close()


def _letter(chance: random.Random, version: str, number: int) -> StoredLetter:
    key = UUID(int=chance.getrandbits(128))
    at = _NOW - timedelta(days=200) + timedelta(seconds=10 * number)
    delivery = DeliveryValues(
        id=delivery_id(key, "erp", 1),
        message_id=key,
        destination="erp",
        recipients=["kari"],
        created_at=at,
        due_at=at,
    )
    thread = ThreadValues(key=f"reference:991825827:974761076:2026/{number}", message_id=key)
    return StoredLetter(
        message=_message(key, number, at),
        attachments=[_attachment(chance, key, place) for place in (1, 2)],
        decision=_decision(key, version, at),
        deliveries=[delivery],
        marks=[],
        threads=[thread],
    )


def _message(key: UUID, number: int, at: datetime) -> MessageValues:
    return MessageValues(
        id=key,
        mailbox="altinn",
        external_id=str(key),
        party="991825827",
        service="4255/8",
        resource="skatt",
        title=f"Vedtak om skatt {number}",
        summary="Kort om vedtaket",
        body="Hei, her er vedtaket. " * 50,
        sender_org="974761076",
        sender_name="Skatteetaten",
        sender_reference=f"2026/{number}",
        published_at=at,
        fetched_at=at,
    )


def _attachment(chance: random.Random, key: UUID, place: int) -> AttachmentValues:
    return AttachmentValues(
        message_id=key,
        position=place,
        external_id=f"{key}/{place}",
        original_name=f"Vedtak {place}.pdf",
        safe_name=f"Vedtak {place}.pdf",
        media_type="application/pdf",
        state=PartState.PRESENT,
        size=1000,
        sha256=f"{chance.getrandbits(256):064x}",
    )


def _decision(key: UUID, version: str, at: datetime) -> DecisionValues:
    return DecisionValues(
        message_id=key,
        number=1,
        decided_at=at,
        routing_version=version,
        route="Skatt",
        chosen=["kari"],
        recipients=["kari"],
        direct=[],
        why={"conditions": ["title contains skatt"]},
    )
