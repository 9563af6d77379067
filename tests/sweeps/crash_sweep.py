"""Kills the service at every system call that matters, lets every one fail, and looks whether one
run afterwards puts all right.

`crash_sweep.py [--fault KILL|EIO|ENOSPC] [--every K] [--processes N] [--report FILE]`; needs strace
and the right to trace.

One run fetches three letters and delivers them to a file drop, a mail sink and a webhook sink, in
one thread, so that the Nth call of each kind is the same in each run. A first run, only watched,
tells how many calls there are; then each is struck once for each fault. Calls on anything that is
neither a file of the service nor a socket (its log) are not struck.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from connectors.sandbox.samples import letters as sample_letters
from tests.journeys.conftest import Begin, Journey
from tests.processes.warm import Warm
from tests.sweeps import aftermath
from tests.sweeps.strike import (
    FATAL,
    Point,
    Result,
    last_error,
    main,
    not_told_well,
    points,
    struck_at,
    traced,
)

LETTERS = 3
_MAILBOX = 'services = ["4255/1", "4255/2", "4255/3"]\n'
_OURS = ("postmottak.db", "/content")
_POLL = ("poll", "--json")
# the mail and the webhook of each letter: in one thread all attempts end before any of them is
# recorded
_MOST_REPEATS = 6


class Sweep:
    """Runs points one after the other, with a warm process of its own or with another's."""

    def __init__(self, warm: Warm | None = None) -> None:
        self._warm, self._is_own = warm or Warm(one_thread=True), warm is None
        self._database = self._empty_database()

    def watch(self) -> list[Point]:
        """The calls of a run that nothing befalls."""
        with _journey() as (journey, _):
            self._lay_down(journey)
            code = traced(self._warm, journey.scene.configuration, _POLL, None)
            if code:
                raise SystemExit(
                    f"the run that is only watched ended with {code}: "
                    f"{last_error(journey.scene.folder)}"
                )
            return points(journey.scene.folder)

    def strike(self, point: Point) -> Result:
        """Strike at the point, run once more as usual, and look."""
        with _journey() as (journey, published):
            self._lay_down(journey)
            code = traced(self._warm, journey.scene.configuration, _POLL, point)
            struck = struck_at(journey.scene.folder, point, code)
            found = list(_of_first_run(journey, point, code, struck)) if struck else []
            if any(state == "pending" for _, _, state in aftermath.delivery_states(journey)):
                self._run(journey, "deliveries", "retry", "--state", "pending", "--yes")
            after = self._run(journey, *_POLL)
            if after:
                found.append(
                    f"the run afterwards ended with {after}: {last_error(journey.scene.folder)}"
                )
            found += aftermath.faults(
                journey, published, most_repeats=_MOST_REPEATS, disk_failed=point.fault != "KILL"
            )
            hooks, mails = aftermath.taken(journey)
        repeats = hooks.total() - len(hooks) + mails.total() - len(mails)
        return Result(point=point, struck=struck, faults=tuple(found), repeats=repeats)

    def close(self) -> None:
        """End the warm process, if it is its own."""
        if self._is_own:
            self._warm.close()

    def _empty_database(self) -> bytes:
        """A database with its tables and no letter: making the tables does not belong to the run
        that is struck."""
        with (
            tempfile.TemporaryDirectory() as folder,
            Begin(Path(folder), mailbox=_MAILBOX, routing=aftermath.ROUTING) as journey,
        ):
            if code := self._run(journey, *_POLL):
                raise SystemExit(
                    f"a poll of nothing ended with {code}: {last_error(journey.scene.folder)}"
                )
            return (Path(folder) / "postmottak.db").read_bytes()

    def _lay_down(self, journey: Journey) -> None:
        (journey.scene.folder / "postmottak.db").write_bytes(self._database)

    def _run(self, journey: Journey, *arguments: str) -> int:
        return self._warm.run(journey.scene.configuration, *arguments).code


class _journey:  # noqa: N801  # reads as the function that it would be
    """An installation with three letters waiting in Altinn."""

    def __enter__(self) -> tuple[Journey, list[str]]:
        self._folder = tempfile.TemporaryDirectory(prefix="sweep-")
        self._begin = Begin(Path(self._folder.name), mailbox=_MAILBOX, routing=aftermath.ROUTING)
        journey = self._begin.__enter__()
        letters = sample_letters(LETTERS, party=journey.scene.party, now=datetime.now(UTC))
        return journey, [journey.altinn.publish(letter) for letter in letters]

    def __exit__(self, *error: object) -> None:
        self._begin.__exit__(*error)
        self._folder.cleanup()


def _of_first_run(journey: Journey, point: Point, code: int, struck: str) -> Iterator[str]:
    """What must be true at once: nothing is told as delivered that is not, and a disk that fails
    ends the run with one clear line."""
    yield from aftermath.told_too_early(journey)
    if point.fault == "KILL":
        return
    yield from not_told_well(journey.scene.folder, code)
    if point.fault == "EIO" and _must_be_fatal(struck) and code != FATAL:
        yield f"ended with {code} after EIO at {_place(struck)}"
    if code not in {0, 3, FATAL}:
        yield f"ended with {code}"


def _must_be_fatal(struck: str) -> bool:
    """Whether the call was a write, a sync or a rename of the store's or the content's files."""
    kind = struck.partition("(")[0].rpartition(" ")[2]
    return (
        any(ours in struck for ours in _OURS)
        and "/drop" not in struck
        and kind not in {"unlink", "unlinkat", "rmdir", "mkdir"}
    )


def _place(struck: str) -> str:
    return re.sub(r"/\S*/sweep-[^/]*", "", struck.partition(" ")[2].strip())[:90]


if __name__ == "__main__":
    sys.exit(main(Sweep, "crash-sweep", __doc__))
