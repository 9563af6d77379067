"""Strikes one command at one system call with strace: kills it there, or lets the call fail. What
the sweeps over all calls share.

The command runs in one thread of a warm process, so that the Nth call of each kind is the same in
each run.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from tests.processes.warm import Warm, request
from tests.sweeps.report import write_section

CALLS = (
    *(
        "write",
        "writev",
        "pwrite64",
        "pwritev",
        "fsync",
        "syncfs",
        "fdatasync",
        "ftruncate",
        "mkdir",
        "mkdirat",
        "rmdir",
    ),
    *(
        "rename",
        "renameat",
        "renameat2",
        "link",
        "linkat",
        "unlink",
        "unlinkat",
        "connect",
        "sendto",
        "sendmsg",
    ),
)
FAULTS = ("KILL", "EIO", "ENOSPC")
FATAL = 4
_CALL = re.compile(r"^\d+ +(\w+)\((?:\d+<([^>]*)>)?", re.MULTILINE)
_TELL_EVERY = 100


@dataclass(frozen=True, kw_only=True)
class Point:
    """The Nth call of a kind in a command, and what is to befall it."""

    command: str = "poll"
    call: str
    number: int
    fault: str


@dataclass(frozen=True, kw_only=True)
class Result:
    """One run that was struck, and what came after it."""

    point: Point
    struck: str
    """The line of the trace that tells which call it was; empty if the run ended before."""
    faults: tuple[str, ...]
    repeats: int = 0


class Sweeper(Protocol):
    """Strikes at points, one after the other."""

    def watch(self) -> list[Point]:
        """Every call of each command that nothing befalls; the fault is left open."""

    def strike(self, point: Point) -> Result:
        """Strike at the point, and look."""

    def close(self) -> None:
        """End what was begun."""


def traced(warm: Warm, configuration: Path, arguments: Sequence[str], point: Point | None) -> int:
    """Run a command under strace, struck at the point if there is one; its exit code. The trace is
    beside the configuration."""
    folder = configuration.parent
    os.mkfifo(folder / "go")
    child = warm.start(request(configuration, arguments, hold=str(folder / "go")))
    command = [
        "strace",
        "-f",
        "-y",
        "-o",
        str(folder / "trace"),
        "-e",
        f"trace={','.join(CALLS)}",
        *_inject(point),
        "-p",
        str(child),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
        assert strace.stderr is not None
        attached = strace.stderr.readline()
        (folder / "go").write_bytes(b"")
        code = warm.end()
        strace.communicate()
    if "attached" not in attached:
        raise SystemExit(f"strace cannot attach: {attached.strip()}")
    return code


def _inject(point: Point | None) -> list[str]:
    if point is None:
        return []
    how = "signal=KILL" if point.fault == "KILL" else f"error={point.fault}"
    return ["-e", f"inject={point.call}:{how}:when={point.number}"]


def points(folder: Path, command: str = "poll") -> list[Point]:
    """The calls of a trace, but for those on anything that is neither a file of the service nor a
    socket: its log."""
    seen: Counter[str] = Counter()
    found = []
    for call, place in _CALL.findall(_trace(folder)):
        seen[call] += 1
        if not place.endswith(("errors.txt", "output.txt")):
            found.append(Point(command=command, call=call, number=seen[call], fault=""))
    return found


def struck_at(folder: Path, point: Point, code: int) -> str:
    """The line of the trace with the call that was struck; empty if none was."""
    lines = _trace(folder).splitlines()
    if point.fault == "KILL":
        return (
            next((line for line in reversed(lines) if f" {point.call}(" in line), "")
            if code == -9
            else ""
        )
    return next((line for line in lines if "INJECTED" in line), "")


def last_error(folder: Path) -> str:
    """The last line that the last command wrote on stderr."""
    lines = (folder / "errors.txt").read_text().splitlines()
    return lines[-1] if lines else ""


def not_told_well(folder: Path, code: int) -> Iterator[str]:
    """What is wrong with how a command told that a call failed: a traceback, or not one line where
    it ended for that."""
    errors = (folder / "errors.txt").read_text()
    if "Traceback" in errors or "fault=" in errors:
        yield f"a fault that was not foreseen: {last_error(folder)}"
    own = [line for line in errors.splitlines() if not line.startswith("timestamp=")]
    if code in {1, FATAL} and len(own) != 1:
        yield f"{len(own)} lines on stderr beside the log: {own}"


def _trace(folder: Path) -> str:
    return (folder / "trace").read_text(errors="replace")


_here: list[Sweeper] = []
"""The sweeper of a worker process."""


def _begin_here(make: Callable[[], Sweeper]) -> None:
    _here.append(make())


def _strike_here(point: Point) -> Result:
    return _here[0].strike(point)


def _all_points(make: Callable[[], Sweeper], faults: Sequence[str]) -> list[Point]:
    """Every call of a run, for each fault."""
    here = make()
    calls = here.watch()
    here.close()
    return [replace(call, fault=fault) for fault in faults for call in calls]


def table(results: Sequence[Result], column: str = "fault") -> str:
    """How many of each call were struck, as a table in Markdown, with a column for each fault; or
    for each command, or whatever attribute of a point is named."""
    struck = [each for each in results if each.struck]
    columns = list(dict.fromkeys(str(getattr(each.point, column)) for each in results))
    by_column = [
        [each for each in struck if getattr(each.point, column) == name] for name in columns
    ]
    lines = [_row("call", columns), f"|---|{'---:|' * len(columns)}"]
    for call in dict.fromkeys([*CALLS, *sorted({each.point.call for each in struck})]):
        numbers = [sum(each.point.call == call for each in some) for some in by_column]
        lines += [_row(f"`{call}`", numbers)] if any(numbers) else []
    lines.append(_row("all", [len(some) for some in by_column]))
    lines.append(_row("wrong", [sum(bool(each.faults) for each in some) for some in by_column]))
    if any(each.repeats for each in results):
        lines.append(
            _row("repeats at the sinks", [sum(each.repeats for each in some) for some in by_column])
        )
    return "\n".join(lines)


def _row(name: str, cells: Sequence[object]) -> str:
    return f"| {' | '.join(map(str, [name, *cells]))} |"


def about_run(results: Sequence[Result], seconds: float) -> str:
    """Where and how long the runs were, and how many were never struck."""
    missed = sum(not result.struck for result in results)
    where = (
        f"{datetime.now(UTC):%Y-%m-%d}, Linux {platform.release()}, Python "
        f"{platform.python_version()}"
    )
    return (
        f"{where}; {len(results)} runs, of which {missed} ended before the call; "
        f"{seconds / 60:.0f} minutes."
    )


def main(
    make: Callable[[], Sweeper],
    section: str,
    about: str | None,
    *,
    faults: Sequence[str] = FAULTS,
    column: str = "fault",
) -> int:
    """Sweep, print what was wrong and the table with this column, and fail if anything was
    wrong."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--every", type=int, default=1, help="strike only at each Kth call")
    parser.add_argument(
        "--fault", choices=faults, action="append", help="only this fault; may be repeated"
    )
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="runs at a time")
    parser.add_argument("--report", type=Path, help="write the table into this page")
    options = parser.parse_args()
    began = time.monotonic()
    wanted, results = _all_points(make, options.fault or faults)[:: options.every], []
    with ProcessPoolExecutor(options.processes, initializer=_begin_here, initargs=(make,)) as pool:
        for result in pool.map(_strike_here, wanted):
            results.append(result)
            _tell(results, len(wanted))
    text = f"{about_run(results, time.monotonic() - began)}\n\n{table(results, column)}"
    print(text)  # a report
    if options.report:
        write_section(options.report, section, text)
    return 1 if any(result.faults for result in results) else 0


def _tell(results: Sequence[Result], wanted: int) -> None:
    """Say what was wrong with the last one, and now and then how far it is."""
    last = results[-1]
    if len(results) % _TELL_EVERY == 0:
        print(f"{len(results)} of {wanted} runs", file=sys.stderr, flush=True)  # it takes long
    for fault in last.faults:
        where = f"{last.point.command}, {last.point.call} {last.point.number} {last.point.fault}"
        print(
            f"{where}: {fault}\n    {last.struck.partition(' ')[2].strip()}", flush=True
        )  # a report
