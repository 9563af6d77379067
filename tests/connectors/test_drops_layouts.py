"""What a consumer finds in each layout, file by file."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from connectors.destinations.filedrop import FileDrop, Settings
from daemon.core.errors import TemporaryFailure
from daemon.core.parcels import Receipt
from daemon.core.ports import Parcel
from tests.handing_over import hand_over, names

MakeParcel = Callable[..., Parcel]
FILES = {"Vedtak.pdf": b"%PDF-1.7 vedtak", "Kart over Ås.png": b"png"}


def deliver(drop: Path, parcel: Parcel, **options: Any) -> Receipt:
    return hand_over(
        FileDrop("erp", Settings.model_validate({"path": str(drop), **options})), parcel
    )


def table(drop: Path) -> list[dict[str, str]]:
    """The index, as a spreadsheet reads it."""
    text = (drop / "index.csv").read_bytes().decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=";"))


def test_a_folder_may_have_a_marker_beside_it(tmp_path: Path, make_parcel: MakeParcel) -> None:
    """With a marker, an empty file of the folder's name and the suffix lies beside the folder."""
    receipt = deliver(tmp_path, make_parcel(), marker=".klar")
    assert names(tmp_path) == [receipt.details["name"], f"{receipt.details['name']}.klar"]
    assert (tmp_path / f"{receipt.details['name']}.klar").read_bytes() == b""


def test_a_folder_with_everything_verifies(tmp_path: Path, make_parcel: MakeParcel) -> None:
    """Formats and rendering lie in the folder, and SHA256SUMS covers every file but itself."""
    folder = Path(
        deliver(
            tmp_path, make_parcel(), letter_pdf=True, formats=["json", "arkivmelding", "fiks-arkiv"]
        ).reference
    )
    assert names(folder) == [
        *(
            "001-vedtak-om-mva.pdf",
            "SHA256SUMS",
            "arkivmelding.xml",
            "body.md",
            "fiks-arkivmelding.xml",
            "letter.pdf",
            "message.json",
        )
    ]
    assert len((folder / "SHA256SUMS").read_text().splitlines()) == 6
    subprocess.run(["sha256sum", "--strict", "--quiet", "-c", "SHA256SUMS"], cwd=folder, check=True)


@pytest.mark.parametrize("answer", [".ok", ".err"])
def test_an_answer_to_an_earlier_letter_does_not_count(
    tmp_path: Path, make_parcel: MakeParcel, answer: str
) -> None:
    """Where an answer of that name lies already the letter gets another name, so that the answer is
    not taken for its own."""
    drop = tmp_path / "drop"
    drop.mkdir()
    name = deliver(tmp_path, make_parcel()).details["name"]
    (drop / f"{name}{answer}").touch()
    assert deliver(drop, make_parcel()).details["name"] == f"{name}-v2"


def test_flat_is_all_files_side_by_side(tmp_path: Path, make_parcel: MakeParcel) -> None:
    """Flat has attachments, text, sidecar and marker under the letter's name, and the sidecar is
    the document."""
    parcel = make_parcel(files=FILES)
    name = deliver(tmp_path, parcel, layout="flat").details["name"]
    assert names(tmp_path) == [
        *(
            f"{name}.json",
            f"{name}.ready",
            f"{name}_001-vedtak.pdf",
            f"{name}_002-kart-over-as.png",
            f"{name}_body.md",
        )
    ]
    assert json.loads((tmp_path / f"{name}.json").read_bytes()) == parcel.document.model_dump(
        mode="json"
    )
    assert (tmp_path / f"{name}_001-vedtak.pdf").read_bytes() == b"%PDF-1.7 vedtak"


def test_flat_without_a_marker(tmp_path: Path, make_parcel: MakeParcel) -> None:
    """Where none is wanted the sidecar comes last."""
    name = deliver(tmp_path, make_parcel(), layout="flat", marker="none").details["name"]
    assert names(tmp_path) == [f"{name}.json", f"{name}_001-vedtak-om-mva.pdf", f"{name}_body.md"]


def test_an_archive_format_in_flat_names_the_files_as_they_are(
    tmp_path: Path, make_parcel: MakeParcel
) -> None:
    """What an archive is told to read lies in the drop under just that name."""
    name = deliver(
        tmp_path, make_parcel(), layout="flat", formats=["json", "arkivmelding"]
    ).details["name"]
    text = (tmp_path / f"{name}_arkivmelding.xml").read_text()
    assert f">{name}_001-vedtak-om-mva.pdf</referanseDokumentfil>" in text
    assert f">{name}_body.md</referanseDokumentfil>" in text


def test_pdf_only_has_nothing_but_pdfs(tmp_path: Path, make_parcel: MakeParcel) -> None:
    """Other attachments are left out, which the receipt tells."""
    pytest.importorskip("fpdf", reason="fpdf2 is not installed")
    receipt = deliver(tmp_path, make_parcel(files=FILES), layout="pdf-only")
    assert names(tmp_path) == [f"{receipt.details['name']}_001-vedtak.pdf"]
    assert receipt.details["left_out"] == ["002-kart-over-as.png"]


