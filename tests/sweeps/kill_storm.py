"""Kills processes of the running service at random: the service itself, its fork server, its
workers.

`kill_storm.py [--letters N] [--kills K] [--seed S] [--seconds T] [--report FILE]`. The service is
started again whenever it has ended. When all letters are dropped, when it was killed so often, or
when the time is over, it is left alone until it has finished. Then each letter must be dropped
once, whole, its delivery recorded as made, and nothing hidden or half-written be left.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.other_side import other_side
from benchmarks.service import COMMAND, READY, fresh
from tests.journeys.conftest import fork_server_of, kill, workers_of
from tests.processes.warm import ROOT
from tests.sweeps import aftermath
from tests.sweeps.report import write_section

WORKER, FORK_SERVER, SERVICE = "worker", "fork server", "service"
_SHARES = {WORKER: 0.65, FORK_SERVER: 0.15, SERVICE: 0.2}
_SIZE = 5000  # bytes of a letter's attachment
_LATENCY = 0.05  # seconds of each call, so that a storm does not need too many letters
_BETWEEN = (0.2, 1.5)  # seconds between two kills
_AT_WORK = 2.0  # at most so many seconds from the service's start to the next kill
_PATIENCE = 150.0  # seconds, without progress
_LOOK = 0.1


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a storm has brought."""

    kills: Mapping[str, int]
    letters: int
    crashes: Mapping[int, int]
    """Deliveries by how often a process ended with them in hand."""
    faults: tuple[str, ...]


