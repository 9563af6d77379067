"""Whose the files of a drop are, and who may read them."""

from __future__ import annotations

import os
import pwd
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from connectors.destinations.filedrop import FileDrop, Settings
from daemon.core.errors import TemporaryFailure
from daemon.core.ports import Parcel
from tests.handing_over import hand_over

MakeParcel = Callable[..., Parcel]


def test_files_are_closed_to_strangers(drop: Path, make_parcel: MakeParcel) -> None:
    """Nobody outside owner and group reads a dropped letter."""
    folder = Path(hand_over(FileDrop("erp", Settings(path=drop)), make_parcel()).reference)
    assert folder.stat().st_mode & 0o007 == 0
    assert all(each.stat().st_mode & 0o137 == 0 for each in folder.iterdir())


def test_the_mode_is_what_was_asked_for(drop: Path, make_parcel: MakeParcel) -> None:
    """With mode 0664, whatever the service's umask, the group may write files and folders, and
    others may read."""
    before = os.umask(0o077)
    try:
        folder = Path(
            hand_over(FileDrop("erp", Settings(path=drop, mode="0664")), make_parcel()).reference
        )
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o775
    assert {each.stat().st_mode & 0o777 for each in folder.iterdir()} == {0o664}


@pytest.mark.skipif(os.geteuid() != 0, reason="giving files away needs root")
def test_owner_and_group_are_those_asked_for(drop: Path, make_parcel: MakeParcel) -> None:
    """The folder and all its files belong to the owner and group of the configuration."""
    folder = Path(
        hand_over(
            FileDrop("erp", Settings(path=drop, owner="nobody", group="12345")), make_parcel()
        ).reference
    )
    owners = {(each.stat().st_uid, each.stat().st_gid) for each in (folder, *folder.iterdir())}
    assert owners == {(pwd.getpwnam("nobody").pw_uid, 12345)}


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming somebody else needs root")
def test_an_owner_that_may_not_be_given_is_said(make_parcel: MakeParcel) -> None:
    """Where the service may not give files away, the letter waits, the check fails, and both say
    what to do."""
    with tempfile.TemporaryDirectory() as open_to_all:
        drop = Path(open_to_all)
        drop.chmod(0o777)
        destination = FileDrop("erp", Settings(path=drop, owner="0"))
        os.seteuid(pwd.getpwnam("nobody").pw_uid)
        try:
            with pytest.raises(TemporaryFailure, match="leave owner and group out"):
                hand_over(destination, make_parcel())
            assert ["CAP_CHOWN" in finding.text for finding in destination.check()] == [True]
        finally:
            os.seteuid(0)
        assert list(drop.iterdir()) == []


@pytest.mark.parametrize(
    "options",
    [
        {"owner": "ingen-slik"},
        {"group": "ingen-slik"},
        {"mode": "0999"},
        {"mode": "0440"},
        {"mode": "rw"},
    ],
)
def test_access_that_cannot_be_is_refused(drop: Path, options: dict[str, str]) -> None:
    """An owner or group that nobody knows, or a mode that is none, is a fault of the
    configuration."""
    with pytest.raises(ValidationError):
        Settings.model_validate({"path": str(drop), **options})
