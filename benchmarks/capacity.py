"""How much several nodes and their database do: 3,000 and 30,000 organisations, 10 million letters.

Polls are simulated (benchmarks/simulated_nodes.py). What a letter takes is measured with a real
service and a real PostgreSQL, and multiplied; each figure says how it was had.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

from benchmarks.bell import calls_of_a_round, numbers
from benchmarks.letter_cost import LETTERS_A_YEAR, letter_cost
from benchmarks.report import Figure
from benchmarks.simulated_nodes import ABREAST, BEGIN, CALL, LISTS, Simulation, gaps
from benchmarks.turns import idle_load, private_server
from daemon.core.poll_interval import PollBounds
from daemon.core.turns import place_of
from tests.processes.postgresql import NoPostgresqlError, PostgresqlServer

_YEAR = timedelta(days=365)
_HOUSE, _LARGE = 3_000, 30_000
_EVERY = timedelta(minutes=5)
_BOUNDS = PollBounds(timedelta(minutes=15), timedelta(hours=12))
_UNEVEN = 1.5
"""Of the numbers of letters that organisations get, which are distributed log-normally: half of
them get less than a third of the mean."""
_LENGTH = timedelta(minutes=45)
_DIES = BEGIN + timedelta(minutes=15)


def capacity(folder: Path) -> Iterator[Figure]:
    """Measure and simulate."""
    try:
        with private_server("fsync=off") as server:
            yield from _house(server)
            yield from _large(server)
        yield from _bells(folder)
        with private_server("fsync=off", "log_statement=all") as server:
            yield from idle_load(server)
        yield from letter_cost(folder)
    except NoPostgresqlError as error:
        yield Figure(what="capacity", measured=f"not measured: {error}")


def _house(server: PostgresqlServer) -> Iterator[Figure]:
    """Poll 3,000 organisations every 5 minutes, on one to three nodes."""
    first = {each: BEGIN + place_of(each, _EVERY) for each in numbers(_HOUSE)}
    for nodes, dies in (("a", None), ("ab", None), ("ab", _DIES), ("abc", _DIES)):
        simulation = Simulation(
            nodes=nodes,
            first=first,
            shortest=_EVERY,
            interval=lambda _party, _now: _EVERY,
            dies=dies,
            ends=BEGIN + _LENGTH,
        )
        yield _polls(server, simulation, "every 5 minutes")


def _large(server: PostgresqlServer) -> Iterator[Figure]:
    """Poll 30,000 organisations, each as often as its own letters want it."""
    organisations = _Organisations(numbers(_LARGE))
    rate = sum(1 / each.total_seconds() for each in organisations.first_intervals())
    nodes = "abcdefgh"[: 1 + round(0.5 + rate * LISTS * CALL.total_seconds() / ABREAST)]
    simulation = Simulation(
        nodes=nodes,
        first=organisations.first_turns(),
        shortest=_BOUNDS.shortest,
        interval=organisations.interval,
        dies=_DIES,
        ends=BEGIN + _LENGTH,
    )
    yield _polls(server, simulation, "every 15 minutes to 12 hours")


class _Organisations:
    """Organisations that have got letters before the simulation begins, and when the last one."""

    def __init__(self, parties: list[str]) -> None:
        chance = random.Random(23)  # noqa: S311
        weights = {each: chance.lognormvariate(0, _UNEVEN) for each in parties}
        share = LETTERS_A_YEAR / sum(weights.values())
        self._newest = {
            party: BEGIN - _YEAR * chance.expovariate(weight * share)
            for party, weight in weights.items()
        }

    def interval(self, party: str, now: datetime) -> timedelta:
        """Return an organisation's interval; letters that come meanwhile are left out."""
        return _BOUNDS.interval(self._newest[party], now)

    def first_intervals(self) -> Iterator[timedelta]:
        """Yield the interval of each as it is at the beginning."""
        return (self.interval(each, BEGIN) for each in self._newest)

    def first_turns(self) -> dict[str, datetime]:
        """Return turns as they are long after the start: spread over each one's interval."""
        return {each: BEGIN + place_of(each, self.interval(each, BEGIN)) for each in self._newest}


def _polls(server: PostgresqlServer, simulation: Simulation, every: str) -> Figure:
    name = f"simulated_{uuid4().hex}"
    server.run(f"CREATE DATABASE {name}")
    polled = simulation.run(server.url(name))
    server.run(f"DROP DATABASE {name}")
    late = sorted(
        gap / simulation.interval(party, before)
        for party, times in polled.items()
        for before, gap in zip(times, gaps({party: times}, simulation.ends), strict=True)
        if before + gap < simulation.ends or gap > simulation.interval(party, before)
    )
    lists = LISTS * sum(map(len, polled.values())) / (simulation.ends - BEGIN).total_seconds()
    longest = simulation.shortest * late[-1]
    return Figure(
        what=f"{len(simulation.first):,} organisations polled {every}, nodes: "
        f"{len(simulation.nodes)}{', of which one dies' if simulation.dies else ''}: time between "
        "two polls",
        measured=f"median {late[len(late) // 2]:.2f}, p99 {late[len(late) * 99 // 100]:.2f}, "
        f"longest {late[-1]:.2f} x the interval",
        beside=f"of the shortest interval, {longest.total_seconds() / 60:.1f} minutes at most; "
        f"{lists:.0f} lists a second; simulated, {_LENGTH.total_seconds() / 60:.0f} minutes",
    )


def _bells(folder: Path) -> Iterator[Figure]:
    for number, (count, agent) in enumerate(((_HOUSE, True), (100, False))):
        calls, every = calls_of_a_round(folder / f"bell-{number}", count, agent=agent)
        who = "one agent system user" if agent else "a system user each"
        yield Figure(
            what=f"Dialogporten's bell, {count:,} organisations with {who}, nothing new: calls a "
            "round",
            measured=f"{calls:.0f}",
            beside=f"{calls / every.total_seconds():.1f} a second with a round every "
            f"{every.total_seconds():.0f} s; {calls / count:.2f} an organisation; counted",
        )