class _Service:
    """The service, started again whenever it has ended."""

    def __init__(self, configuration: Path, log: Path, chance: random.Random) -> None:
        self._command = [*COMMAND, "-c", str(configuration), "run"]
        self._log, self._chance = log, chance
        self.faults: list[str] = []
        self.process = self.start()

    def start(self) -> subprocess.Popen[str]:
        """Start it, wait until it is ready, and then a moment."""
        with self._log.open("ab") as errors:
            begins = errors.tell()
            self.process = subprocess.Popen(
                self._command,
                stderr=errors,
                text=True,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        if not _wait(lambda: READY.encode() in self._log.read_bytes()[begins:] or self.has_ended()):
            self.faults.append("the service was not ready in time")
        time.sleep(self._chance.uniform(0, _AT_WORK))
        return self.process

    def has_ended(self) -> bool:
        """Whether it has ended."""
        return self.process.poll() is not None

    def strike(self, who: str) -> bool:
        """Kill one such process, if there is one; a new service is ready if that was its end."""
        try:
            own = {
                WORKER: lambda: self._chance.choice(workers_of(self.process)),
                FORK_SERVER: lambda: fork_server_of(self.process),
                SERVICE: lambda: self.process.pid,
            }[who]()
            os.kill(own, signal.SIGKILL)
        except (IndexError, OSError, ValueError):  # just being replaced
            return False
        if who != WORKER:
            if not _wait(self.has_ended):
                self.faults.append(f"the service did not end with its {who}")
                kill(self.process)
            self.start()
        return True

    def stop(self) -> None:
        """Stop it in order."""
        self.process.send_signal(signal.SIGTERM)
        if code := self.process.wait(_PATIENCE):
            self.faults.append(f"at last the service ended with {code}")


def storm(folder: Path, letters: int, kills: int, seed: int, seconds: float) -> Outcome:
    """Kill as described, in an installation in the folder."""
    chance = random.Random(seed)
    with other_side(folder / "scene", letters=letters, size=_SIZE, latency=_LATENCY) as scene:
        box = folder / "installation"
        service = _Service(_without_bell(fresh(scene, box)), folder / "log", chance)
        dropped = 0
        counted = _strike_often(service, chance, box / "drop", letters, kills, seconds)
        while not _wait(lambda: _is_finished(service, box, letters)):
            if len(_drops(box / "drop")) == dropped:
                service.faults.append("not all was delivered and tidied in time")
                break
            dropped = len(_drops(box / "drop"))
        service.stop()
        return Outcome(
            kills=counted,
            letters=letters,
            crashes=_crashes(box),
            faults=(*service.faults, *_faults(box, letters)),
        )


def _without_bell(configuration: Path) -> Path:
    """Have all letters listed: what a bell rings for is fetched by the service itself."""
    text = configuration.read_text()
    configuration.write_text(text.replace('type = "altinn3"\n', 'type = "altinn3"\nbell = "off"\n'))
    return configuration


def _strike_often(
    service: _Service, chance: random.Random, drop: Path, letters: int, kills: int, seconds: float
) -> Counter[str]:
    counted: Counter[str] = Counter()
    ends = time.monotonic() + seconds
    while counted.total() < kills and time.monotonic() < ends and len(_drops(drop)) < letters:
        time.sleep(chance.uniform(*_BETWEEN))
        if service.has_ended():
            service.faults.append(f"the service ended by itself with {service.process.returncode}")
            service.start()
        (who,) = chance.choices(list(_SHARES), list(_SHARES.values()))
        counted[who] += service.strike(who)
    return counted


def _is_finished(service: _Service, box: Path, letters: int) -> bool:
    if service.has_ended():
        service.start()
    with closing(_opened(box)) as connection, suppress(sqlite3.OperationalError):
        (stored,) = connection.execute("SELECT count(*) FROM messages").fetchone()
        (left,) = connection.execute(
            "SELECT count(*) FROM deliveries WHERE lower(state) NOT IN ('delivered', 'dead')"
        ).fetchone()
        return stored == letters and not left and not [*_temporaries(box)]
    return False


def _faults(box: Path, letters: int) -> Iterator[str]:
    drops = _drops(box / "drop")
    ids = Counter(filter(None, map(_id, drops)))
    if len(drops) != letters or len(ids) != letters:
        yield f"{letters} letters, {len(drops)} drops of {len(ids)} letters"
    for each in drops:
        yield from aftermath.not_whole(each)
    yield from (f"{left} remains" for left in _temporaries(box))
    with closing(_opened(box)) as connection:
        if connection.execute("PRAGMA integrity_check").fetchone() != ("ok",):
            yield "the database is not whole"
        for state, number in connection.execute(
            "SELECT state, count(*) FROM deliveries WHERE lower(state) <> 'delivered' GROUP BY 1"
        ):
            yield f"{number} deliveries are {state.lower()}"
        for state, number in connection.execute("SELECT state, count(*) FROM sightings GROUP BY 1"):
            yield f"{number} letters are noted as {state.lower()}"


def _id(drop: Path) -> str:
    """The id of a dropped letter; empty if its description is missing."""
    with suppress(FileNotFoundError):
        return str(json.loads((drop / "message.json").read_text())["id"])
    return ""


def _crashes(box: Path) -> dict[int, int]:
    with closing(_opened(box)) as connection:
        return dict(
            connection.execute("SELECT crashes, count(*) FROM deliveries GROUP BY 1 ORDER BY 1")
        )


def _opened(box: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{box}/lib/postmottak.db?mode=ro", uri=True, timeout=30)


def _drops(drop: Path) -> list[Path]:
    return [each for each in drop.iterdir() if not each.name.startswith(".")]


def _temporaries(box: Path) -> Iterator[str]:
    yield from (each.name for each in (box / "drop").iterdir() if each.name.startswith("."))
    yield from (f"content/tmp/{each.name}" for each in (box / "lib/content/tmp").iterdir())


def _wait(condition: Callable[[], bool]) -> bool:
    """Wait for it, not for ever; whether it came."""
    ends = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > ends:
            return False
        time.sleep(_LOOK)
    return True


def main() -> int:
    """Kill, print the result, and fail if anything was wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--letters", type=int, default=16_000)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 20))
    parser.add_argument("--seconds", type=float, default=3600.0, help="for the kills")
    parser.add_argument("--report", type=Path, help="write the result into this page")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kill-storm-") as folder:
        ended = storm(Path(folder), options.letters, options.kills, options.seed, options.seconds)
    for fault in ended.faults:
        print(fault)  # a report
    text = (
        f"{datetime.now(UTC):%Y-%m-%d}, Linux {platform.release()}, Python "
        f"{platform.python_version()}: {ended.letters} letters of {_SIZE // 1000} kB; kills of "
        + ", ".join(f"a {who}: {ended.kills.get(who, 0)}" for who in _SHARES)
        + f"; deliveries blamed once: {ended.crashes.get(1, 0)}, twice: "
        f"{ended.crashes.get(2, 0)}; seed {options.seed}; wrong: {len(ended.faults)}."
    )
    print(text)  # a report
    if options.report:
        write_section(options.report, "kill-storm", text)
    return 1 if ended.faults else 0


if __name__ == "__main__":
    sys.exit(main())
