"""A drop whose process dies at any step, beside a consumer that takes everything at once: each file
comes exactly once, and whole."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from connectors.destinations.filedrop import Settings
from connectors.drops.destination import DropDestination
from connectors.drops.drop import Seen
from connectors.drops.local import LocalDrop
from connectors.drops.ownership import Access
from daemon.core.parcels import Receipt
from daemon.core.ports import Parcel

MakeParcel = Callable[..., Parcel]
LAYOUTS = ("folder", "flat", "pdf-only", "csv")
FILES = {"Vedtak.pdf": b"%PDF-1.7 vedtak", "Kart.pdf": b"%PDF-1.7 kart"}


class Dead(BaseException):
    """The process is gone."""


class Mortal:
    """A drop that dies before or after its Nth change; from then on nothing has any effect, as
    after a SIGKILL."""

    def __init__(self, drop: LocalDrop, number: int, *, before: bool) -> None:
        self.place = drop.place
        self._drop = drop
        self._number = number
        self._before = before
        self.changes = 0
        self.is_dead = False

    def _change(self, change: Callable[[], Any]) -> Any:
        if self.is_dead:
            return None
        self.changes += 1
        last = self.changes == self._number
        result = None if last and self._before else change()
        if last:
            self.is_dead = True
            raise Dead
        return result

    def look(self, path: str) -> Seen | None:
        return self._drop.look(path)

    def names(self, folder: str) -> list[str]:
        return self._drop.names(folder)

    def read(self, path: str, *, sole: bool = False) -> Iterator[bytes]:
        return self._drop.read(path, sole=sole)

    def write(self, files: Iterable[tuple[str, Iterable[bytes]]]) -> None:
        for file in files:
            # mypy cannot type a lambda's default
            self._change(lambda file=file: self._drop.write([file]))  # type: ignore[misc]

    def publish(self, source: str, target: str) -> bool:
        return bool(self._change(lambda: self._drop.publish(source, target)))

    def replace(self, source: str, target: str) -> None:
        self._change(lambda: self._drop.replace(source, target))

    def sync(self) -> None:
        self._drop.sync()

    def remove(self, path: str, *, lasting: bool = True) -> None:
        for name in self._drop.names(path):
            # likewise
            self._change(lambda name=name: self._drop.remove(f"{path}/{name}"))  # type: ignore[misc]
        self._change(lambda: self._drop.remove(path, lasting=lasting))

    def tidy(self, folder: str) -> None:
        self._change(lambda: self._drop.tidy(folder))

    def close(self) -> None:
        self._drop.close()


class Consumer:
    """Takes whatever lies under a final name, and counts what it has ever got."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.got: Counter[tuple[str, str]] = Counter()

    def take(self) -> None:
        for place in sorted(self._root.iterdir()):
            if place.name.startswith(".") or place.name == "index.csv":
                continue
            files = sorted(place.iterdir()) if place.is_dir() else [place]
            for file in files:
                self.got[
                    str(file.relative_to(self._root)), hashlib.sha256(file.read_bytes()).hexdigest()
                ] += 1
                file.unlink()
            if place.is_dir():
                place.rmdir()


def destination(root: Path, layout: str, drop: LocalDrop | Mortal) -> DropDestination:
    settings = Settings.model_validate({"path": str(root), "layout": layout})
    return DropDestination("erp", settings, lambda: closing(drop))


@pytest.mark.parametrize("greedy", [True, False], ids=["taken at once", "taken later"])
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_wherever_it_dies_the_letter_comes_once(
    tmp_path: Path, make_parcel: MakeParcel, layout: str, before: bool, greedy: bool
) -> None:
    """Death before or after any change to the drop, then one repeat if nothing was recorded: every
    file once, and nothing hidden left."""
    wanted: Counter[tuple[str, str]] | None = None
    for number in count(1):
        root = tmp_path / str(number)
        root.mkdir()
        mortal, consumer = Mortal(LocalDrop(root, Access()), number, before=before), Consumer(root)
        parcel, recorded = make_parcel(files=FILES), False
        try:
            dying = destination(root, layout, mortal)
            dying.deliver(parcel)
            recorded = True
            dying.forget([parcel.delivery_id])
        except Dead:
            assert mortal.is_dead
        if greedy:
            consumer.take()
        repeat = destination(root, layout, LocalDrop(root, Access()))
        if not recorded:
            repeat.deliver(parcel)
        repeat.forget(repeat.dedup_records())
        consumer.take()
        wanted = wanted or consumer.got
        assert consumer.got == wanted, f"killed at change {number}"
        assert set(consumer.got.values()) == {1}
        assert [each.name for each in root.iterdir()] == (["index.csv"] if layout == "csv" else [])
        if layout == "csv":
            assert (root / "index.csv").read_bytes().count(str(parcel.delivery_id).encode()) == 3
        if not mortal.is_dead:
            assert number > 5
            return


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("layout", ["folder", "flat"])
def test_wherever_it_dies_each_letter_of_a_batch_comes_once(
    tmp_path: Path, make_parcel: MakeParcel, layout: str, before: bool
) -> None:
    """Death at any change while several letters are dropped together, beside a consumer that takes
    what it sees: every file once."""
    for number in count(1):
        root = tmp_path / str(number)
        root.mkdir()
        mortal, consumer = Mortal(LocalDrop(root, Access()), number, before=before), Consumer(root)
        batch = [make_parcel(f"letter-{letter}", files=FILES) for letter in range(3)]
        with suppress(Dead):
            destination(root, layout, mortal).deliver_batch(batch)
        consumer.take()
        repeat = destination(root, layout, LocalDrop(root, Access()))
        assert all(isinstance(each, Receipt) for each in repeat.deliver_batch(batch)), (
            f"killed at change {number}"
        )
        repeat.forget(repeat.dedup_records())
        consumer.take()
        assert set(consumer.got.values()) == {1}, f"killed at change {number}"
        assert len(consumer.got) == 15
        assert not list(root.iterdir())
        if not mortal.is_dead:
            assert number > 15
            return


