"""Another program removes what is not its own: what was written to the hidden folder and has no
name yet is missing then, and must not count as dropped."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from connectors.destinations.filedrop import FileDrop, Settings
from connectors.drops.local import LocalDrop
from daemon.core.errors import TemporaryFailure
from daemon.core.parcels import Receipt
from daemon.core.ports import Parcel

MakeParcel = Callable[..., Parcel]
LETTERS = 3


def _everything(hidden: Path) -> None:
    shutil.rmtree(hidden)


def _letters(hidden: Path) -> None:
    for staged in hidden.glob("*.[01]"):
        shutil.rmtree(staged) if staged.is_dir() else staged.unlink()


def _first_parts(hidden: Path) -> None:
    for staged in hidden.glob("*.0"):
        shutil.rmtree(staged) if staged.is_dir() else staged.unlink()


def _last_parts(hidden: Path) -> None:
    for delivery in {path.stem for path in hidden.glob("*.[0-9]")}:
        staged = max(hidden.glob(f"{delivery}.[0-9]"))
        shutil.rmtree(staged) if staged.is_dir() else staged.unlink()


def _one_file_of_each(hidden: Path) -> None:
    for staged in hidden.glob("*.0/message.json"):
        staged.unlink()


def _tree(drop: Path) -> dict[str, list[bytes]]:
    """The files of a drop; those of an index may have their lines in another order."""
    return {
        str(path.relative_to(drop)): sorted(path.read_bytes().splitlines())
        for path in drop.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("layout", ["folder", "flat", "pdf-only", "csv"])
@pytest.mark.parametrize("syncs", [1, 2, 3])
@pytest.mark.parametrize(
    "remove", [_everything, _letters, _first_parts, _last_parts, _one_file_of_each]
)
@pytest.mark.parametrize("number", [1, LETTERS])
def test_what_is_removed_before_it_has_its_name_is_dropped_again(
    drop: Path,
    tmp_path: Path,
    make_parcel: MakeParcel,
    monkeypatch: pytest.MonkeyPatch,
    layout: str,
    syncs: int,
    remove: Callable[[Path], None],
    number: int,
) -> None:
    """Whenever the hidden folder is emptied, in whole or in part, while letters are dropped, each
    letter is dropped once and whole in the end, and nothing says before that it was."""
    batch = [make_parcel(f"letter-{each}") for each in range(number)]
    expected = tmp_path / "undisturbed"
    expected.mkdir()
    undisturbed = FileDrop("x", Settings.model_validate({"path": expected, "layout": layout}))
    undisturbed.deliver_batch(batch)
    undisturbed.forget([each.delivery_id for each in batch])
    destination = FileDrop("x", Settings.model_validate({"path": drop, "layout": layout}))
    done = 0
    sync = LocalDrop.sync

    def then_remove(self: LocalDrop) -> None:
        nonlocal done
        sync(self)
        done += 1
        if done == syncs:
            remove(drop / ".postmottak")

    monkeypatch.setattr(LocalDrop, "sync", then_remove)
    left = batch
    for _ in range(3):
        outcomes = destination.deliver_batch(left)
        assert all(isinstance(each, Receipt | TemporaryFailure) for each in outcomes)
        left = [
            parcel
            for parcel, outcome in zip(left, outcomes, strict=True)
            if isinstance(outcome, TemporaryFailure)
        ]
    assert not left
    destination.forget([each.delivery_id for each in batch])
    assert _tree(drop) == _tree(expected)
