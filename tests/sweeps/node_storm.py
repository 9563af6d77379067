"""Three nodes and their database are struck at random, while letters come all the time.

`node_storm.py [--letters N] [--blows K] [--seed S] [--report FILE]`. A blow is one of: SIGKILL of a
node's service; of a node with its workers; of all nodes; of the database's server; a node that
stands still for 45 s; all connections cut by the server; SIGTERM. What has ended is started again,
as systemd would, and so is the server. A consumer takes each drop at once. In the end each letter
was taken from the drop once, and whole, came to the webhook under one id, is marked, and every
delivery is recorded as made.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.other_side import letters_of
from tests.journeys.conftest import Begin, Journey
from tests.processes.node_crew import ROUTING, Crew, wait_for
from tests.processes.postgresql import PostgresqlServer
from tests.sweeps import aftermath
from tests.sweeps.report import write_section

_NODES = "abc"
_MAILBOX = 'bell = "off"\npoll_every = "3s"\nmark_read = "delivered"\n'
_PER_LETTER = 2
_BETWEEN = (1.0, 6.0)  # seconds between two blows
_FROZEN = 45.0
_RESTART = 2.0  # seconds until what has ended is started again
_PATIENCE = 120.0


@dataclass
class Consumer:
    """Takes drops at once, and keeps what it saw."""

    drop: Path
    taken: Path
    ids: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)

    def loop(self) -> None:
        """Take until it is done."""
        while not self.done.wait(0.05):
            self.look()

    def look(self) -> None:
        """Take what is there."""
        for each in list(self.drop.iterdir()):
            if each.name.startswith("."):
                continue
            mine = self.taken / f"{len(self.ids)}-{sum(self.ids.values())}-{each.name}"
            each.rename(mine)
            self.faults += aftermath.not_whole(mine)
            with suppress(OSError, ValueError):
                self.ids[json.loads((mine / "message.json").read_text())["id"]] += 1
            shutil.rmtree(mine)


class Storm:
    """The nodes, their server, and what strikes them."""

    def __init__(self, journey: Journey, crew: Crew, server: PostgresqlServer, seed: int) -> None:
        self.journey, self.crew, self.server = journey, crew, server
        self.chance = random.Random(seed)
        self.blows: Counter[str] = Counter()
        self.faults: list[str] = []
        self.ends: Counter[str] = Counter()
        """How nodes ended that were not killed, by what they said last."""
        self.done = threading.Event()
        self.lock = threading.Lock()
        self.frozen: set[str] = set()
        self._killed: set[int] = set()

    def strike(self) -> None:
        """Strike once."""
        blows: dict[str, tuple[float, Callable[[], None]]] = {
            "node": (5, lambda: self._kill(self._one(), all_of_it=False)),
            "machine": (5, lambda: self._kill(self._one(), all_of_it=True)),
            "all": (1, self._kill_all),
            "server": (4, lambda: os.kill(self.server.pid, signal.SIGKILL)),
            "freeze": (3, self._freeze),
            "cut": (6, self._cut),
            "term": (4, lambda: self.crew.nodes[self._one()].signal(15, all_of_it=False)),
        }
        (name,) = self.chance.choices(list(blows), [weight for weight, _ in blows.values()])
        self.blows[name] += 1
        with suppress(ProcessLookupError, psycopg.Error):
            blows[name][1]()

    def _one(self) -> str:
        return self.chance.choice(_NODES)

    def _kill(self, name: str, *, all_of_it: bool) -> None:
        node = self.crew.nodes[name]
        if node.process:
            self._killed.add(node.process.pid)
            node.signal(signal.SIGKILL, all_of_it=all_of_it)

    def _kill_all(self) -> None:
        for name in _NODES:
            self._kill(name, all_of_it=True)

    def _freeze(self) -> None:
        name = self._one()
        if name in self.frozen or len(self.frozen) > 1:
            return
        self.frozen.add(name)
        node = self.crew.nodes[name]
        node.signal(signal.SIGSTOP)

        assert node.process
        group = node.process.pid

        def thaw() -> None:
            with suppress(ProcessLookupError):  # another start may have taken its place
                os.killpg(group, signal.SIGCONT)
            self.frozen.discard(name)

        threading.Timer(_FROZEN, thaw).start()

    def _cut(self) -> None:
        self.crew.ask(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'postmottak' AND pid <> pg_backend_pid()"
        )

    def keep_alive(self) -> None:
        """Start again what has ended, until the storm is over."""
        while not self.done.wait(_RESTART):
            if not Path(f"/proc/{self.server.pid}").exists():
                with suppress(Exception):
                    self.server.start()
            for name, node in self.crew.nodes.items():
                code = node.code()
                if code is None or not node.process:
                    continue
                if node.process.pid not in self._killed:
                    said = node.log.read_text(errors="replace").strip().splitlines()[-1][:90]
                    self.ends[f"{name} {code}: {said}" if code else "stopped"] += 1
                node.start(ready=False)

    def publish(self, letters: int, seconds: float) -> None:
        """Publish letters evenly."""
        contents = [os.urandom(2000) for _ in range(letters)]
        made = list(letters_of(contents, self.journey.scene.party, datetime.now(UTC)))
        for letter in made:
            self.journey.altinn.publish(letter)
            time.sleep(seconds / letters)


def storm(folder: Path, letters: int, blows: int, seed: int) -> tuple[Storm, list[str], float]:
    """Strike as described; returns what is wrong, and how soon all was at rest."""
    folder.chmod(0o755)
    shared = folder / "pg"
    shared.mkdir()
    server = PostgresqlServer(shared, "fsync=off")
    server.start()
    server.run("CREATE DATABASE storm")
    scene = folder / "scene"
    scene.mkdir()
    try:
        with (
            Begin(scene, routing=ROUTING) as journey,
            closing(Crew(scene, server.url("storm"), _MAILBOX)) as crew,
        ):
            for name in _NODES:
                crew.node(name).start()
            (folder / "taken").mkdir()
            consumer = Consumer(scene / "drop", folder / "taken")
            struck = Storm(journey, crew, server, seed)
            seconds = blows * sum(_BETWEEN) / 2
            threads = [
                threading.Thread(target=consumer.loop, daemon=True),
                threading.Thread(target=struck.keep_alive, daemon=True),
                threading.Thread(target=struck.publish, args=(letters, seconds), daemon=True),
            ]
            for each in threads:
                each.start()
            for _ in range(blows):
                time.sleep(struck.chance.uniform(*_BETWEEN))
                struck.strike()
            last = time.monotonic()
            threads[2].join()
            wait_for(lambda: _is_at_rest(crew, letters), _PATIENCE)
            took = time.monotonic() - last
            time.sleep(2)
            struck.done.set()
            threads[1].join()
            consumer.done.set()
            threads[0].join()
            consumer.look()
            return struck, [*struck.faults, *_faults(journey, crew, consumer, letters)], took
    finally:
        with suppress(ProcessLookupError):
            os.kill(server.pid, signal.SIGQUIT)


def _is_at_rest(crew: Crew, letters: int) -> bool:
    with suppress(psycopg.Error):
        marked = crew.ask("SELECT count(*) FROM marks WHERE state = 'done'")[0][0]
        return (
            crew.states_of_deliveries() == {"delivered": _PER_LETTER * letters}
            and marked >= letters
        )
    return False


def _faults(journey: Journey, crew: Crew, consumer: Consumer, letters: int) -> Iterator[str]:
    yield from consumer.faults
    hooks = Counter(hook.id for hook in journey.webhook.taken)
    twice = [key for key, count in consumer.ids.items() if count > 1]
    if twice:
        yield f"{len(twice)} letters were dropped more than once"
    if len(consumer.ids) != letters:
        yield f"{len(consumer.ids)} of {letters} letters were taken from the drop"
    if len(hooks) != letters:
        yield f"{len(hooks)} webhook ids for {letters} letters"
    states = crew.states_of_deliveries()
    if states != {"delivered": _PER_LETTER * letters}:
        yield f"deliveries ended {states}"
    for name, node in crew.nodes.items():
        text = node.log.read_text(errors="replace")
        for word in ("Traceback", "DETAIL", "Vedtak i sak"):
            if word in text:
                yield f"the log of {name} has {word!r}"


def main() -> int:
    """Strike, print the result, and fail if anything was wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--letters", type=int, default=1000)
    parser.add_argument("--blows", type=int, default=30)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 20))
    parser.add_argument("--report", type=Path, help="write the result into this page")
    parser.add_argument("--keep", action="store_true", help="keep the folder")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="node-storm-"))
    try:
        struck, faults, took = storm(folder, options.letters, options.blows, options.seed)
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    for fault in faults:
        print(fault)
    hooks = len(struck.journey.webhook.taken)
    blows = ", ".join(f"{name} {count}" for name, count in sorted(struck.blows.items()))
    text = (
        f"{datetime.now(UTC):%Y-%m-%d}, Linux {platform.release()}, Python "
        f"{platform.python_version()}: {options.letters} letters, three nodes; "
        f"{sum(struck.blows.values())} blows ({blows}); at rest {took:.0f} s after the last; "
        f"webhook calls {hooks}; seed {options.seed}; wrong: {len(faults)}."
    )
    print(text)
    for said, count in struck.ends.items():
        print(f"{count} times: {said}")
    if options.report:
        write_section(options.report, "node-storm", text)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
