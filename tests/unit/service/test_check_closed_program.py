"""`check` as root, for a store of another user, who cannot run the program itself."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from daemon.cli.check_as_service import ChildFailed, Way, lines_of

NOBODY = 65534


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_the_closed_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the program lies in a folder that the store's owner may not enter, the folder, the
    owner and what to do are named, and nothing is started."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    program = closed / "python"
    program.symlink_to("/usr/bin/env")
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr("daemon.cli.check_as_service.__file__", str(closed / "check.py"))
    way = Way(command=("/usr/bin/touch", str(tmp_path / "started")), user=NOBODY, group=NOBODY)
    with pytest.raises(ChildFailed, match=r"may not enter /\S+, where this program lies") as failed:
        list(lines_of(way))
    assert "install it where" in str(failed.value)
    assert not (tmp_path / "started").exists()
