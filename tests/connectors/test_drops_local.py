"""A drop on a disk: every call may fail, and a letter may have more files than a process may
open."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from connectors.destinations.filedrop import FileDrop
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
