"""Puts a table in force by replacing its file, so that file and history always agree."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from daemon.core.errors import OperatorError
from daemon.page.editing.draft import version_of
from daemon.runtime.replacing import replace_text
from daemon.store import Intent, Store

_MARK = b"\xef\xbb\xbf"  # of UTF-8, as some editors on Windows write it


class Stale(OperatorError):
    """The file is not the one that the edit began from."""


class NotWritable(OperatorError):
    """The file cannot be replaced. `reason` is the system's."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path} cannot be written: {reason}; nothing was changed")


@dataclass(frozen=True)
class TableFile:
    """What the table's file says now, and how it is written."""

    path: Path
    content: bytes

    @property
    def text(self) -> str:
        """Its text, as the service reads it. Raises UnicodeDecodeError."""
        return io.TextIOWrapper(io.BytesIO(self.content), encoding="utf-8-sig").read()

    @property
    def version(self) -> str:
        """The version of its text; something else if it is not UTF-8."""
        try:
            return version_of(self.text)
        except UnicodeDecodeError:
            return ""

    def in_its_form(self, text: str) -> str:
        """Return a text with the file's line ends, and its mark at the beginning."""
        mark = "\ufeff" if self.content.startswith(_MARK) else ""
        return mark + (text.replace("\n", "\r\n") if b"\r\n" in self.content else text)


class Publisher:
    """Replaces the table's file, one publication at a time. May be used from several threads."""

    def __init__(self, store: Store, path: Path, clock: Callable[[], datetime]) -> None:
        self._store, self._path, self._clock = store, path, clock
        self._one = threading.Lock()

    def read(self) -> TableFile:
        """Return the file as it is, after completing what a crash interrupted.

        Raises NotWritable if it cannot be read.
        """
        with self._one:
            return self._settled()

    def _settled(self) -> TableFile:
        try:
            found = TableFile(self._path, self._path.read_bytes())
        except OSError as error:
            raise NotWritable(self._path, _reason(error)) from error
        self._store.publications.settle(found.version)
        return found

    def publish(self, intent: Intent, base_version: str) -> None:
        """Replace the file and record it; the file keeps its owner, its mode and its line ends.

        Raises Stale if it is not the version that the edit began from, and NotWritable.
        """
        with self._one:
            now = self._settled()
            if now.version != base_version:
                raise Stale("the routing table was changed by somebody else meanwhile")
            _require_writable(self._path)
            number = self._store.publications.begin(intent, self._clock())
            try:
                replace_text(self._path, now.in_its_form(intent.text))
            except OSError as error:
                # it may have the new text nevertheless, if only the folder could not be synced
                if self._settled().version != intent.version:
                    raise NotWritable(self._path, _reason(error)) from error
            self._store.publications.finish(number)


def _require_writable(path: Path) -> None:
    """Refuse a file that is meant not to be written, even where its folder would allow it."""
    if not path.stat().st_mode & 0o222 or not os.access(path, os.W_OK):
        raise NotWritable(path, "it is read-only")


def _reason(error: OSError) -> str:
    return (error.strerror or "it cannot be opened").lower()
