"""JSON documents with any number of values, which are never all in memory.

They look as `print_json` would print them.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Self

from daemon.cli.output import to_json
from daemon.core.errors import PostmottakError

_IN_MEMORY = 1 << 20  # bytes; more are in a file


def print_json_list(values: Iterable[object]) -> None:
    """Print a list, each value as soon as it is known."""
    between = "[\n"
    for value in values:
        sys.stdout.write(f"{between}{_indented(to_json(value), 2)}")
        between = ",\n"
    sys.stdout.write("[]\n" if between == "[\n" else "\n]\n")


class JsonRows:
    """The values of the last key of a document, in a temporary file until all are known.

    So nothing is printed if the command fails, and no slow reader holds it up. Use it as a context
    manager.
    """

    def __init__(self) -> None:
        # closed by __exit__
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115
        self._has_some = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with _as_error():
            self._file.close()

    def add(self, value: object, key: str | None = None) -> None:
        """Add a value of a list, or with `key` one of an object. Raises PostmottakError."""
        name = "" if key is None else f"{to_json(key).strip()}: "
        line = ",\n" if self._has_some else ""
        self._has_some = True
        with _as_error():
            self._file.write(f"{line}    {name}{_indented(to_json(value), 4).lstrip()}".encode())

    def print_in(
        self, facts: Mapping[str, object], key: str, brackets: tuple[str, str] = ("[", "]")
    ) -> None:
        """Print the document: the facts, and then what was added as the value of `key`.

        Raises PostmottakError.
        """
        head = to_json({**facts, key: None}).removesuffix("null\n}\n")
        first, last = brackets
        sys.stdout.write(f"{head}{first}\n" if self._has_some else f"{head}{first}")
        with _as_error():
            self._file.seek(0)
        while line := self._line():
            sys.stdout.write(line)
        sys.stdout.write(f"\n  {last}\n}}\n" if self._has_some else f"{last}\n}}\n")

    def _line(self) -> str:
        with _as_error():
            return self._file.readline().decode()


def _indented(text: str, blanks: int) -> str:
    """Return a document without its last newline, as a value so deep in another one."""
    return " " * blanks + text.rstrip("\n").replace("\n", "\n" + " " * blanks)


@contextmanager
def _as_error() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PostmottakError(
            f"the result cannot be kept in the folder for temporary files: {error.strerror}; make "
            "room there, or name another folder with the environment variable TMPDIR"
        ) from error
