"""Files of the configuration that a command replaces: whole, and their owner's as before."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from daemon.runtime.replacing import replace_and_keep, replace_text

OTHER, GROUP = 12345, 12346
"""A user and a group that no system has."""
both = pytest.mark.parametrize("replace", [replace_text, replace_and_keep])


def _rights(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_mode, found.st_uid, found.st_gid


@both
def test_the_file_is_replaced_at_once(
    tmp_path: Path, replace: Callable[[Path, str], object]
) -> None:
    """Through a symbolic link too; mode and owner stay, and nothing else is left in the folder."""
    real, link = tmp_path / "real" / "postmottak.toml", tmp_path / "postmottak.toml"
    real.parent.mkdir()
    real.write_text("old")
    real.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(real, OTHER, GROUP)
    link.symlink_to(real)
    before = real.stat()
    replace(link, "nytt: æøå")
    after = real.stat()
    assert real.read_bytes().decode() == "nytt: æøå"
    assert link.is_symlink()
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )
    assert after.st_ino != before.st_ino
    assert [each.name for each in real.parent.iterdir()] == ["postmottak.toml"]


@both
def test_a_file_that_cannot_be_replaced_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replace: Callable[[Path, str], object]
) -> None:
    """If the owner cannot be kept, the old file stays whole, and no half one beside it."""
    path = tmp_path / "postmottak.toml"
    path.write_text("old")

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted", str(path))

    monkeypatch.setattr(os, "fchmod", refuse)
    with pytest.raises(PermissionError):
        replace(path, "new")
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [
        ("postmottak.toml", "old")
    ]


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_the_file_before_is_kept(tmp_path: Path, umask: int) -> None:
    """It is kept beside the name that was given, for the same people as before, whatever was kept
    there earlier."""
    real, link = tmp_path / "real" / "table.toml", tmp_path / "routing.toml"
    real.parent.mkdir()
    link.symlink_to(real)
    kept = tmp_path / "routing.toml.old"
    kept.write_text("older still")
    kept.chmod(0o600)
    real.write_text("old")
    real.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(real, OTHER, GROUP)
    os.utime(real, (1, 2))
    before, earlier = _rights(real), os.umask(umask)
    try:
        assert replace_and_keep(link, "new") == kept
    finally:
        os.umask(earlier)
    assert (kept.read_text(), kept.stat().st_mtime) == ("old", 2)
    assert _rights(kept) == _rights(real) == before
    assert {each.name for each in tmp_path.iterdir()} == {"real", link.name, kept.name}


def test_a_file_that_was_missing(tmp_path: Path) -> None:
    """A new file belongs to the owner of its folder, and there is nothing to keep."""
    folder = tmp_path / "configuration"
    folder.mkdir()
    if os.geteuid() == 0:
        os.chown(folder, OTHER, GROUP)
    replace_and_keep(folder / "routing.toml", "new")
    (found,) = folder.iterdir()
    assert (found.name, found.read_text()) == ("routing.toml", "new")
    assert _rights(found)[1:] == _rights(folder)[1:]
