"""Letters a second on PostgreSQL beside SQLite: claiming and recording, and the whole service.

The server is a private one on the same machine and disk, with its usual settings, fsync included.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.fast_runs import Run, service_run
from benchmarks.other_side import made_up_contents
from benchmarks.report import Figure
from benchmarks.static_altinn import nginx, static_altinn
from benchmarks.turns import private_server
from benchmarks.waiting import fill
from tests.processes.postgresql import NoPostgresqlError, PostgresqlServer

_ROUNDS = 3
_DELIVERIES = {1: 400, 16: 3200}
"""How many are claimed at a time, and how many wait."""
_LETTERS, _SIZE = 1000, 100_000
_ONE_NODE, _TWO_NODES = 0.7, 1.6


def databases(folder: Path) -> Iterator[Figure]:
    """Measure both, by turns."""
    try:
        with private_server() as server:
            for at_a_time, waiting in _DELIVERIES.items():
                yield from _claims(server, folder, at_a_time, waiting)
            yield from _services(server, folder)
    except NoPostgresqlError as error:
        yield Figure(what="letters a second on PostgreSQL", measured=f"not measured: {error}")


def _claims(
    server: PostgresqlServer, folder: Path, at_a_time: int, waiting: int
) -> Iterator[Figure]:
    rates: dict[str, list[float]] = {"SQLite": [], "one node": [], "two nodes": []}
    for number in range(_ROUNDS):
        name = f"claims-{at_a_time}-{number}"
        rates["SQLite"].append(_rate(f"sqlite:///{folder}/{name}.db", "a", at_a_time, waiting))
        for nodes, owners in (("one node", "a"), ("two nodes", "ab")):
            database = f"claims_{at_a_time}_{number}_{len(owners)}"
            server.run(f"CREATE DATABASE {database}")
            rates[nodes].append(_rate(server.url(database), owners, at_a_time, waiting))
    sqlite, one, two = (median(rates[each]) for each in ("SQLite", "one node", "two nodes"))
    what = f"claimed and recorded a second, {at_a_time} at a time, PostgreSQL"
    yield Figure(
        what=what,
        measured=f"{one:,.0f}",
        beside=f"{sqlite:,.0f}: SQLite",
        ratio=one / sqlite,
        wanted=f"at least {_ONE_NODE}",
        held=one / sqlite >= _ONE_NODE,
    )
    yield Figure(
        what=f"{what}, by two nodes",
        measured=f"{two:,.0f}",
        beside=f"{one:,.0f}: by one",
        ratio=two / one,
        wanted=f"at least {_TWO_NODES} where cores allow",
        held=two / one >= _TWO_NODES,
    )


def _rate(url: str, owners: str, at_a_time: int, waiting: int) -> float:
    fill(url, waiting)
    nodes = [
        subprocess.Popen(  # noqa: S603  # our own command
            [sys.executable, "-m", "benchmarks.claiming", url, owner, str(at_a_time)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for owner in owners
    ]
    for node in nodes:
        assert node.stdout
        assert node.stdout.readline() == "ready\n"
    os.sync()
    for node in nodes:
        assert node.stdin
        node.stdin.write("\n")
        node.stdin.flush()
    ended = [node.communicate()[0].split() for node in nodes]
    assert sum(int(done) for done, _, _ in ended) == waiting
    began, last = min(float(each[1]) for each in ended), max(float(each[2]) for each in ended)
    return waiting / (last - began)


def _services(server: PostgresqlServer, folder: Path) -> Iterator[Figure]:
    if not nginx():
        yield Figure(what="the service on PostgreSQL", measured="not measured: nginx is missing")
        return
    contents = list(made_up_contents(_LETTERS, _SIZE))
    wanted = Counter(hashlib.sha256(each).hexdigest() for each in contents)
    runs: dict[str, list[Run]] = {"SQLite": [], "PostgreSQL": []}
    with static_altinn(folder / "altinn", contents) as altinn:
        for number in range(_ROUNDS):
            on_server = partial(_on, server, f"service_{number}")
            for name, change in (("SQLite", str), ("PostgreSQL", on_server)):
                os.sync()
                box = folder / f"{name}-{number}"
                runs[name].append(service_run(altinn, wanted, box, change))
    sqlite, postgresql = (median(_LETTERS / each.seconds for each in runs[name]) for name in runs)
    yield Figure(
        what=f"letters a second, {_SIZE // 1000} kB each, the service on PostgreSQL; "
        f"{median(each.processor for each in runs['PostgreSQL']) / _LETTERS * 1000:.1f} ms of "
        "processor time a letter, without the server's",
        measured=f"{postgresql:.0f}",
        beside=f"{sqlite:.0f}: on SQLite",
        ratio=postgresql / sqlite,
        wanted=f"at least {_ONE_NODE}",
        held=postgresql / sqlite >= _ONE_NODE,
    )


def _on(server: PostgresqlServer, database: str, configuration: str) -> str:
    """Return the configuration with a new database of the server."""
    server.run(f"CREATE DATABASE {database}")
    lines = configuration.splitlines()
    (place,) = [number for number, line in enumerate(lines) if line.startswith("database = ")]
    own_files = lines[place].removeprefix('database = "sqlite:///').rpartition("/")[0]
    lines[place] = f'database = "{server.url(database)}"\nown_files = "{own_files}"'
    return "\n".join(lines) + "\n"
