"""The newest of the backups beside the one that is made: what it has need not be read again.

A file that it has was verified when it was copied there, and gets a hard link in the new backup, so
that both are whole by themselves.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from daemon.core.durable_files import sync

CONTENT, MANIFEST = "content", "backup.json"
"""The names of a backup's folder of attachments, and of the file that is written last."""
_HASH = 64  # characters, with which a fault begins


@dataclass(frozen=True, kw_only=True)
class EarlierBackup:
    """A complete backup."""

    folder: Path
    made_at: datetime
    faulty: frozenset[str]
    """The hashes of attachments that were missing or damaged in it."""

    def take_over(self, sha256: str, stored: Path, target: Path) -> bool:
        """Link the file to `target` if the store still has it with the same size.

        Returns whether it did.
        """
        mine = self._path(sha256)
        try:
            if sha256 in self.faulty or mine.stat().st_size != stored.stat().st_size:
                return False
            target.parent.mkdir(exist_ok=True, mode=0o700)
            os.link(mine, target)
        except OSError:  # not here, or not to be linked: it is copied and verified
            return False
        return True

    def has(self, sha256: str, path: Path) -> bool:
        """Whether the file at `path` is the one of this backup."""
        try:
            return sha256 not in self.faulty and self._path(sha256).samefile(path)
        except OSError:
            return False

    def _path(self, sha256: str) -> Path:
        return self.folder / CONTENT / sha256[:2] / sha256


def earlier_backup(folder: Path) -> EarlierBackup | None:
    """Return the newest complete backup in the same parent as `folder`; None if there is none."""
    found = list(_beside(folder.absolute()))
    return max(found, key=lambda each: each.made_at, default=None)


def _beside(folder: Path) -> Iterator[EarlierBackup]:
    with suppress(OSError):
        for other in folder.parent.iterdir():
            # what cannot be read is no backup that anything can be taken from
            with suppress(OSError, ValueError, KeyError, TypeError):
                if other != folder:
                    yield _read(other)


def _read(folder: Path) -> EarlierBackup:
    facts = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    return EarlierBackup(
        folder=folder,
        made_at=datetime.fromisoformat(facts["made_at"]),
        faulty=frozenset(str(each)[:_HASH] for each in facts["faults"]),
    )


def sync_folders(content: Path) -> None:
    """Wait until the entries of a backup's folders of attachments are on the disk."""
    for path in (content, *content.iterdir()):
        sync(path)
