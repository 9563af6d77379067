"""How much the process logs, and in which form; set once, before `logs.configure`.

Without imports, so that the command line can set it and still answer `--help` at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class LogFormat(StrEnum):
    """The form of the log's entries."""

    AUTO = "auto"  # the journal's own fields where stderr is the journal, otherwise text
    TEXT = "text"
    JSON = "json"


DEBUG, INFO, WARNING, ERROR = 10, 20, 30, 40
"""Levels, as `logging` numbers them."""


@dataclass(frozen=True, kw_only=True)
class LogSettings:
    """What the options before the command say about the log."""

    level: int = INFO
    journal_level: int = INFO
    """The level where stderr is systemd's journal, in which no log line stands over an answer."""
    form: LogFormat = LogFormat.AUTO


current = LogSettings()


def chosen(*, runs: bool, verbose: bool, quiet: bool, form: LogFormat) -> LogSettings:
    """Return the settings for a command; `runs` if it is the service, which prints no answer."""
    if verbose:
        level = DEBUG if runs else INFO
        return LogSettings(level=level, journal_level=level, form=form)
    if quiet:
        level = WARNING if runs else ERROR
        return LogSettings(level=level, journal_level=level, form=form)
    return LogSettings(level=INFO if runs else WARNING, form=form)
