"""Runs the named benchmarks, or all, and prints one table.

If all are run, and none is shortened, the table is also written to docs/performance.md. What
`capacity` finds is written to docs/capacity.md whenever it is run.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path

from benchmarks import report
from benchmarks.abreast import abreast
from benchmarks.bell import bell
from benchmarks.capacity import capacity
from benchmarks.databases import databases
from benchmarks.fast import fast, is_shortened
from benchmarks.ladder import ladder
from benchmarks.memory import idle, memory
from benchmarks.neighbours import neighbours
from benchmarks.page import page
from benchmarks.report import Figure
from benchmarks.routing import routing
from benchmarks.size import size
from benchmarks.stored import stored
from benchmarks.throughput import latency, throughput
from benchmarks.turns import turns
from benchmarks.waiting import waiting

_PARTS: dict[str, Callable[[Path], Iterable[Figure]]] = {
    "fast": fast,
    "throughput": throughput,
    "latency": latency,
    "neighbours": neighbours,
    "memory": memory,
    "stored": stored,
    "size": size,
    "waiting": waiting,
    "bell": bell,
    "abreast": abreast,
    "turns": turns,
    "databases": databases,
    "capacity": capacity,
    "page": page,
    "ladder": ladder,
    "idle": idle,
    "routing": lambda _: routing(100_000),
}


def _figures(name: str, stack: ExitStack) -> Iterator[Figure]:
    """Yield the figures of a part; its folder stays until `stack` is closed.

    ext4 does not use an inode again for five minutes, and until then inspects it whenever it makes
    another: what one part has made is not removed before the last has ended.
    """
    folder = stack.enter_context(
        tempfile.TemporaryDirectory(prefix="postmottak-bench-", ignore_cleanup_errors=True)
    )
    for figure in _PARTS[name](Path(folder)):
        sys.stderr.write(f"{figure.what}: {figure.measured}\n")
        yield figure


def main() -> None:
    """Measure, and print the table."""
    names = sys.argv[1:] or list(_PARTS)
    with ExitStack() as stack:
        parts = {name: list(_figures(name, stack)) for name in names}
        print(report.table([*chain(*parts.values())]), flush=True)  # printing is what it is for
        own_page = parts.pop("capacity", [])
        if len(own_page) > 1:  # a single one says why nothing was measured
            report.write(own_page, report.CAPACITY)
        if len(names) == len(_PARTS) and not is_shortened():
            report.write([*chain(*parts.values())])


if __name__ == "__main__":
    main()
