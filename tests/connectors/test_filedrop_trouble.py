"""The file drop when something is wrong with the parcel, the store, the folder or the disk: plain
words, and nothing half made."""

from __future__ import annotations

import errno
import io
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from connectors.destinations.filedrop import FileDrop, Settings
from connectors.drops import shared_folder
from daemon.core.errors import PermanentFailure, StoreError, TemporaryFailure
from daemon.core.ports import Parcel
from tests.conftest import MakeParcel
from tests.handing_over import hand_over, names


def with_part_name(parcel: Parcel, name: str) -> Parcel:
    return replace(parcel, parts=(replace(parcel.parts[0], name=name),))


def failing_part(parcel: Parcel, error: Exception) -> Parcel:
    """The parcel, with a first attachment that breaks in the middle."""

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell():
                raise error
            return super().read(min(size or 4, 4))

    return replace(
        parcel, parts=(replace(parcel.parts[0], open=lambda: Broken(b"%PDF-1.7 vedtak")),)
    )


@pytest.mark.parametrize(
    "name",
    [
        "../ute.pdf",
        "/etc/ute.pdf",
        "..",
        "a/b.pdf",
        ".skjult",
        "message.json",
        "sha256sums",
        "body.md",
        "CON.pdf",
    ],
)
def test_an_unsafe_name_is_refused(
    destination: FileDrop, drop: Path, make_parcel: MakeParcel, name: str
) -> None:
    """A name that leads out of the folder, or onto one of its own files, is never written, and
    stands in no message."""
    with pytest.raises(PermanentFailure) as caught:
        hand_over(destination, with_part_name(make_parcel(), name))
    assert name not in str(caught.value)
    assert names(drop) == []
    assert names(drop.parent) == ["drop"]


def test_bytes_that_are_not_the_right_ones_are_not_dropped(
    destination: FileDrop, drop: Path, make_parcel: MakeParcel
) -> None:
    """An attachment that has changed in the store never reaches the drop; the message names the
    file by its hash, not by what it is about, and nothing is left."""
    parcel = make_parcel(title="hemmelig tittel")
    changed = replace(
        parcel, parts=(replace(parcel.parts[0], open=lambda: io.BytesIO(b"%PDF-1.7 vedtaX")),)
    )
    with pytest.raises(TemporaryFailure, match=parcel.parts[0].sha256) as caught:
        hand_over(destination, changed)
    assert "hemmelig" not in str(caught.value)
    assert "vedtak" not in str(caught.value)
    assert names(drop) == []


def test_an_unreadable_store_is_not_blamed_on_the_drop(
    destination: FileDrop, drop: Path, make_parcel: MakeParcel
) -> None:
    """A read error of a stored file names the content folder, and leaves nothing in the drop."""
    with pytest.raises(TemporaryFailure, match="content folder"):
        hand_over(
            destination, failing_part(make_parcel(), OSError(errno.EIO, "Input/output error"))
        )
    assert names(drop) == []


def test_a_store_that_fails_stays_the_stores_failure(
    destination: FileDrop, drop: Path, make_parcel: MakeParcel
) -> None:
    """A failure of the store is passed on as it is, for it stops the service; nothing is left in
    the drop."""
    with pytest.raises(StoreError):
        hand_over(destination, failing_part(make_parcel(), StoreError("gone")))
    assert names(drop) == []


def test_a_missing_folder_is_waited_for(
    destination: FileDrop, drop: Path, make_parcel: MakeParcel
) -> None:
    """A share that is not mounted is not made up; the letter waits, and arrives when the folder is
    back."""
    drop.rmdir()
    with pytest.raises(
        TemporaryFailure, match=r"does not exist; create the folder, or mount the share"
    ):
        hand_over(destination, make_parcel())
    assert not drop.exists()
    assert [finding.ok for finding in destination.check()] == [False]
    drop.mkdir()
    hand_over(destination, make_parcel())
    assert len(names(drop)) == 1


def test_a_file_in_place_of_the_folder(
    destination: FileDrop, drop: Path, make_parcel: MakeParcel
) -> None:
    """A path that is not a folder is reported as such."""
    drop.rmdir()
    drop.touch()
    with pytest.raises(TemporaryFailure, match="is not a folder"):
        hand_over(destination, make_parcel())


def test_a_file_system_that_cannot_rename_like_linux(
    destination: FileDrop, drop: Path, make_parcel: MakeParcel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the kernel's rename that never replaces is missing, a look comes first, and nothing is
    overwritten either."""
    monkeypatch.setattr(shared_folder, "_renameat2", lambda: None)
    place = Path(hand_over(destination, make_parcel()).reference)
    (place / "message.json").write_text("{}")
    assert hand_over(destination, make_parcel()).reference == f"{place}-v2"
    target = drop / "opptatt"
    target.write_text("noe annet")
    (drop / "ny").write_text("ny")
    folder = os.open(drop, os.O_RDONLY)
    try:
        assert not shared_folder.rename_new("ny", target.name, folder, folder)
    finally:
        os.close(folder)
    assert target.read_text() == "noe annet"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_full_disk_is_waited_for(tmp_path: Path, make_parcel: MakeParcel) -> None:
    """When the disk is full the letter waits, nothing of it is left, and it arrives when there is
    room again."""
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(small)],
        capture_output=True,
        check=False,
    ).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        destination = FileDrop("erp", Settings(path=small))
        (small / "annet").write_bytes(b"x" * 200_000)
        parcel = make_parcel(files={"stor.bin": b"y" * 150_000})
        with pytest.raises(TemporaryFailure, match="no space left"):
            hand_over(destination, parcel)
        assert names(small) == ["annet"]
        (small / "annet").unlink()
        hand_over(destination, parcel)
        assert len(names(small)) == 1
        subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
        with pytest.raises(TemporaryFailure, match="is read-only"):
            hand_over(destination, make_parcel("letter-2"))
    finally:
        subprocess.run(["umount", str(small)], check=True)
