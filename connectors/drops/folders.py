"""Which folders a remote drop must make for files that it writes."""

from __future__ import annotations

from collections.abc import Iterator


def above(path: str) -> Iterator[str]:
    """The folders that a file is in, the outermost first: `a` and `a/b` for `a/b/c.txt`."""
    pieces = path.split("/")[:-1]
    for length in range(1, len(pieces) + 1):
        yield "/".join(pieces[:length])
