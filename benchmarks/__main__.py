"""Runs the named benchmarks, or all, and prints one table.

If all are run, and none is shortened, the table is also written to docs/performance.md.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks import report
from benchmarks.abreast import abreast
from benchmarks.bell import bell
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
    "page": page,
    "ladder": ladder,
    "idle": idle,
    "routing": lambda _: routing(100_000),
}


def _figures(names: Iterable[str], stack: ExitStack) -> Iterator[Figure]:
    """Yield the figures of the parts; their folders stay until `stack` is closed.

    ext4 does not use an inode again for five minutes, and until then inspects it whenever it makes
    another: what one part has made is not removed before the last has ended.
    """
    for name in names:
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
        figures = list(_figures(names, stack))
        print(report.table(figures), flush=True)  # printing is what it is for
        if len(names) == len(_PARTS) and not is_shortened():
            report.write(figures)


if __name__ == "__main__":
    main()
