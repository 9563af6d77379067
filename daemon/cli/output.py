"""What commands share: their exit codes, their options, and how they print."""

from __future__ import annotations

import getpass
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, is_dataclass
from datetime import datetime
from enum import IntEnum
from pathlib import Path
from typing import Annotated, TypeVar
from uuid import UUID

import typer

from daemon.cli.tables import print_list, print_table, printable

__all__ = [
    "Exit",
    "Json",
    "Options",
    "Progress",
    "counted",
    "options",
    "print_json",
    "print_list",
    "print_table",
    "printable",
    "to_json",
    "whoami",
]

T = TypeVar("T")
_SAY_EVERY = 10.0  # seconds


class Exit(IntEnum):
    """The exit codes; scripts rely on them. `status --monitor` uses 0 to 3 as monitors do."""

    FINE = 0
    WRONG = 1
    USAGE = 2
    REMAINS = 3
    UNREACHABLE = 4
    CHANGED = 5
    INTERRUPTED = 130  # 128 and SIGINT, as shells report it
    READER_GONE = 141  # 128 and SIGPIPE

    @property
    def meaning(self) -> str:
        """What the code means, as a sentence for people; the man page lists these."""
        return _MEANINGS[self]


_MEANINGS = {
    Exit.FINE: "Success.",
    Exit.WRONG: (
        "The configuration is not valid, a check failed, what was asked cannot be done, or a "
        "question was answered with no."
    ),
    Exit.USAGE: (
        "The command was used incorrectly, or it needs --yes because stdin is not a terminal."
    ),
    Exit.REMAINS: (
        "Work remains: something is waiting, dead, missing, or could not be fetched; or `status` "
        "found a problem."
    ),
    Exit.UNREACHABLE: (
        "Altinn or the database cannot be reached, or the output cannot be written."
    ),
    Exit.CHANGED: "`routes test` found letters that would go elsewhere.",
    Exit.INTERRUPTED: "The command was interrupted with Ctrl-C (SIGINT).",
    Exit.READER_GONE: "The program that read the output ended first, such as `head`.",
}


@dataclass(frozen=True)
class Options:
    """The options that stand before the command."""

    config: Path


Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def options(context: typer.Context) -> Options:
    """Return the options that stood before the command."""
    found = context.obj
    assert isinstance(found, Options)
    return found


def whoami() -> str:
    """Return the user who gives the command, for the record; behind sudo, the one who called it."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (
        KeyError,
        OSError,
    ):  # a user without a name; the error's type depends on the version of Python
        return f"user {os.getuid()}"


def print_json(value: object) -> None:
    """Print one JSON document; non-ASCII letters stay readable."""
    sys.stdout.write(to_json(value))


def to_json(value: object) -> str:
    """Return one JSON document as text, with ids, times and paths as they are usually written."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=_plain)
    return (
        "\n".join(line if line.isprintable() else _escaped(line) for line in text.split("\n"))
        + "\n"
    )


def _escaped(line: str) -> str:
    """Return the line of JSON with its invisible and control characters escaped.

    Its value stays the same.
    """
    return "".join(letter if letter.isprintable() else json.dumps(letter)[1:-1] for letter in line)


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID | Path):
        return str(value)
    if dump := getattr(value, "model_dump", None):  # pydantic's, without its import
        return dump()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


class Progress:
    """Reports on stderr what a slow command is doing, now and then.

    Quick commands print nothing.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = self._said = clock()

    def __call__(self, what: str) -> None:
        """Report it, if enough time has passed since the last report."""
        now = self._clock()
        if now - self._said >= _SAY_EVERY:
            sys.stderr.write(f"{what}, {now - self._began:.0f} s\n")
            self._said = now

    def each(self, what: str, values: Iterable[T]) -> Iterator[T]:
        """Yield the values, and report how many have been seen."""
        for number, value in enumerate(values, start=1):
            self(f"{what}, {number} seen")
            yield value


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun: `1 letter`, `2 letters`; `many` is for irregular plurals."""
    return f"{number} {one if number == 1 else many or one + 's'}"
