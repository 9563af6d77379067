"""How nodes share 3,000 organisations: when each is polled as one of them dies, and what it costs.

The first figure is a simulation: time is simulated, turns are real, on a private PostgreSQL. The
second is a real service with the share of one of three nodes, of which the server logs every
statement.
"""

from __future__ import annotations

import heapq
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.bell import numbers
from benchmarks.report import Figure
from benchmarks.service import COMMAND
from connectors.sandbox.altinn3.server import FakeAltinn
from daemon.core.nodes import SILENT_AFTER, Member, NodeRow
from daemon.core.turns import place_of
from daemon.intake.mailboxes import PARTIES_AT_A_TIME
from daemon.intake.turns import Turns
from daemon.store import Store
from tests.processes.postgresql import NoPostgresqlError, PostgresqlServer

_PARTIES, _EVERY = 3000, timedelta(minutes=5)
_AT_MOST, _STATEMENTS = 1.2, 20.0
_LOOK = timedelta(seconds=3)
_CALL, _LISTS, _ABREAST = timedelta(milliseconds=100), 11, 8
_TAKEN_OVER_AFTER = timedelta(seconds=29)
_BEGIN = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
_DIES = _BEGIN + 1.5 * _EVERY
_ENDS = _BEGIN + 3 * _EVERY
_MEASURED = 40.0  # seconds
_SETTLED = 200  # calls after which the start is over


def turns(folder: Path) -> Iterator[Figure]:
    """Measure both."""
    del folder  # the server's user cannot enter it
    try:
        with _server() as server:
            yield from _gaps(server)
            yield _load(server)
    except NoPostgresqlError as error:
        yield Figure(what="organisations shared by nodes", measured=f"not measured: {error}")


@contextmanager
def _server() -> Iterator[PostgresqlServer]:
    folder = Path(tempfile.mkdtemp(prefix="postmottak-bench-pg-"))
    server = PostgresqlServer(folder, "fsync=off", "log_statement=all")
    server.start()
    try:
        yield server
    finally:
        os.kill(server.pid, signal.SIGQUIT)
        time.sleep(0.5)
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class _SimulatedNode:
    """A node with a clock of its own, which the simulation moves."""

    node: str
    world: _World
    now: datetime = _BEGIN

    @property
    def owner(self) -> str:
        return f"{self.node}/1"

    def runs(self) -> bool:
        return True

    def living(self) -> Sequence[str]:
        return self.world.living(self.now)

    def confirm(self) -> None:
        """Nothing is delivered."""

    def has(self, _duty: str) -> bool:
        return True


@dataclass
class _World:
    """What becomes of the organisations."""

    polled: dict[str, list[datetime]] = field(default_factory=dict)

    def living(self, now: datetime) -> Sequence[str]:
        return ("a", "b", "c") if now < _DIES + SILENT_AFTER else ("a", "b")


def _gaps(server: PostgresqlServer) -> Iterator[Figure]:
    server.run("CREATE DATABASE simulated")
    world, url = _World(), server.url("simulated")
    stores, nodes = {}, {}
    with ExitStack() as ends:
        for name in "abc":
            stores[name] = Store(url)
            ends.callback(stores[name].close)
            stores[name].nodes.join(_row(name), lambda *_: True)
            nodes[name] = _SimulatedNode(name, world)
        _play(stores, nodes, world)
    every = [
        (after - before) / _EVERY
        for times in world.polled.values()
        for before, after in zip([_BEGIN, *times], [*times, _ENDS], strict=True)
        if after < _ENDS or _ENDS - before > _EVERY
    ]
    worst = max(every)
    yield Figure(
        what=f"{_PARTIES} organisations, 3 nodes, one dies: longest time between two polls",
        measured=f"{worst:.2f} x the interval",
        beside=f"median {sorted(every)[len(every) // 2]:.2f}; {len(world.polled)} organisations "
        f"polled; simulated, {_LISTS} lists of 100 ms each",
        wanted=f"at most {_AT_MOST} x",
        held=worst <= _AT_MOST and len(world.polled) == _PARTIES,
    )


def _row(name: str) -> NodeRow:
    now = datetime.now(UTC)
    return NodeRow(
        name=name,
        incarnation="1",
        host=name,
        pid=1,
        version="",
        lock="",
        started_at=now,
        seen_at=now,
    )


def _play(stores: dict[str, Store], nodes: dict[str, _SimulatedNode], world: _World) -> None:
    """Let each node look whose turn it is every few seconds, and poll, until the end."""
    wanted = {each: _BEGIN + place_of(each, _EVERY) for each in numbers(_PARTIES)}
    shares: dict[str, Turns] = {}
    for name, node in nodes.items():
        clock = _clock_of(node)
        shares[name] = Turns(stores[name], node, clock, "altinn", _EVERY)
        shares[name].follow(wanted)
    due = [(_BEGIN, name) for name in nodes]
    is_taken_over = False
    while due:
        now, name = heapq.heappop(due)
        if not is_taken_over and now >= _DIES + _TAKEN_OVER_AFTER:
            # a release goes by the server's clock, which is not the simulation's
            stores["a"].polls.give_back("altinn", "c/1", now)
            stores["a"].nodes.leave(Member(node="c", incarnation="1"))
            is_taken_over = True
        if now >= _ENDS or (name == "c" and now >= _DIES):
            continue
        node = nodes[name]
        node.now = now
        taken = shares[name].take(PARTIES_AT_A_TIME)
        for each in taken:
            world.polled.setdefault(each.party, []).append(now)
        took = len(taken) * _LISTS * _CALL / _ABREAST
        node.now = now + took
        if name != "c" or node.now < _DIES:
            shares[name].end(now, dict.fromkeys(wanted, _EVERY))
        heapq.heappush(
            due, (node.now + (timedelta() if len(taken) == PARTIES_AT_A_TIME else _LOOK), name)
        )


def _clock_of(node: _SimulatedNode) -> Callable[[], datetime]:
    return lambda: node.now


def _load(server: PostgresqlServer) -> Figure:
    """Run a service with a third of the organisations, and count what the server is asked."""
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
        calls, before, began = altinn.count(), _statements(server), time.monotonic()
        time.sleep(_MEASURED)
        rate = (_statements(server) - before) / (time.monotonic() - began)
        lists = (altinn.count() - calls) / _MEASURED
    return Figure(
        what=f"statements of a node with {len(parties)} organisations, polled every 5 minutes",
        measured=f"{rate:.1f} a second",
        beside=f"{lists:.0f} calls a second to Altinn, none of which brings a letter",
        wanted=f"under {_STATEMENTS:.0f}",
        held=rate < _STATEMENTS,
    )


def _configure(place: Path, url: str, altinn: FakeAltinn, parties: Sequence[str]) -> None:
    client = altinn.ready_client()
    resources = [f"eformidling-dpv-{number}" for number in range(_LISTS)]
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
