"""Measures commands that look at everything, with few and with many letters stored.

Those that list must not become slower over the years, the others only in proportion, and none may
need more memory.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.many_letters import installation
from benchmarks.report import Figure
from benchmarks.service import COMMAND

_SIZES = (1_000, 100_000, 1_000_000)
_FLAT = ("status", "deliveries list", "messages list")
_WALKS = (
    "routes test other.toml --since 90d",
    "routes apply --since 90d --dry-run",
    "retention run --dry-run",
    "backup first",
    "backup second",
    "db check",
)
_MEMORY_AT_MOST = 300.0  # of which the check of a database takes 200 as its cache
_CHANGED = 5  # the exit code of `routes test` where letters would go elsewhere
_REMAINS = 3
_STARTER = """
import resource, subprocess, sys, time
began = time.perf_counter()
code = subprocess.call(
    sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
)
seconds = time.perf_counter() - began
print(code, seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""Starts a command from a small process, whose memory Linux counts as the command's own."""


def size(folder: Path) -> Iterator[Figure]:
    """Measure each command with each number of letters."""
    first: dict[str, float] = {}
    for count in _SIZES:
        place = folder / str(count)
        configuration = installation(place, count)
        table = (place / "routing.toml").read_text(encoding="utf-8")
        other = table.replace('to = ["kari"]', 'to = ["ola"]')
        (place / "other.toml").write_text(other, encoding="utf-8")
        for command in (*_FLAT, *_WALKS):
            seconds, memory = _measured(place, configuration, command)
            first.setdefault(command, seconds)
            yield Figure(
                what=f"`{command}`, {count:,} letters, seconds; {memory:.0f} MB",
                measured=f"{seconds:.1f}",
                beside=f"{first[command]:.1f}: with {_SIZES[0]:,}" if count > _SIZES[0] else "",
                ratio=seconds / first[command] if count > _SIZES[0] else None,
                wanted=f"at most {_MEMORY_AT_MOST:.0f} MB",
                held=memory <= _MEMORY_AT_MOST,
            )


def _measured(place: Path, configuration: Path, command: str) -> tuple[float, float]:
    """Run a command. Returns its seconds and its peak memory in MB."""
    ended = subprocess.run(  # noqa: S603  # our own command
        [sys.executable, "-c", _STARTER, *COMMAND, "-c", str(configuration), *command.split()],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    code, seconds, memory = ended.stdout.split()
    if int(code) not in {0, _CHANGED, _REMAINS}:
        raise RuntimeError(f"{command} ended with {code}")
    return float(seconds), float(memory) / 1024
