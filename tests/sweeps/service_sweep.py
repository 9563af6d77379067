"""Kills the service as it runs, with its worker processes, at every system call that matters, and
looks whether it, or the next one, puts all right.

`service_sweep.py [--every K] [--processes N] [--report FILE]`; needs x86_64 and
seccomp(2).

The service fetches letters by two workers and delivers each to a file drop, a mail sink and a
webhook sink. In separate runs one process is killed before the Nth call:

- the worker that makes it, counted over all workers: then the same service has to finish;
- the service, before one of its own, from its start to the end of an orderly stop;
- the fork server, before one of its own calls or of a worker's, which goes on meanwhile.

Where the service or its fork server was killed, a new service has to finish. The processes have all
their threads, so the Nth call is not quite the same in each run; a first run, only watched, says
how many there are.
"""

from __future__ import annotations

import signal
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

sys.path.insert(0, str(Path(__file__).parents[2]))

from connectors.sandbox.samples import letters as sample_letters
from tests.journeys.conftest import Begin, Journey
from tests.processes.warm import Warm
from tests.sweeps import aftermath
from tests.sweeps.strike import FATAL, Point, Result, last_error, main
from tests.sweeps.watched_service import FORK_SERVER, SERVICE, WORKER, WatchedService

_LETTERS = {WORKER: 18, SERVICE: 3, FORK_SERVER: 3}
"""Where a worker is killed, both have some: one takes 16 at a time (`_LEAST` in worker_pool.py)."""
_MAILBOX = 'bell = "off"\n'
"""What a bell rings for is fetched by the service itself."""
_SETTINGS = "[delivery]\nworkers = 2\n\n[destination.mappe]"


class ServiceSweep:
    """Runs points one after the other, with a warm process of its own."""

    def __init__(self) -> None:
        self._warm = Warm()
        self._database = self._empty_database()

    def watch(self) -> list[Point]:
        """The calls of runs that nothing befalls, by whose they count as."""
        return [
            Point(command=role, call=name, number=number, fault="KILL")
            for role in _LETTERS
            for number, name in enumerate(self._calls(role), start=1)
        ]

    def _calls(self, role: str) -> list[str]:
        with _Installation(self._database, _LETTERS[role]) as installation:
            run = WatchedService(self._warm, installation.journey, _LETTERS[role])
            if code := run.finish():
                raise SystemExit(
                    f"the run that is only watched ended with {code}: "
                    f"{last_error(installation.journey.scene.folder)}"
                )
        return run.counted[role]

    def strike(self, point: Point) -> Result:
        """Kill at the point, let the service or the next one finish, and look."""
        letters = _LETTERS[point.command]
        with _Installation(self._database, letters) as installation:
            journey = installation.journey
            run = WatchedService(self._warm, journey, letters, point)
            code = run.finish()
            found = list(_of_struck_run(point, run, code)) if run.struck else []
            if code:
                after = WatchedService(self._warm, journey, letters)
                found += [f"afterwards: {fault}" for fault in _of_last_run(after, after.finish())]
            repeats = 0 if point.command == WORKER else 2 * letters
            found += aftermath.faults(journey, installation.published, most_repeats=repeats)
            found += _blamed_wrongly(journey, point, run)
            hooks, mails = aftermath.taken(journey)
        struck = run.struck
        return Result(
            point=replace(point, call=struck.name) if struck else point,
            struck=f"{struck.name} {struck.place}" if struck else "",
            faults=tuple(found),
            repeats=hooks.total() - len(hooks) + mails.total() - len(mails),
        )

    def close(self) -> None:
        """End the warm process."""
        self._warm.close()

    def _empty_database(self) -> bytes:
        """A database with its tables and no letter."""
        with (
            tempfile.TemporaryDirectory() as folder,
            Begin(Path(folder), mailbox=_MAILBOX, routing=aftermath.ROUTING) as journey,
        ):
            if code := self._warm.run(journey.scene.configuration, "poll", "--json").code:
                raise SystemExit(f"a poll of nothing ended with {code}")
            return (Path(folder) / "postmottak.db").read_bytes()


class _Installation:
    """An installation with an empty store, and letters that wait in Altinn."""

    def __init__(self, database: bytes, letters: int) -> None:
        self._database, self._letters = database, letters

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="sweep-")
        folder = Path(self._folder.name)
        self._begin = Begin(folder, mailbox=_MAILBOX, routing=aftermath.ROUTING)
        self.journey = self._begin.__enter__()
        (folder / "postmottak.db").write_bytes(self._database)
        path = self.journey.scene.configuration
        path.write_text(path.read_text().replace("[destination.mappe]", _SETTINGS))
        party, now = self.journey.scene.party, datetime.now(UTC)
        samples = sample_letters(2 * self._letters, party=party, now=now)
        ordinary = [letter for letter in samples if not letter.is_confidential][: self._letters]
        self.published = [self.journey.altinn.publish(letter) for letter in ordinary]
        return self

    def __exit__(self, *error: object) -> None:
        self._begin.__exit__(*error)
        self._folder.cleanup()


def _of_struck_run(point: Point, run: WatchedService, code: int) -> Iterator[str]:
    expected = {WORKER: 0, SERVICE: -signal.SIGKILL, FORK_SERVER: FATAL}[point.command]
    stopped_first = point.command == FORK_SERVER and run.was_stopping and not code
    if code != expected and not stopped_first:
        yield f"the run ended with {code}"
    if run.timed_out:
        yield "not all was delivered in time"


def _of_last_run(run: WatchedService, code: int) -> Iterator[str]:
    if code:
        yield f"the run ended with {code}"
    if run.timed_out:
        yield "not all was delivered in time"


def _blamed_wrongly(journey: Journey, point: Point, run: WatchedService) -> Iterator[str]:
    """Deliveries that were blamed for the end of a process which did not have them in hand, or were
    not and should be; and any that was blamed twice."""
    with closing(sqlite3.connect(journey.scene.folder / "postmottak.db")) as connection:
        crashes = dict(connection.execute("SELECT id, crashes FROM deliveries WHERE crashes"))
    if any(number > 1 for number in crashes.values()):
        yield f"blamed more than once: {Counter(crashes.values())}"
    if run.struck and point.command == WORKER:
        own = run.claimed.get(run.name_of_victim(), set())
        if set(crashes) != own:
            yield f"{len(crashes)} are blamed, {len(own)} were in hand"


if __name__ == "__main__":
    sys.exit(main(ServiceSweep, "service-sweep", __doc__, faults=("KILL",), column="command"))
