"""Several letters dropped together: they share the waits for the disk, and nothing else."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connectors.destinations.filedrop import FileDrop, Settings
from connectors.drops import local, shared_folder
from daemon.core import batch_sync
from daemon.core.errors import ContentMissing, TemporaryFailure
from daemon.core.parcels import Receipt
from daemon.core.ports import Parcel
from tests.handing_over import is_verified, names

MakeParcel = Callable[..., Parcel]


class Disk:
    """Watches what is synced and renamed, in order; and can have a sync of a file fail.

    It is one that cannot be synced as a whole, wherever the tests' files lie.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        self.fails_at = ""
        self._sync, self._rename = os.fsync, shared_folder.rename_new
        patch.setattr(os, "fsync", self.fsync)
        patch.setattr(batch_sync, "can_sync_file_system", lambda _: False)
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
        (intent,) = [place for place, done in enumerate(disk.done) if done.endswith(".batch")]
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


@pytest.mark.parametrize("where", ["SHA256SUMS", ".batch", "/drop"])
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


def test_letters_that_are_dropped_together_have_one_intent(
    destination: FileDrop, drop: Path, make_parcel: MakeParcel
) -> None:
    """The intent of a batch stays until the last of its letters is settled; one that was settled
    before is no longer known, and the others still are."""
    first, second, third = batch = letters(make_parcel, 3)
    destination.deliver_batch(batch)
    assert names(drop / ".postmottak") == [f"{first.delivery_id}.batch"]
    assert set(destination.dedup_records()) == {each.delivery_id for each in batch}
    destination.forget([first.delivery_id])
    for each in drop.glob("2*"):
        shutil.rmtree(each)
    again = destination.deliver_batch(batch)
    assert [each.details.get("found") for each in again if isinstance(each, Receipt)] == [
        None,
        True,
        True,
    ]
    destination.forget([third.delivery_id])
    destination.forget([first.delivery_id, second.delivery_id])
    assert names(drop) == [Path(again[0].reference).name]  # type: ignore[union-attr]


def test_another_process_settles_a_batch(
    drop: Path, destination: FileDrop, make_parcel: MakeParcel
) -> None:
    """What is known of a batch is in the drop: whichever process settles its letters, in whatever
    parts, and starts again between them, nothing hidden is left at the end."""
    batch = letters(make_parcel, 4)
    destination.deliver_batch(batch)
    for each in batch[:3]:
        FileDrop("erp", Settings(path=drop)).forget([each.delivery_id])
    assert f"{batch[0].delivery_id}.batch" in names(drop / ".postmottak")
    last = FileDrop("erp", Settings(path=drop))
    last.forget(last.dedup_records())
    assert not (drop / ".postmottak").exists()


@pytest.mark.parametrize("data", [b"", b'{"', b"[]", b'{"x": {"name": "y"}}'])
def test_an_incomplete_intent_of_a_batch(
    destination: FileDrop, drop: Path, make_parcel: MakeParcel, data: bytes
) -> None:
    """It was never acted on: its letters are dropped anew, and it is cleared away."""
    batch = letters(make_parcel, 2)
    (drop / ".postmottak").mkdir()
    (drop / ".postmottak" / f"{batch[0].delivery_id}.batch").write_bytes(data)
    outcomes = destination.deliver_batch(batch)
    assert not any(each.details.get("found") for each in outcomes if isinstance(each, Receipt))
    destination.forget([each.delivery_id for each in batch])
    assert names(drop) == sorted(
        Path(each.reference).name for each in outcomes if isinstance(each, Receipt)
    )


def test_a_name_that_is_taken_late(
    destination: FileDrop, drop: Path, make_parcel: MakeParcel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If something takes a letter's name when all is ready, what the batch intended for that letter
    is void, and the letter comes under the next name; a repeat finds it there."""
    batch = letters(make_parcel, 3)

    def rename(source: str, target: str, *folders: int) -> bool:
        if str(batch[1].delivery_id) in source and not target.endswith("-v2"):
            (drop / target).write_text("noe annet")
        return shared_folder.rename_new(source, target, *folders)

    monkeypatch.setattr(local, "rename_new", rename)
    outcomes = destination.deliver_batch(batch)
    late = outcomes[1]
    assert isinstance(late, Receipt)
    assert late.reference.endswith("-v2")
    assert destination.deliver_batch(batch[1:2])[0].details["found"]  # type: ignore[union-attr]
    destination.forget([batch[1].delivery_id])
    destination.forget([each.delivery_id for each in batch])
    assert len(names(drop)) == 4
