"""Guarded streams: a terminal no letter may control, a pipe that may close, a full disk.

All output of a command passes through here. Control characters and marks that change the direction
of writing, which come from letters, are shown as U+FFFD; only what draws a table by itself bypasses
that. If stdout cannot be written, the command ends with an exit code of its own and never with a
traceback; what stderr cannot take is dropped.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from errno import EPIPE
from typing import Any, TextIO, cast

from daemon.core.errors import PostmottakError
from daemon.core.printable import without_controls


class OutputLost(PostmottakError):
    """The output of a command cannot be written."""

    def __init__(self, error: OSError) -> None:
        self.reader_gone = error.errno == EPIPE
        super().__init__(
            f"the output cannot be written: {(error.strerror or 'the reader refuses it').lower()}"
        )


class Guarded:
    """A stream around another one, whose attributes it has."""

    def __init__(self, under: TextIO, *, heard: bool, clean: bool = True) -> None:
        """Wrap `under`.

        `heard`: raise OutputLost where nothing can be written; otherwise the text is dropped.
        `clean`: replace control characters.
        """
        self.under, self._heard, self._clean = under, heard, clean

    def write(self, text: str) -> int:
        """Write the text.

        Nothing is tried for an empty text: some callers only test whether the stream takes text.
        """
        shown = without_controls(text) if self._clean else text
        if shown:
            with self._trouble():
                self.under.write(shown)
        return len(text)

    def flush(self) -> None:
        """Write what is held back."""
        with self._trouble():
            self.under.flush()

    def as_it_is(self) -> Guarded:
        """The same stream for what draws on a terminal, and has cleaned what it draws."""
        return Guarded(self.under, heard=self._heard, clean=False)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.under, name)

    @contextmanager
    def _trouble(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            _pour_away(self.under)
            if self._heard:
                raise OutputLost(error) from error


def _pour_away(stream: TextIO) -> None:
    """Point the stream at /dev/null, so that the rest of its buffer is discarded.

    Python would try to write it again at exit, and fail with a code of its own.
    """
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


@contextmanager
def guarded_streams() -> Iterator[None]:
    """Guard stdout and stderr until the block ends.

    Raises OutputLost, at the latest at the end of the block.
    """
    _open_what_is_closed()
    out, err = Guarded(sys.stdout, heard=True), Guarded(sys.stderr, heard=False)
    with redirect_stdout(cast("TextIO", out)), redirect_stderr(cast("TextIO", err)):
        try:
            yield
        finally:
            out.flush()


@contextmanager
def drawing() -> Iterator[None]:
    """Let the block draw on the terminal."""
    with redirect_stdout(drawn()):
        yield


def drawn() -> TextIO:
    """Stdout for what draws on a terminal."""
    return cast("TextIO", sys.stdout.as_it_is()) if isinstance(sys.stdout, Guarded) else sys.stdout


def _open_what_is_closed() -> None:
    """Give a process that was started without stdin, stdout or stderr empty ones.

    Otherwise the next file to be opened would take their places.
    """
    # stderr is the last of the three
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:  # noqa: PLR2004
        pass
    os.close(descriptor)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            # for as long as the process lives
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
