"""A drop that others may write to: whatever lies where Postmottak needs a name, nothing hangs, and
nothing outside is touched."""

from __future__ import annotations

import json
import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, Self

import pytest

from connectors.destinations.filedrop import FileDrop, Settings
from daemon.core.errors import DeliveryFailure, PostmottakError, TemporaryFailure
from daemon.core.parcels import Receipt
from daemon.core.ports import Parcel, PickupState
from tests.connectors.hostile import (
    KINDS,
    LINKS,
    NEITHER_FILE_NOR_FOLDER,
    SECRET,
    make_outside,
    picture,
)

MakeParcel = Callable[..., Parcel]
pytestmark = pytest.mark.timeout(30)
LAYOUTS = ("folder", "flat", "pdf-only", "csv")
FILES = {"Vedtak.pdf": b"%PDF-1.7 vedtak"}
COMMON = {
    "hidden": ".postmottak",
    "index": "index.csv",
    "intents": ".postmottak/{id}.batch",
}
OF_ONE_LETTER = {
    "intent": ".postmottak/{id}.json",
    "staged": ".postmottak/{id}.0",
    "being removed": ".postmottak/{id}.0.old",
    "staged index": ".postmottak/{id}.csv",
    "name": "{name}",
    "file": "{name}_001-vedtak.pdf",
    "description": "{name}.json",
    "marker": "{name}.ready",
    "yes": "{name}.ok",
    "no": "{name}.err",
    "inside": "{name}/message.json",
}
PLACES = COMMON | OF_ONE_LETTER


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    return make_outside(tmp_path)


def place_of(where: str, drop: Path, parcel: Parcel) -> Path:
    name = f"20260312-094605_4255-8_974761076_{parcel.document.id.hex[:8]}"
    return drop / PLACES[where].format(id=parcel.delivery_id, name=name)


def deliver(
    destination: FileDrop, parcels: Sequence[Parcel]
) -> Sequence[Receipt | PostmottakError]:
    try:
        return destination.deliver_batch(parcels)
    except TemporaryFailure as failure:  # the drop as a whole cannot be used
        return [failure for _ in parcels]


def files_in(drop: Path) -> Iterator[Path]:
    """Every plain file that a consumer finds, without following any link or looking into what is
    hidden."""
    for folder, _, names in os.walk(drop):
        if not any(each.startswith(".") for each in Path(folder).relative_to(drop).parts):
            yield from (
                Path(folder) / each
                for each in names
                if stat.S_ISREG((Path(folder) / each).lstat().st_mode)
            )


def copies(drop: Path) -> int:
    """How often the letters' attachment lies there."""
    wanted = FILES["Vedtak.pdf"]
    return sum(
        each.stat().st_size == len(wanted) and each.read_bytes() == wanted
        for each in files_in(drop)
    )


def remove(planted: Path) -> None:
    shutil.rmtree(planted) if planted.is_dir() and not planted.is_symlink() else planted.unlink()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", PLACES)
def test_whatever_is_planted(
    tmp_path: Path,
    drop: Path,
    outside: Path,
    make_parcel: MakeParcel,
    layout: str,
    kind: str,
    where: str,
) -> None:
    """Each thing in each place, in each layout: it is left, or was in our own way; a letter waits
    with a reason or arrives; each once."""
    destination = FileDrop("erp", Settings(path=drop, layout=layout))
    victim, other = make_parcel("letter-1", files=FILES), make_parcel("letter-2", files=FILES)
    planted = place_of(where, drop, victim)
    planted.parent.mkdir(exist_ok=True)
    KINDS[kind](planted, outside)
    before, inode = picture(outside), planted.lstat().st_ino
    outcomes = deliver(destination, [victim, other])
    assert picture(outside) == before
    for parcel, outcome in zip((victim, other), outcomes, strict=True):
        if isinstance(outcome, PostmottakError):
            assert isinstance(outcome, TemporaryFailure)
            assert str(planted.relative_to(drop)) in str(outcome)
            assert planted.lstat().st_ino == inode
            assert parcel is victim or where in COMMON
    if any(isinstance(each, PostmottakError) for each in outcomes):
        remove(planted)
    repeated = [
        parcel
        for parcel, outcome in zip((victim, other), outcomes, strict=True)
        if isinstance(outcome, PostmottakError)
    ]
    assert all(isinstance(each, Receipt) for each in deliver(destination, repeated))
    destination.forget([victim.delivery_id, other.delivery_id])
    assert picture(outside).keys() == before.keys()
    assert copies(drop) == 2
    if layout == "csv":
        index = (drop / "index.csv").read_bytes()
        assert [index.count(str(each.delivery_id).encode()) for each in (victim, other)] == [2, 2]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "a_folder"])
