"""Notices that the database was replaced beneath the page, as `restore --replace` does.

What is open is then a file that no longer has a name: the page would show letters of the past, and
what is done on it would be lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from daemon.core.errors import StoreBusy


@dataclass(frozen=True, kw_only=True)
class StoreFile:
    """The file that was opened."""

    path: Path
    identity: tuple[int, int] | None

    @classmethod
    def at(cls, path: Path) -> StoreFile:
        """Return the file that has the name now."""
        return cls(path=path, identity=_identity(path))

    @property
    def is_replaced(self) -> bool:
        """Whether the name stands for another file now, or for none."""
        return _identity(self.path) != self.identity

    def check(self) -> None:
        """Raise StoreBusy if it was replaced: that is over when the page has opened the new one."""
        if self.is_replaced:
            raise StoreBusy(f"the database {self.path} was replaced, and is being opened again")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
