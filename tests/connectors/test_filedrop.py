"""The file drop: complete or not there, once, and never over something else."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from connectors.destinations.filedrop import FileDrop, Settings, connect
from daemon.core.ports import Parcel
from tests.conftest import MakeParcel
from tests.handing_over import hand_over, is_verified, names

NAME = "20260312-094605_4255-8_974761076_"


def test_a_letter_is_one_folder_that_verifies(
    destination: FileDrop, drop: Path, make_parcel: MakeParcel
) -> None:
    """The folder has the promised name and files, and coreutils find every file to be what
    SHA256SUMS says."""
    parcel = make_parcel(
        files={"Vedtak.pdf": b"%PDF-1", "Kart over Ås.png": b"png"}, missing=["Borte.pdf"]
    )
    receipt = hand_over(destination, parcel)
    folder = drop / (NAME + parcel.document.id.hex[:8])
    assert names(drop) == [folder.name]
    assert names(folder) == [
        "001-vedtak.pdf",
        "002-kart-over-as.png",
        "SHA256SUMS",
        "body.md",
        "message.json",
    ]
    assert is_verified(folder)
    assert len((folder / "SHA256SUMS").read_text().splitlines()) == 4
    assert receipt.reference == str(folder)
    assert receipt.details == {
        "path": str(folder),
        "name": folder.name,
        "dropped": [folder.name],
        "files": 2,
        "bytes": 9,
    }


def test_message_json_is_the_document(
    destination: FileDrop, drop: Path, make_parcel: MakeParcel
) -> None:
    """message.json is the letter's document in UTF-8, with the missing attachment in it, and ends
    with a line break."""
    parcel = make_parcel(missing=["Borte.pdf"], title="Årsoppgjør æøå")
    folder = Path(hand_over(destination, parcel).reference)
    text = (folder / "message.json").read_text(encoding="utf-8")
    assert text.endswith("}\n")
    assert json.loads(text) == parcel.document.model_dump(mode="json")
    assert "Årsoppgjør æøå" in text


def test_an_html_letter_has_an_html_body(destination: FileDrop, make_parcel: MakeParcel) -> None:
    """The letter's text is dropped as it came, under the name that its type gives."""
    parcel = make_parcel(body="<p>Hei på deg</p>", body_type="text/html")
    folder = Path(hand_over(destination, parcel).reference)
    assert (folder / "body.html").read_text(encoding="utf-8") == "<p>Hei på deg</p>"


def test_a_repeat_leaves_the_folder_untouched(
    destination: FileDrop, drop: Path, make_parcel: MakeParcel
) -> None:
    """Delivering again finds the letter, writes nothing, and says so."""
    first = hand_over(destination, make_parcel())
    before = {
        each: (each.stat().st_ino, each.stat().st_mtime_ns)
        for each in Path(first.reference).iterdir()
    }
    again = hand_over(destination, make_parcel())
    assert again.reference == first.reference
    assert again.details == {**first.details, "found": True}
    assert {
        each: (each.stat().st_ino, each.stat().st_mtime_ns)
        for each in Path(first.reference).iterdir()
    } == before
    assert names(drop) == [Path(first.reference).name]


def test_a_second_drop_of_the_same_folder_is_the_same_letter(
    drop: Path, destination: FileDrop, make_parcel: MakeParcel
) -> None:
    """Two destinations that share a folder do not put one letter there under two names."""
    first = hand_over(destination, make_parcel())
    other = hand_over(FileDrop("arkiv", Settings(path=drop)), make_parcel(destination="arkiv"))
    assert other.reference == first.reference


def test_a_marker_of_the_reader_does_not_make_another_letter(
    destination: FileDrop, make_parcel: MakeParcel
) -> None:
    """A file that the reader has added to the folder changes nothing about the letter in it."""
    first = hand_over(destination, make_parcel())
    (Path(first.reference) / "lest.ok").touch()
    assert hand_over(destination, make_parcel()).reference == first.reference


def test_a_new_generation_gets_a_folder_of_its_own(
    destination: FileDrop, make_parcel: MakeParcel
) -> None:
    """A letter that is sent again on purpose comes again, and its name says so."""
    first = hand_over(destination, make_parcel())
    assert hand_over(destination, make_parcel(generation=2)).reference == first.reference + "-g2"


@pytest.mark.parametrize(
    "occupant",
    ["empty folder", "file", "dangling link", "other letter", "short file", "broken message"],
)
def test_nothing_is_ever_overwritten(
    destination: FileDrop, drop: Path, make_parcel: MakeParcel, occupant: str
) -> None:
    """Whatever else has the letter's name stays as it is; the letter comes as -v2, the receipt
    tells, and a repeat finds it there."""
    parcel = make_parcel()
    place = drop / (NAME + parcel.document.id.hex[:8])
    occupy(place, occupant, destination, make_parcel)
    before = picture(place)
    receipt = hand_over(destination, parcel)
    assert receipt.reference == f"{place}-v2"
    assert receipt.details["taken"] == [place.name]
    assert picture(place) == before
    assert hand_over(destination, parcel).reference == f"{place}-v2"
    assert names(drop) == [place.name, f"{place.name}-v2"]


