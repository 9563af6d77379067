"""Why the service does not start, in a file beside the database, so that `status` can name it.

A service whose configuration has a fault ends before it opens its store. Nothing here ever fails:
it is a nicety, and must not stop a start.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from daemon.runtime.owner import create_file

_LONGEST = 2000  # characters


def note_start_fault(database: Path, why: str) -> None:
    """Keep why the service with this database does not start: `problem; remedy`, no secrets."""
    path = _beside(database)
    with suppress(OSError, UnicodeError):
        create_file(path)
        path.write_text(why[:_LONGEST], encoding="utf-8")


def clear_start_fault(database: Path) -> None:
    """Forget it, because the service has started."""
    with suppress(OSError):
        _beside(database).unlink(missing_ok=True)


def start_fault(database: Path) -> str:
    """Return why the last start failed; empty if it did not, or where that cannot be read."""
    try:
        return _beside(database).read_text(encoding="utf-8")[:_LONGEST].strip()
    except (OSError, UnicodeError):
        return ""


def _beside(database: Path) -> Path:
    return database.with_name(f"{database.name}.start-fault")
