"""How nodes share 3,000 organisations: when each is polled as one of them dies, and what it costs.

The first figure is a simulation: time is simulated, turns are real, on a private PostgreSQL. The
second is a real service with the share of one of three nodes, of which the server logs every
statement.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

import psycopg

from benchmarks.bell import numbers
from benchmarks.report import Figure
from benchmarks.service import COMMAND
from benchmarks.simulated_nodes import BEGIN, LISTS, Simulation
from connectors.sandbox.altinn3.server import FakeAltinn
from daemon.core.turns import place_of
from tests.processes.postgresql import NoPostgresqlError, PostgresqlServer

_PARTIES, _EVERY = 3000, timedelta(minutes=5)
_AT_MOST, _STATEMENTS = 1.2, 20.0
_MEASURED = 40.0  # seconds
_SETTLED = 200  # calls after which the start is over


def turns(folder: Path) -> Iterator[Figure]:
    """Measure both."""
    del folder  # the server's user cannot enter it
    try:
        with private_server("fsync=off", "log_statement=all") as server:
            yield from _gaps(server)
            yield from idle_load(server)
    except NoPostgresqlError as error:
        yield Figure(what="organisations shared by nodes", measured=f"not measured: {error}")


@contextmanager
def private_server(*options: str) -> Iterator[PostgresqlServer]:
    """Run a server until the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="postmottak-bench-pg-"))
    server = PostgresqlServer(folder, *options)
    server.start()
    try:
        yield server
    finally:
        os.kill(server.pid, signal.SIGQUIT)
        time.sleep(0.5)
        shutil.rmtree(folder, ignore_errors=True)


def _gaps(server: PostgresqlServer) -> Iterator[Figure]:
    server.run("CREATE DATABASE simulated")
    simulation = Simulation(
        nodes="abc",
        first={each: BEGIN + place_of(each, _EVERY) for each in numbers(_PARTIES)},
        shortest=_EVERY,
        interval=lambda _party, _now: _EVERY,
        dies=BEGIN + 1.5 * _EVERY,
        ends=BEGIN + 3 * _EVERY,
    )
    polled = simulation.run(server.url("simulated"))
    ends = simulation.ends
    every = [
        (after - before) / _EVERY
        for times in polled.values()
        for before, after in zip([BEGIN, *times], [*times, ends], strict=True)
        if after < ends or ends - before > _EVERY
    ]
    worst = max(every)
    yield Figure(
        what=f"{_PARTIES} organisations, 3 nodes, one dies: longest time between two polls",
        measured=f"{worst:.2f} x the interval",
        beside=f"median {sorted(every)[len(every) // 2]:.2f}; {len(polled)} organisations "
        f"polled; simulated, {LISTS} lists of 100 ms each",
        wanted=f"at most {_AT_MOST} x",
        held=worst <= _AT_MOST and len(polled) == _PARTIES,
    )


def idle_load(server: PostgresqlServer) -> Iterator[Figure]:
    """Run a service with a third of the organisations, and count what the server does.

    The server must log all statements.
    """
    server.run("CREATE DATABASE loaded")
    parties = numbers(_PARTIES // 3)
    with ExitStack() as ends:
        place = Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="postmottak-bench-")))
        altinn = ends.enter_context(FakeAltinn())
        _configure(place, server.url("loaded"), altinn, parties)
        log = ends.enter_context((place / "log").open("wb"))
        service = subprocess.Popen(  # noqa: S603  # our own program
            [*COMMAND, "-c", str(place / "postmottak.toml"), "run"], stderr=log, stdout=log
        )
        ends.callback(service.wait)
        ends.callback(service.kill)
        _wait_for_calls(altinn, service, place / "log")
        server.run("CHECKPOINT")  # what comes first after it is the most that is written
        calls, before, began = altinn.count(), _statements(server), time.monotonic()
        logged = _logged(server)
        time.sleep(_MEASURED)
        rate = (_statements(server) - before) / (time.monotonic() - began)
        written = (_logged(server) - logged) / (time.monotonic() - began)
        lists = (altinn.count() - calls) / _MEASURED
    yield Figure(
        what=f"statements of a node with {len(parties)} organisations, polled every 5 minutes",
        measured=f"{rate:.1f} a second",
        beside=f"{lists:.0f} calls a second to Altinn, none of which brings a letter",
        wanted=f"under {_STATEMENTS:.0f}",
        held=rate < _STATEMENTS,
    )
    yield Figure(
        what=f"log of the server (WAL) for that node, as {_MEASURED:.0f} s after a checkpoint",
        measured=f"{written / 1000:.0f} kB a second",
        beside=f"{86_400 * written / 1e9:.1f} GB a day",
    )


def _configure(place: Path, url: str, altinn: FakeAltinn, parties: Sequence[str]) -> None:
    client = altinn.ready_client()
    resources = [f"eformidling-dpv-{number}" for number in range(LISTS)]
    for party in parties:
        altinn.allow(client.client_id, party, resources)
    (place / "key.pem").write_text(client.private_key)
    (place / "key.pem").chmod(0o600)
    (place / "drop").mkdir()
    (place / "routing.toml").write_text(
        '[[recipient]]\nname = "post"\ndeliver_to = ["drop"]\n\n'
        '[[route]]\nname = "Alt"\nto = ["post"]\n'
    )
    listed = ", ".join(f'"{each}"' for each in parties)
    names = ", ".join(f'"{each}"' for each in resources)
    (place / "postmottak.toml").write_text(
        f'[store]\ndatabase = "{url}"\ncontent = "content"\nown_files = "own"\nnode = "a"\n'
        f'[mailbox.altinn]\ntype = "altinn3"\nbell = "off"\nconfidential = "off"\n'
        f'poll_every = "5m"\nmaskinporten_url = "{altinn.maskinporten_url}"\n'
        f'platform_url = "{altinn.platform_url}"\nclient_id = "{client.client_id}"\n'
        f'key_file = "key.pem"\nkey_id = "{client.key_id}"\nparties = [{listed}]\n'
        f'services = ["4255/10"]\nresources = {{ "4255/10" = [{names}] }}\n'
        '[destination.drop]\ntype = "filedrop"\npath = "drop"\n'
        '[routing]\nfile = "routing.toml"\n'
    )


def _wait_for_calls(altinn: FakeAltinn, service: subprocess.Popen[bytes], log: Path) -> None:
    ends = time.monotonic() + 60
    while altinn.count() < _SETTLED:
        if service.poll() is not None or time.monotonic() > ends:
            raise RuntimeError(log.read_text()[-2000:])
        time.sleep(0.2)


def _statements(server: PostgresqlServer) -> int:
    text = (server.folder / "log").read_text(errors="replace")
    return text.count("LOG:  statement:") + text.count("LOG:  execute ")


def _logged(server: PostgresqlServer) -> int:
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        found = connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'").fetchone()
    assert found
    return int(found[0])
