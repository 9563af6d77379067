"""Kills the service at every system call that matters, lets every one fail, and looks whether one run afterwards puts all right.

`crash_sweep.py [--fault KILL|EIO|ENOSPC] [--every K] [--processes N] [--report FILE]`; needs strace and the right to trace.

One run fetches three letters and delivers them to a file drop, a mail sink and a webhook sink, in one thread, so that the Nth call of
each kind is the same in each run. A first run, only watched, tells how many calls there are; then each is struck once for each fault.
Calls on what is no file of the service and no socket (its log) are not struck.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from connectors.sandbox.samples import letters as sample_letters
from tests.journeys.conftest import Begin, Journey
from tests.sweeps import aftermath
from tests.sweeps.report import write_section
from tests.sweeps.warm import Request, Warm

CALLS = (
    *("write", "writev", "pwrite64", "pwritev", "fsync", "fdatasync", "ftruncate", "mkdir", "mkdirat", "rmdir"),
    *("rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat", "connect", "sendto", "sendmsg"),
)
FAULTS = ("KILL", "EIO", "ENOSPC")
LETTERS = 3
_MAILBOX = 'services = ["4255/1", "4255/2", "4255/3"]\n'
_CALL = re.compile(r"^\d+ +(\w+)\((?:\d+<([^>]*)>)?", re.MULTILINE)
_FATAL = 4
_TELL_EVERY = 100
_OURS = ("postmottak.db", "/content")


@dataclass(frozen=True, kw_only=True)
class Point:
    """The Nth call of a kind, and what is to befall it."""

    call: str
    number: int
    fault: str


@dataclass(frozen=True, kw_only=True)
class Result:
    """One run that was struck, and the run after it."""

    point: Point
    struck: str
    """The line of the trace that tells which call it was; empty if the run ended before."""
    faults: tuple[str, ...]
    repeats: int


class Sweep:
    """Runs points one after the other, with a warm process of its own."""

    def __init__(self) -> None:
        self._warm = Warm(one_thread=True)
        self._database = self._empty_database()

    def watch(self) -> list[tuple[str, int]]:
        """The calls of a run that nothing befalls: kind and number, without those that are nobody's files or sockets."""
        with _journey() as (journey, _):
            self._lay_down(journey)
            code = self._traced(journey, [])
            if code:
                raise SystemExit(f"the run that is only watched ended with {code}: {_errors(journey)}")
            seen: Counter[str] = Counter()
            points = []
            for call, place in _CALL.findall(_trace(journey)):
                seen[call] += 1
                if not place.endswith(("errors.txt", "output.txt")):
                    points.append((call, seen[call]))
        return points

    def strike(self, point: Point) -> Result:
        """Strike at the point, run once more as usual, and look."""
        with _journey() as (journey, published):
            self._lay_down(journey)
            how = "signal=KILL" if point.fault == "KILL" else f"error={point.fault}"
            code = self._traced(journey, ["-e", f"inject={point.call}:{how}:when={point.number}"])
            struck = _struck(journey, point, code)
            found = list(_of_first_run(journey, point, code, struck)) if struck else []
            if any(state == "pending" for _, _, state in aftermath.delivery_states(journey)):
                self._run(journey, "deliveries", "retry", "--state", "pending")
            after = self._run(journey, "poll", "--json")
            if after:
                found.append(f"the run afterwards ended with {after}: {_errors(journey)}")
            found += aftermath.faults(journey, published, most_repeats=1, disk_failed=point.fault != "KILL")
            hooks, mails = aftermath.taken(journey)
        repeats = hooks.total() - len(hooks) + mails.total() - len(mails)
        return Result(point=point, struck=struck, faults=tuple(found), repeats=repeats)

    def close(self) -> None:
        """End the warm process."""
        self._warm.close()

    def _empty_database(self) -> bytes:
        """A database with its tables and no letter: making the tables is no part of the run that is struck."""
        with tempfile.TemporaryDirectory() as folder, Begin(Path(folder), mailbox=_MAILBOX, routing=aftermath.ROUTING) as journey:
            if code := self._run(journey, "poll", "--json"):
                raise SystemExit(f"a poll of nothing ended with {code}: {_errors(journey)}")
            return (Path(folder) / "postmottak.db").read_bytes()

    def _lay_down(self, journey: Journey) -> None:
        (journey.scene.folder / "postmottak.db").write_bytes(self._database)
        os.mkfifo(journey.scene.folder / "go")

    def _run(self, journey: Journey, *arguments: str) -> int:
        self._warm.start(_request(journey, arguments))
        return self._warm.end()

    def _traced(self, journey: Journey, inject: Sequence[str]) -> int:
        """A poll under strace; its exit code."""
        folder = journey.scene.folder
        child = self._warm.start(_request(journey, ("poll", "--json"), hold=str(folder / "go")))
        command = ["strace", "-f", "-y", "-o", str(folder / "trace"), "-e", f"trace={','.join(CALLS)}", *inject, "-p", str(child)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
            assert strace.stderr is not None
            attached = strace.stderr.readline()
            (folder / "go").write_bytes(b"")
            code = self._warm.end()
            strace.communicate()
        if "attached" not in attached:
            raise SystemExit(f"strace cannot attach: {attached.strip()}")
        return code


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


def _request(journey: Journey, arguments: Sequence[str], hold: str = "") -> Request:
    folder = journey.scene.folder
    return Request(
        arguments=("-c", str(journey.scene.configuration), *arguments),
        folder=str(folder),
        output=str(folder / "output.txt"),
        errors=str(folder / "errors.txt"),
        hold=hold,
    )


def _trace(journey: Journey) -> str:
    return (journey.scene.folder / "trace").read_text(errors="replace")


def _errors(journey: Journey) -> str:
    lines = (journey.scene.folder / "errors.txt").read_text().splitlines()
    return lines[-1] if lines else ""


def _struck(journey: Journey, point: Point, code: int) -> str:
    lines = _trace(journey).splitlines()
    if point.fault == "KILL":
        return next((line for line in reversed(lines) if f" {point.call}(" in line), "") if code == -9 else ""
    return next((line for line in lines if "INJECTED" in line), "")


def _of_first_run(journey: Journey, point: Point, code: int, struck: str) -> Iterator[str]:
    """What must be true at once: nothing is told as delivered that is not, and a disk that fails ends the run with one clear line."""
    yield from aftermath.told_too_early(journey)
    if point.fault == "KILL":
        return
    errors = (journey.scene.folder / "errors.txt").read_text()
    if "Traceback" in errors or "fault=" in errors:
        yield f"a fault that was not foreseen: {_errors(journey)}"
    own = [line for line in errors.splitlines() if not line.startswith("timestamp=")]
    if code == _FATAL and len(own) != 1:
        yield f"{len(own)} lines on stderr beside the log: {own}"
    if point.fault == "EIO" and _must_be_fatal(struck) and code != _FATAL:
        yield f"ended with {code} after EIO at {_place(struck)}"
    if code not in {0, 3, _FATAL}:
        yield f"ended with {code}"


def _must_be_fatal(struck: str) -> bool:
    """Whether the call was a write, a sync or a rename of the store's or the content's files."""
    kind = struck.partition("(")[0].rpartition(" ")[2]
    return any(ours in struck for ours in _OURS) and "/drop" not in struck and kind not in {"unlink", "unlinkat", "rmdir", "mkdir"}


def _place(struck: str) -> str:
    return re.sub(r"/\S*/sweep-[^/]*", "", struck.partition(" ")[2].strip())[:90]


_here: list[Sweep] = []  # the sweep of this process of the pool


def _begin_here() -> None:
    _here.append(Sweep())


def _strike_here(point: Point) -> Result:
    return _here[0].strike(point)


def sweep(points: Sequence[Point], processes: int) -> Iterator[Result]:
    """Strike at each point, some at a time; the results in order."""
    with ProcessPoolExecutor(processes, initializer=_begin_here) as pool:
        yield from pool.map(_strike_here, points)


def all_points(faults: Sequence[str]) -> list[Point]:
    """Every call of a run, for each fault."""
    here = Sweep()
    calls = here.watch()
    here.close()
    return [Point(call=call, number=number, fault=fault) for fault in faults for call, number in calls]


def table(results: Sequence[Result]) -> str:
    """How many of each call were struck by each fault, as a table in Markdown."""
    faults = [fault for fault in FAULTS if any(each.point.fault == fault for each in results)]
    struck = [each for each in results if each.struck]
    lines = [_row("call", faults), f"|---|{'---:|' * len(faults)}"]
    for call in CALLS:
        number = Counter(each.point.fault for each in struck if each.point.call == call)
        lines += [_row(f"`{call}`", [number[fault] for fault in faults])] if number else []
    by_fault = [[each for each in struck if each.point.fault == fault] for fault in faults]
    lines.append(_row("all", [len(some) for some in by_fault]))
    lines.append(_row("wrong", [sum(bool(each.faults) for each in some) for some in by_fault]))
    lines.append(_row("repeats at the sinks", [sum(each.repeats for each in some) for some in by_fault]))
    return "\n".join(lines)


def _row(name: str, cells: Sequence[object]) -> str:
    return f"| {' | '.join(map(str, [name, *cells]))} |"


def main() -> int:
    """Sweep, print what was wrong and the table, and fail if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1, help="strike only at each Kth call")
    parser.add_argument("--fault", choices=FAULTS, action="append", help="only this fault; may be repeated")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="runs at a time")
    parser.add_argument("--report", type=Path, help="write the table into this page")
    options = parser.parse_args()
    began = time.monotonic()
    points, results = all_points(options.fault or FAULTS)[:: options.every], []
    for result in sweep(points, options.processes):
        results.append(result)
        if len(results) % _TELL_EVERY == 0:
            print(f"{len(results)} of {len(points)} runs", file=sys.stderr, flush=True)  # it takes long
        for fault in result.faults:
            where = f"{result.point.call} {result.point.number} {result.point.fault}"
            print(f"{where}: {fault}\n    {_place(result.struck)}", flush=True)  # a report
    text = f"{_about(results, time.monotonic() - began)}\n\n{table(results)}"
    print(text)  # a report
    if options.report:
        write_section(options.report, "crash-sweep", text)
    return 1 if any(result.faults for result in results) else 0


def _about(results: Sequence[Result], seconds: float) -> str:
    missed = sum(not result.struck for result in results)
    where = f"{datetime.now(UTC):%Y-%m-%d}, Linux {platform.release()}, Python {platform.python_version()}"
    return f"{where}; {len(results)} runs, of which {missed} ended before the call; {seconds / 60:.0f} minutes."


if __name__ == "__main__":
    sys.exit(main())
