"""Measures polls and starts with many letters stored: neither may become slower over the years.

Run as `python -m benchmarks.stored CONFIGURATION`, it polls several times and prints the median in
seconds.
"""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.other_side import other_side
from benchmarks.report import Figure
from benchmarks.service import COMMAND, READY, fresh, running
from daemon.runtime import logs
from daemon.service import app, stack

_SIZES = (1_000, 100_000, 1_000_000)
_LISTED = 100
_POLLS, _ROUNDS = 10, 3
_GROWTH_AT_MOST = 1.2
_STARTS = 5
_HELP_AT_MOST, _READY_AT_MOST = 0.5, 5.0
_MIDDLE = 100_000


def stored(folder: Path) -> Iterator[Figure]:
    """Measure polls that list a hundred letters, all of them stored; then measure starts."""
    with other_side(folder / "scene", letters=_LISTED, size=1_000) as scene:
        places = {size: _filled(scene, folder / str(size), size) for size in _SIZES}
        seconds: dict[int, list[float]] = {size: [] for size in _SIZES}
        for _ in range(_ROUNDS):
            for size, configuration in places.items():
                seconds[size].append(_poll_seconds(configuration))
        first = median(seconds[_SIZES[0]])
        for size in _SIZES[1:]:
            ratio = median(seconds[size]) / first
            yield Figure(
                what=f"a poll with nothing new, {size:,} letters stored, ms",
                measured=f"{1000 * median(seconds[size]):.0f}",
                beside=f"{1000 * first:.0f}: with {_SIZES[0]:,}",
                ratio=ratio,
                wanted=f"at most {_GROWTH_AT_MOST}" if size == _SIZES[-1] else "",
                held=ratio <= _GROWTH_AT_MOST if size == _SIZES[-1] else None,
            )
        yield from _starts(places[_MIDDLE])


def _starts(configuration: Path) -> Iterator[Figure]:
    shortest = median(_command_seconds("--help") for _ in range(_STARTS))
    yield Figure(
        what="`--help`, seconds",
        measured=f"{shortest:.2f}",
        wanted=f"under {_HELP_AT_MOST}",
        held=shortest < _HELP_AT_MOST,
    )
    check = median(
        _command_seconds("-c", str(configuration), "check", "--offline") for _ in range(_STARTS)
    )
    yield Figure(what="`check --offline`, seconds", measured=f"{check:.2f}")
    ready = median(_ready_seconds(configuration) for _ in range(_STARTS))
    what = f"from start to ready with {_MIDDLE:,} letters stored, seconds"
    yield Figure(
        what=what,
        measured=f"{ready:.2f}",
        wanted=f"within {_READY_AT_MOST:g}",
        held=ready <= _READY_AT_MOST,
    )


def _command_seconds(*arguments: str) -> float:
    began = time.perf_counter()
    subprocess.run(  # noqa: S603  # our own command
        [*COMMAND, *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return time.perf_counter() - began


def _ready_seconds(configuration: Path) -> float:
    began = time.perf_counter()
    with running(configuration) as service:
        service.wait_for_log(READY)
        return time.perf_counter() - began


def _poll_seconds(configuration: Path) -> float:
    command = [sys.executable, "-m", "benchmarks.stored", str(configuration)]
    # our own module
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)  # noqa: S603


def _filled(scene: Path, folder: Path, size: int) -> Path:
    """Make an installation with `size` letters stored. Returns the path of its configuration.

    The service fetches the listed letters; the others are copies of one of them.
    """
    configuration = fresh(scene, folder)
    with running(configuration) as service:
        service.wait_for_lines("delivery attempted", _LISTED)
        service.wait_for_log("event='polled'")
    with closing(sqlite3.connect(folder / "lib" / "postmottak.db")) as database:
        for pragma in ("synchronous=OFF", "journal_mode=OFF", "cache_size=-1000000"):
            database.execute(f"PRAGMA {pragma}")
        _copy(database, size - _LISTED)
        database.commit()
    return configuration


def _copy(database: sqlite3.Connection, count: int) -> None:
    message, delivery = database.execute("SELECT message_id, id FROM deliveries LIMIT 1").fetchone()
    chance = random.Random(1)  # noqa: S311  # the same ids each time
    ids = [
        (f"{chance.getrandbits(128):032x}", f"{chance.getrandbits(128):032x}") for _ in range(count)
    ]
    for table, key in (
        ("messages", "id"),
        *((name, "message_id") for name in ("attachments", "decisions", "threads", "deliveries")),
    ):
        _copy_rows(database, table, key, message, ids)
    _copy_rows(
        database, "attempts", "delivery_id", delivery, [(second, first) for first, second in ids]
    )


def _copy_rows(
    database: sqlite3.Connection, table: str, key: str, value: str, ids: list[tuple[str, str]]
) -> None:
    # our own names
    cursor = database.execute(f"SELECT * FROM {table} WHERE {key} = ?", [value])  # noqa: S608
    names = [column[0] for column in cursor.description]
    for row in cursor.fetchall():
        template = dict(zip(names, row, strict=True))
        rows = (_changed(template, table, key, first, second) for first, second in ids)
        places = ", ".join("?" * len(names))
        # our own names
        database.executemany(f"INSERT INTO {table} VALUES ({places})", rows)  # noqa: S608


def _changed(template: dict[str, Any], table: str, key: str, first: str, second: str) -> list[Any]:
    row = {**template, key: first}
    if table == "messages":
        row["external_id"] = first
    elif table in {"deliveries", "attempts"}:
        row["id"] = second if table == "deliveries" else None
    return list(row.values())


def _main(configuration: Path) -> None:
    logs.configure()
    never, seconds = threading.Event(), []
    with app.open_app(stack.load(configuration)) as parts:
        for _ in range(_POLLS + 1):  # the first one fetches the token
            began = time.perf_counter()
            parts.poll(never)
            seconds.append(time.perf_counter() - began)
    print(median(seconds[1:]))  # its result


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