@pytest.mark.parametrize("many", [1, 3])
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_giving_up_a_name_can_be_cut_off(
    tmp_path: Path, make_parcel: MakeParcel, before: bool, many: int
) -> None:
    """If somebody takes the name of a letter when all is ready, and the process dies while it
    clears that away, the letter still comes, once, as do those that are dropped with it."""
    batch = [make_parcel(f"letter-{letter}") for letter in range(many)]
    last = batch[-1].delivery_id
    for number in count(1):
        root = tmp_path / str(number)
        root.mkdir()
        dying = Mortal(LocalDrop(root, Access()), 4 * many + 1, before=False)
        with pytest.raises(Dead):
            destination(root, "folder", dying).deliver_batch(batch)
        (intent,) = root.glob(".postmottak/*.json" if many == 1 else ".postmottak/*.batch")
        record = json.loads(intent.read_bytes())
        name = (record if many == 1 else record[str(last)])["name"]
        (root / name).write_text("noe annet")
        mortal = Mortal(LocalDrop(root, Access()), number, before=before)
        with suppress(Dead):
            destination(root, "folder", mortal).deliver_batch(batch)
        repeat = destination(root, "folder", LocalDrop(root, Access()))
        *_, receipt = repeat.deliver_batch(batch)
        assert isinstance(receipt, Receipt)
        repeat.forget([last])
        repeat.forget(repeat.dedup_records())
        assert receipt.reference == str(root / f"{name}-v2"), f"killed at change {number}"
        assert len(list(root.iterdir())) == many + 1
        assert {name, f"{name}-v2"} <= {each.name for each in root.iterdir()}
        assert (root / f"{name}-v2" / "message.json").is_file()
        if not mortal.is_dead:
            return


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_reader_in_a_hurry_sees_whole_files_only(
    tmp_path: Path, make_parcel: MakeParcel, layout: str
) -> None:
    """A reader that lists the drop all the time and reads at once everything under a final name
    finds no file missing, short or changing."""
    drop = destination(tmp_path, layout, LocalDrop(tmp_path, Access()))
    seen, done, faults = dict[str, bytes](), threading.Event(), list[str]()

    def read_all() -> None:
        while not done.is_set():
            try:
                faults.extend(look_around(tmp_path, seen))
            except OSError as error:
                faults.append(repr(error))

    reader = threading.Thread(target=read_all)
    reader.start()
    try:
        for number in range(100):
            drop.deliver(
                make_parcel(
                    f"letter-{number}", files={"a.pdf": b"x" * 70_000, "b.pdf": b"y" * 30_000}
                )
            )
    finally:
        done.set()
        reader.join()
    assert not [*faults, *look_around(tmp_path, seen)]
    assert sum(name.endswith("001-a.pdf") for name in seen) == 100


def look_around(root: Path, seen: dict[str, bytes]) -> Iterator[str]:
    """What is wrong with what can be seen now; `seen` are the hashes of all files that were seen
    before."""
    names = {each.name for each in root.iterdir() if not each.name.startswith(".")}
    for name in names - {"index.csv"}:
        place = root / name
        if place.is_dir() and {each.name for each in place.iterdir()} != {
            "001-a.pdf",
            "002-b.pdf",
            "body.md",
            "message.json",
            "SHA256SUMS",
        }:
            yield f"{name} is not whole"
        for file in place.iterdir() if place.is_dir() else [place]:
            yield from look_at(str(file.relative_to(root)), file.read_bytes(), seen)
    for marker in (name for name in names if name.endswith(".ready")):
        letter = marker.removesuffix(".ready")
        if (
            not {
                f"{letter}_001-a.pdf",
                f"{letter}_002-b.pdf",
                f"{letter}_body.md",
                f"{letter}.json",
            }
            <= names
        ):
            yield f"{marker} is there before its letter"
    if "index.csv" in names and not (root / "index.csv").read_bytes().endswith(b"\r\n"):
        yield "the index is short"


def look_at(path: str, data: bytes, seen: dict[str, bytes]) -> Iterator[str]:
    whole = {"001-a.pdf": 70_000, "002-b.pdf": 30_000}.get(
        path.replace("/", "_").rpartition("_")[2], len(data)
    )
    if len(data) != whole or not (data or path.endswith(".ready")):
        yield f"{path} is short"
    if seen.setdefault(path, hashlib.sha256(data).digest()) != hashlib.sha256(data).digest():
        yield f"{path} has changed"
