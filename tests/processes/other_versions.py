"""Other versions of the program, in folders of their own: the one before, and one that is ahead."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from daemon.store.migrations import HEAD
from tests.processes.warm import ROOT

BEFORE = "705f074cf77fe5caa188e7fc51c455e1551cd5c5"
"""The version before: the newest commit whose tables are older. It moves on with each release."""
_PARTS = ("daemon", "connectors", "config", "docs", "postmottak.py")


class NoHistoryError(Exception):
    """The version before is not in the history that is here; the text says why."""


def version_before(folder: Path) -> Path:
    """The version before, in a new folder."""
    folder.mkdir()
    archive = folder / "archive.tar"
    command = ["git", "archive", f"--output={archive}", BEFORE, "--", *_PARTS]
    try:
        subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoHistoryError(f"the commit {BEFORE[:8]} cannot be had from git: {error}") from error
    shutil.unpack_archive(archive, folder, filter="data")
    archive.unlink()
    return _named(folder, "0.0.1")


def version_ahead(folder: Path, migration: str) -> Path:
    """This version, in a new folder, with one migration more: the statements of its `upgrade`."""
    for part in _PARTS:
        if (ROOT / part).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / part, folder / part, ignore=ignored)
        else:
            shutil.copy(ROOT / part, folder)
    migrations = folder / "daemon" / "store" / "migrations"
    (migrations / "versions" / "9999_ahead.py").write_text(
        f'"""One that is ahead."""\n\nfrom alembic import op\n\nrevision = "9999"\n'
        f'down_revision = "{HEAD}"\n{migration}'
    )
    begin = migrations / "__init__.py"
    begin.write_text(begin.read_text().replace(f'HEAD = "{HEAD}"', 'HEAD = "9999"'))
    return _named(folder, "99.0.0")


def _named(folder: Path, version: str) -> Path:
    """Let the program in a folder have a version of its own, as one that is installed there."""
    facts = folder / f"postmottak-{version}.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: postmottak\nVersion: {version}\n"
    )
    return folder
