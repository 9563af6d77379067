"""Several letters dropped together: they share the waits for the disk, and nothing else."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connectors.destinations.filedrop import FileDrop
from connectors.drops import local, shared_folder
from daemon.core.errors import ContentMissing, TemporaryFailure
from daemon.core.parcels import Receipt
from daemon.core.ports import Parcel
from tests.handing_over import is_verified

MakeParcel = Callable[..., Parcel]


class Disk:
    """Watches what is synced and renamed, in order; and can have a sync of a file fail."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        self.fails_at = ""
        self._sync, self._rename = os.fsync, shared_folder.rename_new
        patch.setattr(os, "fsync", self.fsync)
        patch.setattr(local, "rename_new", self.rename)

    def fsync(self, descriptor: int) -> None:
        place = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        if self.fails_at and place.endswith(self.fails_at):
            self.fails_at = ""
            raise OSError(errno.EIO, "Input/output error")
        self._sync(descriptor)
        self.done.append(place)

    def rename(self, source: str, target: str, source_folder: int, target_folder: int) -> bool:
        places = [
            Path(f"/proc/self/fd/{folder}").readlink() for folder in (source_folder, target_folder)
        ]
        self.done.append(f"{places[0] / source} -> {places[1] / target}")
        return self._rename(source, target, source_folder, target_folder)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def letters(make_parcel: MakeParcel, many: int) -> list[Parcel]:
    return [make_parcel(f"letter-{number}") for number in range(many)]


def test_each_letter_is_durable_before_it_is_seen(
    destination: FileDrop, drop: Path, make_parcel: MakeParcel, disk: Disk
) -> None:
    """Before a letter gets its name, its files and folder, its intent and the folder of both are
    synced, and afterwards the drop is."""
    batch = letters(make_parcel, 4)
    destination.deliver_batch(batch)
    for parcel in batch:
        staged = f"{drop}/.postmottak/{parcel.delivery_id}"
        (seen,) = [
            place for place, done in enumerate(disk.done) if done.startswith(f"{staged}.0 -> ")
        ]
        (intent,) = [place for place, done in enumerate(disk.done) if done == f"{staged}.json"]
        files = [place for place, done in enumerate(disk.done) if done.startswith(f"{staged}.0/")]
        (folder,) = [place for place, done in enumerate(disk.done) if done == f"{staged}.0"]
        hidden = [place for place, done in enumerate(disk.done) if done == f"{drop}/.postmottak"]
        assert len(files) == len(list(Path(disk.done[seen].partition(" -> ")[2]).iterdir()))
        assert max(files) < folder
        assert any(folder < place < intent for place in hidden)
        assert any(intent < place < seen for place in hidden)
        assert str(drop) in disk.done[seen:]


def test_waits_are_shared(
    destination: FileDrop, drop: Path, make_parcel: MakeParcel, disk: Disk
) -> None:
    """However many letters are dropped together, the folders that they have in common are synced as
    often as for one."""

    def syncs_in_common(many: int, name: str) -> int:
        disk.done.clear()
        destination.deliver_batch([make_parcel(f"{name}-{number}") for number in range(many)])
        return sum(done in {str(drop), f"{drop}/.postmottak"} for done in disk.done)

    destination.deliver(make_parcel())  # the hidden folder is made
    assert syncs_in_common(1, "one") == syncs_in_common(9, "many")


def test_a_letter_that_fails_stops_no_other(
    destination: FileDrop, drop: Path, make_parcel: MakeParcel
) -> None:
    """Of letters that are dropped together each has an outcome of its own, in their order; a
    failure leaves nothing of its letter."""

    def gone() -> Any:
        raise ContentMissing("the bytes are not where they were put")

    def never_foreseen() -> Any:
        raise ZeroDivisionError

    good, unsafe, bare, short, odd, last = letters(make_parcel, 6)
    batch = [
        good,
        replace(unsafe, parts=(replace(unsafe.parts[0], name="../x.pdf"),)),
        replace(bare, parts=(replace(bare.parts[0], open=gone),)),
        replace(short, parts=(replace(short.parts[0], size=3),)),
        replace(odd, parts=(replace(odd.parts[0], open=never_foreseen),)),
        last,
    ]
    outcomes = destination.deliver_batch(batch)
    kinds = [type(each).__name__ for each in outcomes]
    assert kinds == [
        "Receipt",
        "PermanentFailure",
        "ContentMissing",
        "TemporaryFailure",
        "ConnectorFault",
        "Receipt",
    ]
    destination.forget([each.delivery_id for each in batch])
    dropped = {each.reference for each in outcomes if isinstance(each, Receipt)}
    assert {str(each) for each in drop.iterdir()} == dropped
    assert all(is_verified(Path(each)) for each in dropped)


@pytest.mark.parametrize("where", ["SHA256SUMS", ".json", "/drop"])
def test_a_sync_that_fails_is_no_delivery(
    destination: FileDrop, drop: Path, make_parcel: MakeParcel, disk: Disk, where: str
) -> None:
    """If what letters wrote cannot be made durable, none of those that waited for it is called
    delivered; a repeat brings each once."""
    batch = letters(make_parcel, 3)
    disk.fails_at = where
    outcomes = destination.deliver_batch(batch)
    assert {type(each) for each in outcomes} == {TemporaryFailure}
    assert "check its disk or share" in str(outcomes[0])
    repeated = destination.deliver_batch(batch)
    destination.forget([each.delivery_id for each in batch])
    assert sorted(each.reference for each in repeated if isinstance(each, Receipt)) == sorted(
        map(str, drop.iterdir())
    )
    assert len(list(drop.iterdir())) == 3
    assert all(is_verified(each) for each in drop.iterdir())


def test_a_drop_that_is_not_there(
    destination: FileDrop, drop: Path, make_parcel: MakeParcel
) -> None:
    """If the drop cannot be used at all, no letter is called delivered, and the reason is told."""
    batch = letters(make_parcel, 3)
    drop.rmdir()
    outcomes = destination.deliver_batch(batch)
    assert [type(each) for each in outcomes] == [TemporaryFailure] * 3
    assert "does not exist; create the folder" in str(outcomes[2])
