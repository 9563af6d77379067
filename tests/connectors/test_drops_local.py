"""A drop on a disk: every call may fail, and a letter may have more files than a process may
open."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from connectors.destinations.filedrop import FileDrop, Settings
from connectors.drops import local
from daemon.core.errors import TemporaryFailure
from daemon.core.ports import Parcel
from tests.handing_over import hand_over, is_verified

MakeParcel = Callable[..., Parcel]


def test_a_letter_of_many_files_needs_few_at_a_time(
    destination: FileDrop, make_parcel: MakeParcel
) -> None:
    """Any number of attachments is dropped, with no more files open than a process may have at the
    least."""
    parcel = make_parcel()
    names = [f"{number:03d}-vedlegg.pdf" for number in range(1, 201)]
    files = tuple(parcel.document.files[0].model_copy(update={"name": name}) for name in names)
    many = replace(
        parcel,
        parts=tuple(replace(parcel.parts[0], name=name) for name in names),
        document=parcel.document.model_copy(update={"files": files}),
    )
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest_descriptor() + 30, hard))
    try:
        receipt = hand_over(destination, many)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert receipt.details["files"] == 200
    assert is_verified(Path(receipt.reference))


def test_others_remove_the_hidden_folder(
    destination: FileDrop, make_parcel: MakeParcel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process that finds the hidden folder empty, right before a file is made in it or as
    it is made, does not make a delivery fail."""
    mkdir, create, removed = os.mkdir, os.open, count()

    def remove(name: str, above: int | None) -> None:
        with suppress(OSError):  # not empty, or not there
            os.rmdir(name, dir_fd=above)
            next(removed)

    def make_folder(name: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        mkdir(name, mode, dir_fd=dir_fd)
        if next(made) % 2:
            remove(name, dir_fd)

    def make_file(path: Any, flags: int, *more: Any, dir_fd: int | None = None) -> int:
        if flags & os.O_CREAT and next(files) < 3:
            remove(f"/proc/self/fd/{dir_fd}/../.postmottak", None)
        return create(path, flags, *more, dir_fd=dir_fd)

    made, files = count(1), count()
    monkeypatch.setattr(os, "mkdir", make_folder)
    monkeypatch.setattr(os, "open", make_file)
    receipt = hand_over(destination, make_parcel())
    assert is_verified(Path(receipt.reference))
    assert next(removed)


def test_two_leave_the_sign_at_once(
    drop: Path, make_parcel: MakeParcel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where pickups are awaited, the first deliveries of several processes do not fail because
    another one has marked the drop a moment before."""
    write = local.LocalDrop.write

    def another_is_first(self: local.LocalDrop, files: Any) -> None:
        files = list(files)
        if files[0][0].endswith("awaiting-pickup"):
            (drop / ".postmottak").mkdir()
            (drop / files[0][0]).touch()
        write(self, files)

    monkeypatch.setattr(local.LocalDrop, "write", another_is_first)
    settings = Settings.model_validate({"path": str(drop), "await_pickup": "1h"})
    assert is_verified(Path(hand_over(FileDrop("erp", settings), make_parcel()).reference))


def highest_descriptor() -> int:
    return max(int(each.name) for each in Path("/proc/self/fd").iterdir())


@pytest.mark.parametrize(
    ("module", "call"),
    [(os, "open"), (os, "mkdir"), (os, "chmod"), (os, "fsync"), (local, "rename_new")],
    ids=lambda each: str(each)[:11],
)
def test_a_call_that_fails_is_never_a_delivery(
    destination: FileDrop,
    drop: Path,
    make_parcel: MakeParcel,
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    call: str,
) -> None:
    """Whichever open, mkdir, chmod, fsync or rename fails, the letter waits, no half of it is seen,
    and one repeat brings it."""
    for number in count(1):
        parcel = make_parcel(f"letter-{number}")
        with monkeypatch.context() as patch:
            fault = FailsOnce(getattr(module, call), number)
            patch.setattr(module, call, fault)
            if outcome(destination, parcel) == "delivered":
                assert fault.calls < number
                assert number > 1
                return
        assert all(is_verified(folder) for folder in drop.iterdir() if folder.name != ".postmottak")
        assert hand_over(destination, parcel).reference in map(str, drop.iterdir())
        assert len(list(drop.iterdir())) == number


class FailsOnce:
    """A function of the operating system whose call number `number` fails as on a broken disk."""

    def __init__(self, real: Callable[..., Any], number: int) -> None:
        self.real, self.number, self.calls = real, number, 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        if self.calls == self.number:
            raise OSError(errno.EIO, "Input/output error")
        return self.real(*args, **kwargs)


def outcome(destination: FileDrop, parcel: Parcel) -> str:
    try:
        hand_over(destination, parcel)
    except TemporaryFailure as failure:
        return str(failure)
    return "delivered"
