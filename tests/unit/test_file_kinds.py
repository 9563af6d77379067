"""What an attachment is by its first bytes, and the ending that its name gets by them when it is
stored."""

from __future__ import annotations

import io
import threading
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.file_kinds import HEAD, is_text, kind_of
from daemon.core.filenames import is_plain_name, safe_name
from daemon.core.model import Letter
from daemon.intake.new_letter import MarkPolicies
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from tests.unit.conftest import Clock, new_intake
from tests.unit.memory import MemoryMailbox


def zipped(*names: str, first: bytes = b"x" * 300) -> bytes:
    """A real ZIP file with these entries."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name in names:
            archive.writestr(name, first)
    return made.getvalue()


PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n"
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01"
JPG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01" + bytes(40)
DOCX = zipped("[Content_Types].xml", "_rels/.rels", "word/document.xml")
XLSX = zipped("[Content_Types].xml", "_rels/.rels", "xl/workbook.xml")
ODT = zipped("mimetype", first=b"application/vnd.oasis.opendocument.text")
XML = b'<?xml version="1.0" encoding="UTF-8"?>\n<a/>'
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        *(
            (b"%PDF-" + version + b"\n", "pdf")
            for version in (b"1.0", b"1.3", b"1.4", b"1.5", b"1.7", b"2.0")
        ),
        (PDF, "pdf"),
        (b"\xef\xbb\xbf\r\n" + PDF, "pdf"),
        (PNG, "png"),
        (JPG, "jpg"),
        (b"\xff\xd8\xff\xe1\x00\x10Exif\x00\x00" + bytes(40), "jpg"),
        (b"\xff\xd8\xff\xdb\x00\x43\x00" + bytes(40), "jpg"),
        (b"GIF89a" + bytes(40), "gif"),
        (b"II*\x00" + bytes(40), "tif"),
        (b"MM\x00*" + bytes(40), "tif"),
        (b"{\\rtf1\\ansi Hei}", "rtf"),
        (XML, "xml"),
        (DOCX, "docx"),
        (XLSX, "xlsx"),
        (ODT, "odt"),
        (zipped("a.txt"), "zip"),
        (zipped("vedlegg.pdf", first=PDF), "zip"),
        (b"0\x80\x06\t*\x86H\x86\xf7\r\x01\x07\x02\xa0\x80" + PDF, ""),
        (OLE, ""),
        ("Hei på deg\n".encode(), ""),
        (b"", ""),
        (b"\x00\x00 \n", ""),
    ],
)
def test_bytes_say_what_a_file_is(head: bytes, kind: str) -> None:
    """The usual kinds of attachments are known by their first bytes, and what is not known stays
    unknown."""
    assert kind_of(head[:HEAD]) == kind


@pytest.mark.parametrize(
    ("original", "data", "expected"),
    [
        ("Vedtak", PDF, "001-vedtak.pdf"),
        ("Kart for Hansen Bygg A.S", PDF, "001-kart-for-hansen-bygg-a-s.pdf"),
        ("Tegning.pdf.", PDF, "001-tegning.pdf"),
        ("Vedtak.pdf\u200b", PDF, "001-vedtak.pdf"),
        ("Vedtak.docx", PDF, "001-vedtak-docx.pdf"),
        ("Plan.ai", PDF, "001-plan.ai"),
        ("Vedtak.PDF", PDF, "001-vedtak.pdf"),
        ("Vedtak av 12.mars", PDF, "001-vedtak-av-12-mars.pdf"),
        ("Skann.pdf", JPG, "001-skann-pdf.jpg"),
        ("Bilde.JPEG", JPG, "001-bilde.jpeg"),
        ("Bilde", PNG, "001-bilde.png"),
        ("Søknad", DOCX, "001-soknad.docx"),
        ("Firma A.S", XLSX, "001-firma-a-s.xlsx"),
        (
            "Signert.asice",
            zipped("mimetype", first=b"application/vnd.etsi.asic-e+zip"),
            "001-signert.asice",
        ),
        ("Makro.xlsm", XLSX, "001-makro.xlsm"),
        ("Melding", XML, "001-melding.xml"),
        ("Kart.gml", XML, "001-kart.gml"),
        ("Gammel.doc", OLE, "001-gammel.doc"),
        ("Gammel", OLE, "001-gammel"),
        ("Les meg", "Hei på deg\n".encode(), "001-les-meg.txt"),
        ("Data", b"\x00\x01\x02", "001-data"),
        ("data.csv", b"a;b\n", "001-data.csv"),
    ],
)
def test_a_stored_name_ends_as_its_bytes_say(
    store: Store, content: ContentFolder, clock: Clock, original: str, data: bytes, expected: str
) -> None:
    """An ending that tells is added where the name has none or a misleading one; one that can be
    right stays, and the name as sent too."""
    mailbox = MemoryMailbox()
    mailbox.publish("letter", data)
    channel, letter = mailbox.letters["letter"]
    part = letter.parts[0].model_copy(
        update={"original_name": original, "media_type": "text/plain"}
    )
    mailbox.letters["letter"] = (channel, Letter(envelope=letter.envelope, parts=(part,)))
    new_intake(store, content, clock).poll(mailbox, MarkPolicies(), threading.Event())
    (stored,) = store.queries.attachments(store.queries.message("letter").id)
    assert (stored.safe_name, stored.original_name, stored.media_type) == (
        expected,
        original,
        "text/plain",
    )


@given(st.binary(max_size=200), st.text(max_size=40))
def test_any_bytes_make_a_harmless_name(head: bytes, original: str) -> None:
    """No bytes stop a letter, and the name that comes of them is one file's name on any system."""
    name = safe_name(original, "", 1, kind_of(head))
    assert is_plain_name(name)
    assert isinstance(is_text(head), bool)
