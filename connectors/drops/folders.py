"""Which folders a remote drop must make for files that it writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator


def into_folders(files: Iterable[tuple[str, Iterable[bytes]]], make_folder: Callable[[str], None]) -> Iterator[tuple[str, Iterable[bytes]]]:
    """The files, each after the folders above it were made, the outermost first and each once."""
    made: set[str] = set()
    for path, chunks in files:
        for folder in _above(path):
            if folder not in made:
                make_folder(folder)
                made.add(folder)
        yield path, chunks


def _above(path: str) -> Iterator[str]:
    """The folders that a file is in, the outermost first: `a` and `a/b` for `a/b/c.txt`."""
    pieces = path.split("/")[:-1]
    for length in range(1, len(pieces) + 1):
        yield "/".join(pieces[:length])
