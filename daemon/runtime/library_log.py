"""What libraries write with Python's own `logging`, as lines of ours.

Without this, Python and uvicorn print it to stderr as it is: an exception as a whole traceback with
its message, which may quote a letter or a secret.
"""

from __future__ import annotations

import logging

from daemon.runtime.light_libraries import structlog

_log = structlog.get_logger(__name__)


class LibraryLog(logging.Handler):
    """Writes each record as one line. May be used from any thread."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write where an exception came from; of a record without one, what it says."""
        level = min(record.levelno // 10 * 10, logging.CRITICAL)
        if record.exc_info and record.exc_info[1]:
            # its text is left out as well: asyncio's quotes the exception
            _log.log(level, "unexpected failure", library=record.name, exc_info=record.exc_info[1])
        else:
            _log.log(level, "a library reports", library=record.name, text=_text(record))


def install() -> None:
    """Write what libraries log from now on; may be called again."""
    root = logging.getLogger()
    if not any(isinstance(each, LibraryLog) for each in root.handlers):
        root.addHandler(LibraryLog())


def remove() -> None:
    """Leave to Python what libraries log; may be called again."""
    root = logging.getLogger()
    for each in root.handlers[:]:
        if isinstance(each, LibraryLog):
            root.removeHandler(each)


def _text(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):  # values that do not fit the text
        return str(record.msg)
