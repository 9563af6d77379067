"""Saves the routing table in the worst ways while letters arrive, and looks whether every edit and
every letter came through.

`python tests/sweeps/edit_sweep.py [--edits N] [--letters N]`. Each edit must be in force within 2
seconds after it was saved, or within half a minute where only the look of its own can see it; each
letter must be decided by a whole table, and none may be lost.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

# the checkout is on the path now
from connectors.sandbox.letters import PretendLetter  # noqa: E402
from tests.journeys.conftest import Begin, Journey  # noqa: E402  # likewise
from tests.journeys.edits import (  # noqa: E402  # likewise
    STYLES,
    TABLE,
    decisions,
    in_force,
    link_swapped_further_up,
    version,
)

SOON, BY_LOOKING = 2.0, 31.0  # seconds; the look comes every 30, and takes a moment
SETTLED = 2.0  # seconds after which nothing of what happened is still to be noticed
IN_TIME = 180


def main() -> int:
    """Sweep, print what was measured, and fail if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edits", type=int, default=100)
    parser.add_argument("--letters", type=int, default=1000)
    chosen = parser.parse_args()
    faults = [*storm(chosen.edits, chosen.letters), *unseen()]
    for fault in faults:
        print(f"FAULT: {fault}")
    return 1 if faults else 0


def storm(edits: int, letters: int) -> list[str]:
    """Edits in every style, one after the other, while letters arrive."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Begin(Path(folder), mailbox='poll_every = "1s"\n', routing=TABLE) as journey,
    ):
        file = journey.scene.folder / "routing.toml"
        published: list[str] = []
        texts = [TABLE]
        waits: list[float] = []
        each = -(-letters // edits)

        def arrive() -> None:
            some = min(each, letters - len(published))
            published.extend(
                journey.altinn.publish(PretendLetter(party=journey.scene.party))
                for _ in range(some)
            )

        with serving(journey):
            for number, save in enumerate(islice(cycle(STYLES), edits)):
                texts.append(TABLE.replace("Alt annet", f"utgave {number}"))
                save(file, texts[-1], once(arrive))
                waits.append(wait_until_in_force(journey, texts[-1]))
            everything = journey.altinn.wait_for(
                lambda: set(published) == set(decisions(journey)), timeout=IN_TIME
            )
            journey.altinn.wait_for(
                lambda: len(journey.whole_drops()) == len(published), timeout=IN_TIME
            )
        half = {table for _, table in decisions(journey).values()} - set(map(version, texts))
        drops = journey.dropped_ids()
    print(
        f"{edits} edits in {len(STYLES)} styles, {len(published)} letters; "
        f"in force after {median(waits):.2f} s mostly, {max(waits):.2f} s at most"
    )
    return [
        *([f"an edit took {max(waits):.2f} s"] if max(waits) > SOON else []),
        *([] if everything else ["letters are missing"]),
        *([f"{len(half)} tables were half written"] if half else []),
        *([] if drops == sorted(published) else ["the drops are not the letters"]),
    ]


def unseen() -> list[str]:
    """Edits that nothing tells of: a link is swapped further up, and a folder is removed and made
    again."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Begin(Path(folder), mailbox='poll_every = "1s"\n', routing=TABLE) as journey,
    ):
        configuration, swap = link_swapped_further_up(journey, TABLE.replace("Alt annet", "new"))
        with serving(journey, configuration):
            time.sleep(SETTLED)
            new = swap()
            swapped = wait_until_in_force(journey, TABLE.replace("Alt annet", "new"))
            shutil.rmtree(new.parent)
            time.sleep(SETTLED)
            new.parent.mkdir()
            new.write_text(TABLE.replace("Alt annet", "newer"))
            made_again = wait_until_in_force(journey, TABLE.replace("Alt annet", "newer"))
    print(
        f"a link swapped further up: in force after {swapped:.1f} s; a folder made again: "
        f"{made_again:.1f} s"
    )
    return [
        f"an edit that only the look can see took {each:.1f} s"
        for each in (swapped, made_again)
        if each > BY_LOOKING
    ]


class serving:  # noqa: N801  # it is used as a verb: with serving(journey)
    """The service, until the block ends."""

    def __init__(self, journey: Journey, configuration: Path | None = None) -> None:
        self._log = (
            journey.scene.folder / "log.txt"
        )  # a pipe that nobody reads would fill up, and stop the service
        with self._log.open("w") as log:
            self._process = journey.start(
                "-c", str(configuration or journey.scene.configuration), "run", errors=log
            )
        assert journey.altinn.wait_for_calls("list", 1, timeout=IN_TIME)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        if self._process.wait(timeout=IN_TIME):
            raise RuntimeError(self._log.read_text().splitlines()[-1])


def once(action: Callable[[], None]) -> Callable[[], None]:
    """The action, at the first call only: some styles of saving have many moments."""
    left = [action]
    return lambda: left.pop()() if left else None


def wait_until_in_force(journey: Journey, text: str) -> float:
    """Seconds until this table is in force."""
    start = time.monotonic()
    if not journey.altinn.wait_for(lambda: in_force(journey) == version(text), timeout=IN_TIME):
        raise RuntimeError("an edit never came into force")
    return time.monotonic() - start


def median(numbers: list[float]) -> float:
    """The one in the middle."""
    return sorted(numbers)[len(numbers) // 2]


if __name__ == "__main__":
    sys.exit(main())