def test_a_hidden_folder_that_is_something_else(
    drop: Path, outside: Path, make_parcel: MakeParcel, kind: str
) -> None:
    """Nothing is written, changed or removed through it; letters, checks of pickups and clearing up
    wait, and the reason names it."""
    KINDS[kind](drop / ".postmottak", outside)
    before = picture(outside)
    destination = FileDrop(
        "erp", Settings.model_validate({"path": str(drop), "await_pickup": "1h"})
    )
    parcel = make_parcel(files=FILES)
    asked: list[Callable[[], Any]] = [
        lambda: destination.deliver(parcel),
        lambda: destination.forget([parcel.delivery_id]),
        destination.dedup_records,
        lambda: destination.pickup({"name": "x", "dropped": ["x"]}),
    ]
    for each in asked:
        with pytest.raises(
            TemporaryFailure,
            match=r"^\.postmottak in the drop .* is .*; move it away, or remove it",
        ):
            each()
    assert picture(outside) == before


@pytest.mark.parametrize(
    "kind", [*NEITHER_FILE_NOR_FOLDER, "a_folder", "a_hard_link", "a_huge_file"]
)
def test_an_index_that_is_something_else(
    drop: Path, outside: Path, make_parcel: MakeParcel, kind: str
) -> None:
    """The letter's folder is there, but the letter is not delivered before it is in the index; the
    reason names that."""
    KINDS[kind](drop / "index.csv", outside)
    before = picture(outside)
    with pytest.raises(TemporaryFailure, match=r"index\.csv in the drop"):
        FileDrop("erp", Settings(path=drop, layout="csv")).deliver(make_parcel(files=FILES))
    assert picture(outside) == before


def test_an_index_that_never_ends(drop: Path, make_parcel: MakeParcel) -> None:
    """An index of ours that somebody has made larger than memory waits to be moved away; it is not
    read whole."""
    destination = FileDrop("erp", Settings(path=drop, layout="csv"))
    destination.deliver(make_parcel("letter-1", files=FILES))
    os.truncate(drop / "index.csv", 1 << 40)
    with pytest.raises(TemporaryFailure, match=r"index\.csv .* MiB; move it away"):
        destination.deliver(make_parcel("letter-2", files=FILES))
    (drop / "index.csv").rename(drop / "moved")
    destination.deliver(make_parcel("letter-2", files=FILES))
    assert (drop / "index.csv").read_bytes().count(b"\r\n") == 3


def test_an_index_with_a_copy_elsewhere(
    drop: Path, tmp_path: Path, make_parcel: MakeParcel
) -> None:
    """A backup made of hard links keeps what it has: the index is replaced, and never written
    to."""
    destination = FileDrop("erp", Settings(path=drop, layout="csv"))
    destination.deliver(make_parcel("letter-1", files=FILES))
    (tmp_path / "backup").hardlink_to(drop / "index.csv")
    before = (tmp_path / "backup").read_bytes()
    destination.deliver(make_parcel("letter-2", files=FILES))
    assert (tmp_path / "backup").read_bytes() == before
    assert len((drop / "index.csv").read_bytes()) > len(before)


@pytest.mark.parametrize("suffix", [".ok", ".err"])
@pytest.mark.parametrize("kind", [*NEITHER_FILE_NOR_FOLDER, "a_folder"])
def test_an_answer_that_is_no_file(
    drop: Path, outside: Path, make_parcel: MakeParcel, kind: str, suffix: str
) -> None:
    """It does not count as an answer: whether the letter was taken cannot be told, and the reason
    names it; without it, the letter waits as before."""
    destination = FileDrop(
        "erp", Settings.model_validate({"path": str(drop), "await_pickup": "1h"})
    )
    evidence = destination.deliver(make_parcel(files=FILES)).details
    planted = drop / f"{evidence['name']}{suffix}"
    KINDS[kind](planted, outside)
    before = picture(outside)
    with pytest.raises(TemporaryFailure, match=planted.name):
        destination.pickup(evidence)
    assert picture(outside) == before
    remove(planted)
    assert destination.pickup(evidence).state is PickupState.WAITING


def test_a_reason_that_is_somebody_elses_file(
    drop: Path, outside: Path, make_parcel: MakeParcel
) -> None:
    """A file with another name elsewhere is not shown as the reason of a rejection."""
    destination = FileDrop(
        "erp", Settings.model_validate({"path": str(drop), "await_pickup": "1h"})
    )
    evidence = destination.deliver(make_parcel(files=FILES)).details
    (drop / f"{evidence['name']}.err").hardlink_to(outside / "secret")
    with pytest.raises(TemporaryFailure, match="another name") as caught:
        destination.pickup(evidence)
    assert SECRET.decode() not in str(caught.value)


