"""Where log lines go and how they look: stderr, one line an event, ids and outcomes but never titles, content or secrets.

For systemd's journal each line is JSON with its priority before it (sd-daemon(3)); otherwise it is for people.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import structlog

_TOO_TALKATIVE = ("httpx", "httpcore", "sqlalchemy", "alembic", "apscheduler", "zeep", "mail.log")
"""Libraries that write addresses, parameters or whole messages below WARNING."""


def _where_it_failed(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """For an unexpected error: its type and the way to it, without its words, which may quote a letter or a secret."""
    if event.pop("exc_info", None):
        error = sys.exception()
        frames = traceback.extract_tb(error.__traceback__) if error else []
        event["fault"] = type(error).__name__
        event["at"] = " > ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames)
    return event


_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
"""Of syslog(3)."""


def _to_the_journal() -> bool:
    """Whether stderr is the journal's: systemd names its device and inode (systemd.exec(5), JOURNAL_STREAM)."""
    try:
        found = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def _for_the_journal(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    """One line: priority and JSON. The journal knows the time itself."""
    event.pop("timestamp", None)
    return f"<{_PRIORITIES.get(str(event.get('level')), 6)}>{json.dumps(event, default=str, ensure_ascii=False)}"


def configure() -> None:
    """Set up logging for the process; may be called again."""
    for name in _TOO_TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _where_it_failed,
            _for_the_journal if _to_the_journal() else structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