def test_pdf_only_goes_by_the_bytes(tmp_path: Path, make_parcel: MakeParcel) -> None:
    """PDFs whose names have no ending that tells are dropped as PDFs."""
    files = {
        "Vedtak": b"%PDF-1.7 a",
        "Kart for Hansen Bygg A.S": b"%PDF-1.4 b",
        "Tegning.pdf.": b"%PDF-2.0 c",
    }
    parcel = make_parcel(files=files)
    receipt = deliver(tmp_path, parcel, layout="pdf-only")
    ends = ("001-vedtak.pdf", "002-kart-for-hansen-bygg-a-s.pdf", "003-tegning.pdf")
    assert names(tmp_path) == [f"{receipt.details['name']}_{end}" for end in ends]
    assert [file.original_name for file in parcel.document.files] == list(files)


def test_pdf_only_of_a_letter_without_a_pdf(tmp_path: Path, make_parcel: MakeParcel) -> None:
    """A letter that has no PDF comes as a rendering of itself: nothing is silently dropped on the
    floor."""
    pytest.importorskip("fpdf", reason="fpdf2 is not installed")
    receipt = deliver(tmp_path, make_parcel(files={"kart.png": b"png"}), layout="pdf-only")
    assert names(tmp_path) == [f"{receipt.details['name']}_letter.pdf"]
    assert (tmp_path / names(tmp_path)[0]).read_bytes().startswith(b"%PDF-")


def test_pdf_only_knows_a_letter_by_its_bytes(tmp_path: Path, make_parcel: MakeParcel) -> None:
    """The same PDFs are the same letter, and other bytes of the same size are not."""
    pytest.importorskip("fpdf", reason="fpdf2 is not installed")
    first = deliver(tmp_path, make_parcel(), layout="pdf-only")
    assert deliver(tmp_path, make_parcel(), layout="pdf-only").details["found"]
    (tmp_path / first.details["dropped"][0]).write_bytes(b"%PDF-1.7 vedtaX")
    assert (
        deliver(tmp_path, make_parcel(), layout="pdf-only").details["name"]
        == f"{first.details['name']}-v2"
    )


def test_the_index_has_a_line_for_each_file(tmp_path: Path, make_parcel: MakeParcel) -> None:
    """A spreadsheet finds each file of each letter in the index, once, however often the letter is
    delivered."""
    parcel = make_parcel(files=FILES, title="Årsoppgjør; «første» del")
    folder = deliver(tmp_path, parcel, layout="csv").details["name"]
    deliver(tmp_path, parcel, layout="csv")
    deliver(tmp_path, make_parcel("letter-2", files={}), layout="csv")
    rows = table(tmp_path)
    assert [row["file"] for row in rows] == [
        "001-vedtak.pdf",
        "002-kart-over-as.png",
        "body.md",
        "body.md",
    ]
    assert (
        rows[0]
        | {
            "folder": folder,
            "original_name": "Vedtak.pdf",
            "size": "15",
            "title": "Årsoppgjør; «første» del",
        }
        == rows[0]
    )
    assert rows[0]["sha256"] == parcel.parts[0].sha256
    assert (tmp_path / "index.csv").read_bytes().startswith("\ufeffdelivery;letter;".encode())


def test_the_index_is_never_a_program(tmp_path: Path, make_parcel: MakeParcel) -> None:
    """A sender's words on several lines, or that a spreadsheet would work out, are a line of plain
    text."""
    deliver(
        tmp_path,
        make_parcel(title="=cmd|' /C calc'!A0", sender_name="+47\r\n;@a", sender_reference="\t-1"),
        layout="csv",
    )
    row = table(tmp_path)[0]
    assert row["title"] == "'=cmd|' /C calc'!A0"
    assert row["sender_name"] == "'+47 ;@a"
    assert row["sender_reference"] == "'-1"


def test_an_index_that_the_consumer_moved_away_begins_again(
    tmp_path: Path, make_parcel: MakeParcel
) -> None:
    """After the consumer has taken the index, the next letter's lines stand in a new one, with its
    heading."""
    deliver(tmp_path, make_parcel(), layout="csv")
    (tmp_path / "index.csv").rename(tmp_path / "lest.csv")
    deliver(tmp_path, make_parcel("letter-2"), layout="csv")
    assert len({row["delivery"] for row in table(tmp_path)}) == 1


def test_an_index_of_somebody_else_is_left_alone(tmp_path: Path, make_parcel: MakeParcel) -> None:
    """A file that only has the index's name is not added to; the letter waits until it is moved,
    and comes once."""
    (tmp_path / "index.csv").write_text("noe annet")
    with pytest.raises(TemporaryFailure, match=r"index\.csv"):
        deliver(tmp_path, make_parcel(), layout="csv")
    assert (tmp_path / "index.csv").read_text() == "noe annet"
    (tmp_path / "index.csv").unlink()
    name = deliver(tmp_path, make_parcel(), layout="csv").details["name"]
    assert names(tmp_path) == [name, "index.csv"]