def occupy(place: Path, occupant: str, destination: FileDrop, make_parcel: MakeParcel) -> None:
    if occupant == "empty folder":
        place.mkdir()
    elif occupant == "file":
        place.write_text("noe annet")
    elif occupant == "dangling link":
        place.symlink_to(place.parent / "nowhere")
    else:
        hand_over(
            destination,
            make_parcel(body="Et annet brev\n") if occupant == "other letter" else make_parcel(),
        )
        if occupant == "short file":
            (place / "001-vedtak-om-mva.pdf").write_bytes(b"%PDF")
        if occupant == "broken message":
            (place / "message.json").write_bytes(b'{"id": \xff')


def picture(place: Path) -> object:
    """What lies at a place, in every detail that an overwriting would change."""
    if place.is_symlink():
        return place.readlink()
    if place.is_file():
        return place.read_bytes()
    return [(each.name, each.stat().st_ino, each.read_bytes()) for each in sorted(place.iterdir())]


def test_what_a_crash_left_behind_is_built_again(
    destination: FileDrop, drop: Path, make_parcel: MakeParcel
) -> None:
    """A half-built folder of an earlier attempt is replaced, and none of it reaches the letter."""
    parcel = make_parcel()
    leftover = drop / ".postmottak" / f"{parcel.delivery_id}.0"
    leftover.mkdir(parents=True)
    (leftover / "001-vedtak-om-mva.pdf").write_bytes(b"%PD")
    (leftover / "junk").write_bytes(b"x")
    folder = Path(hand_over(destination, parcel).reference)
    assert names(drop) == [folder.name]
    assert (folder / "001-vedtak-om-mva.pdf").read_bytes() == b"%PDF-1.7 vedtak"
    assert "junk" not in names(folder)


def test_a_crash_after_the_rename_leaves_no_temporary(
    destination: FileDrop, drop: Path, make_parcel: MakeParcel
) -> None:
    """A repeat of a letter that exists already also clears away what an attempt in between left."""
    parcel = make_parcel()
    place = Path(hand_over(destination, parcel).reference)
    (drop / ".postmottak" / f"{parcel.delivery_id}.0").mkdir(parents=True)
    hand_over(destination, parcel)
    assert names(drop) == [place.name]


def is_whole(folder: Path) -> bool:
    wanted = ["001-a.bin", "SHA256SUMS", "body.md", "message.json"]
    return names(folder) == wanted and (folder / "001-a.bin").stat().st_size == 70_000


def test_a_reader_in_a_hurry_sees_whole_letters_only(
    destination: FileDrop, drop: Path, make_parcel: MakeParcel
) -> None:
    """A reader that lists the folder all the time and reads at once finds every letter complete."""
    done, faults = threading.Event(), list[str]()

    def read_all() -> None:
        while not done.is_set():
            faults.extend(
                folder.name
                for folder in drop.iterdir()
                if not folder.name.startswith(".") and not is_whole(folder)
            )

    reader = threading.Thread(target=read_all)
    reader.start()
    for number in range(60):
        hand_over(destination, make_parcel(f"letter-{number}", files={"a.bin": b"x" * 70_000}))
    done.set()
    reader.join()
    assert not faults
    assert len(names(drop)) == 60


def test_two_different_letters_with_one_name(
    drop: Path, destination: FileDrop, make_parcel: MakeParcel
) -> None:
    """Letters that are dropped at once and happen to have the same folder name both arrive, each
    whole."""
    one, other = make_parcel(), make_parcel(body="Et annet brev\n", destination="arkiv")
    barrier, results = threading.Barrier(2), []

    def deliver(parcel: Parcel) -> None:
        barrier.wait()
        results.append(hand_over(destination, parcel).reference)

    threads = [threading.Thread(target=deliver, args=(parcel,)) for parcel in (one, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(Path, results)) == [drop / name for name in names(drop)]
    assert len(results) == 2


def test_check_says_that_the_folder_can_be_written(drop: Path) -> None:
    """A good folder is found good through the connector itself, and nothing is left in it."""
    findings = list(connect("erp", Settings(path=drop)).check())
    assert [(finding.ok, str(drop) in finding.text) for finding in findings] == [(True, True)]
    assert names(drop) == []


def test_a_relative_path_starts_at_the_configuration(tmp_path: Path) -> None:
    """A relative path is relative to the file that it stands in."""
    settings = Settings.model_validate({"path": "ut"}, context={"base": tmp_path})
    assert settings.path == tmp_path / "ut"