def test_a_reason_that_never_ends(drop: Path, make_parcel: MakeParcel) -> None:
    """Of an answer of any size the beginning is read."""
    destination = FileDrop(
        "erp", Settings.model_validate({"path": str(drop), "await_pickup": "1h"})
    )
    evidence = destination.deliver(make_parcel(files=FILES)).details
    answer = drop / f"{evidence['name']}.err"
    answer.write_text("permanent\nukjent kunde\n" + "x" * 5000)
    os.truncate(answer, 1 << 40)
    pickup = destination.pickup(evidence)
    assert pickup.state is PickupState.REJECTED
    assert pickup.reason.startswith("permanent: ukjent kunde")
    assert len(pickup.reason) <= 500


@pytest.mark.skipif(os.geteuid() != 0, reason="to give a folder away needs root")
def test_a_hidden_folder_of_somebody_else(drop: Path, make_parcel: MakeParcel) -> None:
    """The owner of the hidden folder could say that a letter was dropped: letters wait until it is
    the service's own."""
    hidden, parcel = drop / ".postmottak", make_parcel(files=FILES)
    hidden.mkdir()
    (hidden / f"{parcel.delivery_id}.json").write_text(json.dumps({"name": "dropped"}))
    os.chown(hidden, 12345, 12345)
    destination = FileDrop("erp", Settings(path=drop))
    with pytest.raises(
        TemporaryFailure, match=r"\.postmottak in the drop .* another user \(user 12345\)"
    ):
        destination.deliver(parcel)
    assert [each.name for each in drop.iterdir()] == [".postmottak"]
    shutil.rmtree(hidden)
    destination.deliver(parcel)
    assert copies(drop) == 1


def test_the_hidden_folder_is_closed_to_the_group(drop: Path, make_parcel: MakeParcel) -> None:
    """Also where the group may write in letters, nobody but the service changes letters on their
    way."""
    FileDrop("erp", Settings(path=drop, mode="0666")).deliver(make_parcel(files=FILES))
    assert (drop / ".postmottak").stat().st_mode & 0o022 == 0


@pytest.mark.parametrize("kind", LINKS)
def test_the_drop_itself_may_be_named_by_a_link(
    drop: Path, tmp_path: Path, make_parcel: MakeParcel, kind: str
) -> None:
    """The configuration may name the drop by a link; a link that does not lead to a folder is
    reported."""
    named = tmp_path / "named"
    named.symlink_to(
        {
            "a_link_to_a_folder": drop,
            "a_link_to_a_file": Path(__file__),
            "a_dangling_link": tmp_path / "nothing",
        }[kind]
    )
    destination = FileDrop("erp", Settings(path=named))
    if kind == "a_link_to_a_folder":
        destination.deliver(make_parcel(files=FILES))
        assert copies(drop) == 1
    else:
        with pytest.raises(TemporaryFailure, match=r"is not a folder|does not exist"):
            destination.deliver(make_parcel(files=FILES))


class Neighbour:
    """Puts a link in the place of the hidden folder and back, as fast as it can."""

    def __init__(self, drop: Path, outside: Path) -> None:
        self._hidden, self._away, self._target = (
            drop / ".postmottak",
            drop / ".away",
            outside / "folder",
        )
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self.exchanged = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._done.is_set():
            with suppress(OSError):
                self._hidden.rename(self._away)
                self._hidden.symlink_to(self._target)
                self.exchanged += 1
            with suppress(OSError):
                self._hidden.unlink()
                self._away.rename(self._hidden)


@pytest.mark.parametrize("layout", ["folder", "csv"])
def test_a_neighbour_who_is_quick(
    drop: Path, outside: Path, make_parcel: MakeParcel, layout: str
) -> None:
    """While a link takes the hidden folder's place and gives it back all the time, nothing outside
    changes, and each letter comes once."""
    destination = FileDrop("erp", Settings(path=drop, layout=layout))
    before = picture(outside)
    with Neighbour(drop, outside) as neighbour:
        for number in count(1):
            parcel = make_parcel(f"letter-{number}", files=FILES)
            while not isinstance(deliver(destination, [parcel])[0], Receipt):
                pass
            with suppress(DeliveryFailure):
                destination.forget([parcel.delivery_id])
            if number >= 50 and neighbour.exchanged:
                break
    assert picture(outside) == before
    assert copies(drop) == number
