"""A consumer in a hurry: lists the drop without pause and reads each letter the moment it has a
name, while the service is killed, or one of its worker processes.

`drop_reader.py [--letters N] [--kills K] [--seed S] [--report FILE]`. Each letter must be whole
when it is first seen, by its own SHA256SUMS, and the same to the last byte when all is over.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import platform
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from multiprocessing.queues import SimpleQueue
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from connectors.sandbox.samples import letters as sample_letters
from tests.journeys.conftest import Begin, Journey, kill, workers_of
from tests.sweeps import aftermath
from tests.sweeps.report import write_section

ROUTING = (
    '[[recipient]]\nname = "post"\ndeliver_to = ["mappe"]\n\n[[route]]\nname = "Alt"\nto = '
    '["post"]\n'
)
_MAILBOX = 'bell = "off"\n'
"""What a bell rings for is fetched by the service itself, and not by its workers."""
_AFTER = 1.0  # seconds that the service works on after the end of a worker
Seen = tuple[str, str, tuple[str, ...]]
"""A drop's name, the digest of all that is in it, and what was wrong with it."""


class Reader:
    """The consumer, a process of its own."""

    def __init__(self, drop: Path) -> None:
        self._drop = drop
        self._found: SimpleQueue[Seen] = multiprocessing.get_context("spawn").SimpleQueue()
        self._process = multiprocessing.get_context("spawn").Process(
            target=_read, args=(drop, self._found), daemon=True
        )
        self._process.start()
        self.digests: dict[str, str] = {}
        self.faults: list[str] = []

    def take(self) -> None:
        """Wait for the next letter that the consumer has seen."""
        name, digest, faults = self._found.get()
        self.faults += [f"when first seen: {fault}" for fault in faults]
        self.digests[name] = digest

    def end(self) -> None:
        """End the consumer; then look at everything once more."""
        self._process.terminate()
        self._process.join()
        for name, digest in self.digests.items():
            if _digest(self._drop / name) != digest:
                self.faults.append(f"the drop {name} has changed")


def _read(drop: Path, found: SimpleQueue[Seen]) -> None:
    seen: set[str] = set()
    while True:
        for name in os.listdir(drop):  # noqa: PTH208  # the quickest way to see a name
            if not name.startswith(".") and name not in seen:
                seen.add(name)
                faults = tuple(aftermath.not_whole(drop / name))
                found.put((name, _digest(drop / name), faults))


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def race(letters: int, kills: int, seed: int) -> list[str]:
    """Drop so many letters, kill the service or one of its workers so often meanwhile, and let
    the consumer read all the time; what was wrong."""
    chance = random.Random(seed)
    with (
        tempfile.TemporaryDirectory(prefix="drop-reader-") as folder,
        Begin(Path(folder), mailbox=_MAILBOX, routing=ROUTING) as journey,
    ):
        reader = Reader(journey.scene.drop)
        published = 0
        for number, wave in enumerate(_waves(journey, letters, kills + 1)):
            published += wave
            if published == letters:
                break
            _kill_while_dropping(
                journey, reader, published - chance.randrange(1, wave), worker=number % 2 == 1
            )
        code = journey.poll().code
        faults = [f"the last run ended with {code}"] if code else []
        while len(reader.digests) < len(journey.whole_drops()):
            reader.take()
        reader.end()
        names = {drop.name for drop in journey.whole_drops()}
        if names != set(reader.digests) or len(names) != letters:
            faults.append(f"{letters} letters, {len(names)} drops, {len(reader.digests)} seen")
        if len(set(journey.dropped_ids())) != letters:
            faults.append("a letter was dropped twice")
        return [
            *faults,
            *reader.faults,
            *(f"{left} remains" for left in aftermath.temporaries(journey)),
        ]


def _waves(journey: Journey, letters: int, number: int) -> Iterator[int]:
    """Publish the letters in so many waves; how many each has."""
    more = sample_letters(letters * 2, party=journey.scene.party, now=datetime.now(UTC))
    ordinary = [letter for letter in more if not letter.is_confidential][:letters]
    for wave in range(number):
        some = ordinary[letters * wave // number : letters * (wave + 1) // number]
        for letter in some:
            journey.altinn.publish(letter)
        yield len(some)


def _kill_while_dropping(journey: Journey, reader: Reader, wanted: int, *, worker: bool) -> None:
    """Run the service until the consumer has seen so many letters in all, and kill it; or one
    `worker`, which is replaced, and then the service."""
    process = journey.start(
        "run", output=sys.stderr.fileno(), errors=os.open(os.devnull, os.O_WRONLY)
    )
    while len(reader.digests) < wanted:
        reader.take()
    if worker:
        os.kill(workers_of(process)[0], signal.SIGKILL)
        time.sleep(_AFTER)
    kill(process)


def main() -> int:
    """Race, print the result, and fail if anything was wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--letters", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 20))
    parser.add_argument("--report", type=Path, help="write the result into this page")
    options = parser.parse_args()
    faults = race(options.letters, options.kills, options.seed)
    for fault in faults:
        print(fault)  # a report
    where = (
        f"{datetime.now(UTC):%Y-%m-%d}, Linux {platform.release()}, Python "
        f"{platform.python_version()}"
    )
    text = (
        f"{where}: {options.letters} drops, {options.kills} kills, seed {options.seed}; wrong: "
        f"{len(faults)}."
    )
    print(text)  # a report
    if options.report:
        write_section(options.report, "drop-reader", text)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
