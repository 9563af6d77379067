"""Logging: to stderr, one line per event, with ids and outcomes but no titles, content or secrets.

In systemd's journal an entry is a sentence for people with its values as fields beside it
(`daemon.runtime.journal`); elsewhere it is a line of names and values. Either is JSON where that is
asked for.
"""

from __future__ import annotations

import json
import logging
import os
import select
import stat
import sys
import threading
import traceback
from collections.abc import MutableMapping
from errno import EAGAIN
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from daemon.runtime import journal, library_log, log_settings
from daemon.runtime.light_libraries import structlog
from daemon.runtime.log_settings import LogFormat

if TYPE_CHECKING:
    from structlog.typing import Processor

_NOISY_LOGGERS = ("httpx", "httpcore", "sqlalchemy", "alembic", "apscheduler", "zeep", "mail.log")
"""Libraries that write addresses, parameters or whole messages below WARNING."""


def _where_it_failed(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Add the type and the stack of an unexpected error.

    Not its message, which may quote a letter or a secret.
    """
    if given := event.pop("exc_info", None):
        error = given if isinstance(given, BaseException) else sys.exception()
        frames = traceback.extract_tb(error.__traceback__) if error else []
        event["fault"] = type(error).__name__
        event["at"] = " > ".join(
            f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames
        )
    return event


_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
"""Of syslog(3)."""


def _to_the_journal() -> bool:
    """Whether stderr is the journal: JOURNAL_STREAM has its device and inode (systemd.exec(5))."""
    try:
        found = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def _for_the_journal(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> tuple[tuple[str], dict[str, bytes]]:
    """Return a line for stderr, and the same with fields. The journal adds the time itself."""
    priority = _PRIORITIES.get(str(event.get("level")), 6)
    said = journal.sentence(event)
    entry = journal.entry(said, priority, event) if _is_socket() else b""
    return (f"<{priority}>{said}",), {"entry": entry}


def _is_socket() -> bool:
    """Whether stderr is a socket, as the journal's is: a file in its place gets lines instead."""
    try:
        return stat.S_ISSOCK(os.fstat(sys.stderr.fileno()).st_mode)
    except (OSError, ValueError):
        return False


def _json_for_the_journal(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    """Return one line: the priority (sd-daemon(3)) and JSON."""
    event.pop("timestamp", None)
    return f"<{_PRIORITIES.get(str(event.get('level')), 6)}>{_json(_logger, _method, event)}"


def _json(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    return json.dumps(event, default=str, ensure_ascii=False)


def _form(*, in_journal: bool) -> Processor:
    """Return what makes an entry of an event."""
    if log_settings.current.form is LogFormat.JSON:
        return _json_for_the_journal if in_journal else _json
    if in_journal:
        return _for_the_journal
    return _for_people


_FIRST = ("timestamp", "level", "event")


def _for_people(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    """Return one line: names and values, texts in quotes and with escapes, the event's name first.

    Nothing else is written as Python would: yes and no, lists in words, and no value for None.
    """
    names = dict.fromkeys((*(name for name in _FIRST if name in event), *event))
    return " ".join(f"{name}={_shown(event[name])}" for name in names)


def _shown(value: object) -> str:
    words = journal.in_words(value)
    return words if isinstance(value, bool | int | float) else repr(words)


# bytes that a pipe takes at once if it says that it takes any (pipe(7), PIPE_BUF)
_PIECE = 4096
# milliseconds to wait for a reader that does not read; after that, no line waits until it reads
# again
_PATIENCE = 1000


class LogStream:
    """Writes lines to a stream, and survives a full disk and a reader that has gone or hangs.

    Lost lines are counted, and reported in a line when writing works again. May be used from any
    thread.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self.reason = ""
        """Why the last line was not written; empty if it was."""
        self._stream, self._descriptor = stream, _descriptor(stream)
        self._lock = threading.Lock()
        self._lost = 0
        self._torn = False

    def msg(self, message: str, entry: bytes = b"") -> None:
        """Write a line, or count it as lost.

        The journal is given the `entry` instead, if there is one and the journal takes it.
        """
        with self._lock:
            lost, reason = self._lost, self.reason
            try:
                if not (entry and journal.send(entry)):
                    self._write(message)
            except (OSError, ValueError) as error:  # ValueError: the stream was closed
                self._lost += 1
                self.reason = (getattr(error, "strerror", None) or "it is closed").lower()
                return
            self._lost, self.reason = 0, ""
        if lost:
            structlog.get_logger(__name__).warning(
                "log lines could not be written", lines=lost, reason=reason
            )
            with self._lock:
                # if it could not be reported, it is reported later
                self._lost += lost if self.reason else 0

    debug = info = warning = error = critical = exception = msg

    def _write(self, message: str) -> None:
        if self._descriptor is not None:
            self._write_pieces(self._descriptor, f"{message}\n".encode(errors="backslashreplace"))
        elif self._stream:
            self._stream.write(f"{message}\n")
            self._stream.flush()

    def _write_pieces(self, descriptor: int, line: bytes) -> None:
        """Write in pieces that a reader cannot hold up for ever.

        Not through Python's buffer, which keeps what could not be written.
        """
        left = b"\n" + line if self._torn else line
        while left:
            if not _takes(descriptor, 0 if self.reason else _PATIENCE):
                raise BlockingIOError(EAGAIN, "its reader does not read")
            left = left[os.write(descriptor, left[:_PIECE]) :]
            self._torn = bool(left)


def _descriptor(stream: TextIO | None) -> int | None:
    try:
        return stream.fileno() if stream else None
    except (OSError, ValueError):
        return None


def _takes(descriptor: int, milliseconds: int) -> bool:
    """Whether a write is possible, or fails at once, within this time."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(milliseconds))


_lines = LogStream(None)


def problem() -> str:
    """Return why the log cannot be written; empty if it can. May be called from any thread."""
    return _lines.reason


def configure() -> None:
    """Set up logging for the process; may be called again.

    A log that cannot be written stops nothing.
    """
    global _lines  # noqa: PLW0603  # stderr belongs to the process, and so does its state
    lines = _lines = LogStream(sys.stderr)
    in_journal = _to_the_journal()
    settings = log_settings.current
    for name in _NOISY_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _where_it_failed,
            _form(in_journal=in_journal),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            settings.journal_level if in_journal else settings.level
        ),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=False,
    )
    library_log.install()
