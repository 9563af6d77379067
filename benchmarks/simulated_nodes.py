"""Nodes that share organisations, in simulated time: the turns are real, on a real PostgreSQL.

A list takes 100 ms, and a node makes eight at a time, as a mailbox does. Nothing else takes time.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from daemon.core.nodes import SILENT_AFTER, Member, NodeRow
from daemon.intake.mailboxes import PARTIES_AT_A_TIME
from daemon.intake.turns import Turns
from daemon.store import Store

BEGIN = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
CALL, LISTS, ABREAST = timedelta(milliseconds=100), 11, 8
_LOOK = timedelta(seconds=3)
_TAKEN_OVER_AFTER = timedelta(seconds=29)
_MAILBOX, _FIRST = "altinn", "1"


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """What is simulated."""

    nodes: str
    """Their names, a letter each; the last one dies."""
    first: Mapping[str, datetime]
    """When the first turn of each organisation is due."""
    shortest: timedelta
    """The shortest interval between two turns."""
    interval: Callable[[str, datetime], timedelta]
    """That of an organisation which is listed then."""
    ends: datetime
    dies: datetime | None = None

    def living(self, now: datetime) -> Sequence[str]:
        """Return the nodes that count as alive."""
        is_gone = self.dies is not None and now >= self.dies + SILENT_AFTER
        return tuple(self.nodes[:-1] if is_gone else self.nodes)

    def run(self, url: str) -> dict[str, list[datetime]]:
        """Return when each organisation was polled, on a database that is empty."""
        with ExitStack() as ends:
            world = _World(self)
            for name in self.nodes:
                store = Store(url)
                ends.callback(store.close)
                store.nodes.join(_row(name), lambda *_: True)
                world.add(name, store)
            world.play()
        return world.polled


@dataclass
class _SimulatedNode:
    """A node with a clock of its own, which the simulation moves."""

    node: str
    simulation: Simulation
    now: datetime = BEGIN

    @property
    def owner(self) -> str:
        return f"{self.node}/{_FIRST}"

    def runs(self) -> bool:
        return True

    def living(self) -> Sequence[str]:
        return self.simulation.living(self.now)

    def confirm(self) -> None:
        """Nothing is delivered."""

    def has(self, _duty: str) -> bool:
        return True


@dataclass
class _World:
    """The nodes, and what becomes of the organisations."""

    simulation: Simulation
    stores: dict[str, Store] = field(default_factory=dict)
    nodes: dict[str, _SimulatedNode] = field(default_factory=dict)
    turns: dict[str, Turns] = field(default_factory=dict)
    polled: dict[str, list[datetime]] = field(default_factory=dict)

    def add(self, name: str, store: Store) -> None:
        """Let a node take part."""
        node = _SimulatedNode(name, self.simulation)
        turns = Turns(store, node, lambda: node.now, _MAILBOX, self.simulation.shortest)
        turns.follow(self.simulation.first)
        self.stores[name], self.nodes[name], self.turns[name] = store, node, turns

    def play(self) -> None:
        """Let each node look whose turn it is every few seconds, and poll, until the end."""
        dies, dead = self.simulation.dies, self.simulation.nodes[-1]
        due = [(BEGIN, name) for name in self.nodes]
        while due:
            now, name = heapq.heappop(due)
            if dies and now >= dies + _TAKEN_OVER_AFTER and dead in self.stores:
                self._take_over(now, dead)
            if now >= self.simulation.ends or (dies and name == dead and now >= dies):
                continue
            is_behind = self._step(now, name)
            again = self.nodes[name].now + (timedelta() if is_behind else _LOOK)
            heapq.heappush(due, (again, name))

    def _take_over(self, now: datetime, dead: str) -> None:
        """Do by hand what nodes do by the server's clock, which is not the simulation's."""
        del self.stores[dead]
        first = next(iter(self.stores.values()))
        first.polls.give_back(_MAILBOX, f"{dead}/{_FIRST}", now)
        first.nodes.leave(Member(node=dead, incarnation=_FIRST))

    def _step(self, now: datetime, name: str) -> bool:
        """Poll those whose turn it is; return whether there may be more."""
        node, turns = self.nodes[name], self.turns[name]
        node.now = now
        taken = turns.take(PARTIES_AT_A_TIME)
        for each in taken:
            self.polled.setdefault(each.party, []).append(now)
        node.now = now + len(taken) * LISTS * CALL / ABREAST
        dies, is_last = self.simulation.dies, name == self.simulation.nodes[-1]
        if not (dies and is_last and node.now >= dies):
            wanted = {each.party: self.simulation.interval(each.party, node.now) for each in taken}
            turns.end(now, wanted)
        return len(taken) == PARTIES_AT_A_TIME


def gaps(polled: Mapping[str, Sequence[datetime]], ends: datetime) -> Iterator[timedelta]:
    """Yield the times between two polls, for each organisation, and that up to the end."""
    for times in polled.values():
        yield from (after - before for before, after in pairwise(times))
        yield ends - times[-1]


def _row(name: str) -> NodeRow:
    now = datetime.now(UTC)
    return NodeRow(
        name=name,
        incarnation=_FIRST,
        host=name,
        pid=1,
        version="",
        lock="",
        started_at=now,
        seen_at=now,
    )
