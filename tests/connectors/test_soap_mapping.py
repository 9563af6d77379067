"""A mapping for SOAP: what is refused when the configuration is read, and what a letter becomes."""

from __future__ import annotations

import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.destinations.soap import connect
from connectors.sandbox.altinn3.server import FakeAltinn
from connectors.sandbox.setup import Scene, prepare, prepare_archive
from connectors.sandbox.sinks.soap import WSDL, SoapSink
from connectors.soap.describe import describe
from daemon.core.errors import OperatorError, PermanentFailure, TemporaryFailure
from daemon.service import plugins
from tests.conftest import MakeParcel
from tests.connectors.soap_tools import MAPPING, settings

URL = "http://127.0.0.1:1/archive"
ROW = MAPPING["File"][1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"Titel": "x"},
            "'Titel', which is not an element of ReceiveDocument; did you mean 'Title'",
        ),
        (
            {"title": "x"},
            "'title', which is not an element of ReceiveDocument; did you mean 'Title'",
        ),
        ({"Title": "$titel"}, "not a field of a letter; did you mean '\\$title'"),
        ({"Title": "$?"}, "it was left open"),
        ({"Title": "$file.name"}, 'write "\\$each" = "attachments" into the table around it'),
        ({"Title": {"a": "b"}}, "a table for ReceiveDocument.Title"),
        ({"Title": ["a"]}, "a list for ReceiveDocument.Title"),
        ({"Sender": "Skatteetaten"}, "gives ReceiveDocument.Sender no elements"),
        ({"Sender": {}}, "does not map ReceiveDocument.Sender.Name, which the service must have"),
        ({"Sender": {"$each": "attachments", "Name": "x"}}, "takes it only once"),
        (
            {"Confidential": "ja"},
            "constant 'ja' for ReceiveDocument.Confidential, where the service wants a boolean",
        ),
        ({"DocumentDate": "$title"}, "a text, but the service wants a date"),
        ({"Received": "$due_at"}, "which not every letter has"),
        ({"File": {**ROW, "$each": "alt"}}, "write one of: attachments, missing"),
        ({"File": {**ROW, "Content": "$file.name"}}, "a text, but the service wants a base64"),
    ],
)
def test_what_does_not_fit_the_wsdl_is_named(change: dict[str, Any], words: str) -> None:
    """A fault of the mapping names the element, and what to write instead."""
    with pytest.raises(ValidationError, match=words):
        settings(URL, input=MAPPING | change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {},
            (
                "maps none of Code, Words, Language in ReceiveDocument, of which the service must "
                "have one"
            ),
        ),
        (
            {"Code": "INN", "Words": "x", "Language": "nb"},
            "maps Code and Words in ReceiveDocument, of which the service takes only one",
        ),
        ({"Words": "x", "Language": "nb"}, ""),
        ({"Code": "INN"}, ""),
    ],
)
def test_of_a_choice_one_branch_is_mapped(
    change: dict[str, Any], words: str, tmp_path: Path
) -> None:
    """None, and more than one, would be a message that the service cannot take."""
    branches = (
        '<xs:element name="Code" type="xs:string"/><xs:sequence><xs:element name="Words" '
        'type="xs:string"/>'
    )
    choice = (
        f'<xs:choice>{branches}<xs:element name="Language" '
        'type="xs:string"/></xs:sequence></xs:choice>'
    )
    (tmp_path / "a.wsdl").write_text(
        WSDL.read_text().replace('<xs:element name="Text"', f'{choice}<xs:element name="Text"')
    )
    made = {"wsdl": "a.wsdl", "input": MAPPING | change}
    if not words:
        settings(URL, tmp_path, **made)
        return
    with pytest.raises(ValidationError, match=words):
        settings(URL, tmp_path, **made)
    assert 'Words = "$?"  # text, required unless there is Code' in describe(
        str(tmp_path / "a.wsdl")
    )


def test_every_fault_of_a_mapping_is_told_at_once() -> None:
    """All faults of a mapping are reported at once."""
    with pytest.raises(ValidationError, match=r"'Tittel'.*does not map ReceiveDocument\.Title"):
        settings(
            URL,
            input={"Tittel" if key == "Title" else key: value for key, value in MAPPING.items()},
        )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"operation": "ReceiveDocuments"},
            "no operation 'ReceiveDocuments' in its WSDL; did you mean 'ReceiveDocument'",
        ),
        ({"service": "Archive"}, "did you mean 'ArchiveService'"),
        ({"port": "X"}, "it has: ArchivePort"),
        ({"attachments": "swa"}, "'base64' or 'mtom'"),
        ({"password_digest": True}, 'write authentication = "username-token"'),
        ({"authentication": "basic"}, "do not fit"),
        ({"username": "ola"}, "do not fit"),
        ({"authentication": "x509"}, "do not fit"),
        ({"success_field": "Status"}, "success_values without the other"),
        ({"wsdl": "borte.wsdl"}, "cannot be read"),
        ({"address": "ftp://x"}, "is not a valid web address"),
    ],
)
def test_settings_that_cannot_work_are_refused(
    options: dict[str, Any], words: str, tmp_path: Path
) -> None:
    """Whatever is wrong with a section is told when it is read."""
    with pytest.raises(ValidationError, match=words):
        settings(URL, tmp_path, **options)


def test_a_password_does_not_go_unencrypted(tmp_path: Path) -> None:
    """Basic and UsernameToken want https, but on this machine itself."""
    (tmp_path / "pw").write_text("hemmelig")
    login = {"username": "ola", "password_file": "pw"}
    for how in ("basic", "username-token"):
        with pytest.raises(ValidationError, match="would send its password unencrypted"):
            settings("http://arkiv.example.no/soap", tmp_path, authentication=how, **login)
        settings(URL, tmp_path, authentication=how, **login)


def test_a_pair_that_does_not_belong_together_is_refused(tmp_path: Path) -> None:
    """A certificate and a key for signing are tried when the configuration is read."""
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_text("no pem")
    with pytest.raises(
        ValidationError, match="signing_cert_file and signing_key_file that cannot be used"
    ):
        settings(
            URL,
            tmp_path,
            authentication="x509",
            signing_cert_file="cert.pem",
            signing_key_file="key.pem",
        )


def test_without_the_extra_its_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without zeep a section says what to install, and so does the command; everything else is
    found as before."""
    monkeypatch.setitem(sys.modules, "zeep", None)
    with pytest.raises(ValidationError, match=r"pip install '<the wheel>\[soap\]'"):
        settings(URL)
    with pytest.raises(OperatorError, match=r"pip install '<the wheel>\[soap\]'"):
        describe(str(WSDL))
    assert plugins.find_settings("destination", "filedrop")


@pytest.mark.parametrize(
    "head", ['<!DOCTYPE x [<!ENTITY a "b">]>', '<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd">']
)
def test_a_wsdl_with_a_dtd_is_refused(head: str, tmp_path: Path) -> None:
    """A DTD could read files and grow without end, so none is read."""
    text = WSDL.read_text().replace("<wsdl:definitions", f"{head}<wsdl:definitions", 1)
    (tmp_path / "a.wsdl").write_text(text)
    with pytest.raises(ValidationError, match="DTD"):
        settings(URL, tmp_path, wsdl="a.wsdl")


@pytest.mark.parametrize(
    "place", ["http://127.0.0.1:1/x.xsd", "../x.xsd", "/etc/passwd", "file:///etc/passwd"]
)
def test_a_wsdl_imports_nothing_from_elsewhere(place: str, tmp_path: Path) -> None:
    """An import from outside the WSDL's folder is refused, by its name."""
    imported = (
        f'<xs:import namespace="urn:x" schemaLocation="{place}"/><xs:element '
        'name="ReceiveDocument">'
    )
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "a.wsdl").write_text(
        WSDL.read_text().replace('<xs:element name="ReceiveDocument">', imported, 1)
    )
    (tmp_path / "x.xsd").write_text(
        '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:x"/>'
    )
    with pytest.raises(ValidationError, match="imports a document from elsewhere"):
        settings(URL, tmp_path, wsdl="inside/a.wsdl")


def test_a_schema_beside_the_wsdl_is_read(tmp_path: Path) -> None:
    """A WSDL may be in several files of one folder."""
    imported = (
        '<xs:import namespace="urn:x" schemaLocation="x.xsd"/><xs:element name="ReceiveDocument">'
    )
    (tmp_path / "a.wsdl").write_text(
        WSDL.read_text().replace('<xs:element name="ReceiveDocument">', imported, 1)
    )
    (tmp_path / "x.xsd").write_text(
        '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:x"/>'
    )
    assert settings(URL, tmp_path, wsdl="a.wsdl").contract


def test_nonsense_is_no_wsdl(tmp_path: Path) -> None:
    """Whatever the file holds, the operator reads that it is not a WSDL."""
    for content in (
        b"",
        b"\x00\xff",
        b"<a/>",
        b"<html></html>",
        WSDL.read_bytes()[:-200],
        WSDL.read_bytes().replace(b"a:Request", b"a:Gone"),
    ):
        (tmp_path / "a.wsdl").write_bytes(content)
        with pytest.raises(ValidationError, match=r"WSDL|well-formed"):
            settings(URL, tmp_path, wsdl="a.wsdl")


def test_a_letter_is_what_the_schema_says(make_parcel: MakeParcel) -> None:
    """Dates are days in Norway, moments are UTC, what is missing is nil or left out, and what XML
    cannot hold is replaced."""
    late = datetime(2026, 6, 1, 22, 30, tzinfo=UTC)
    with SoapSink() as sink:
        destination = connect("arkiv", settings(sink.url))
        destination.deliver(
            make_parcel(
                title="Å \x0b\ud800 & <b>",
                published_at=late,
                sender_org=None,
                files={"a b.pdf": b"x" * 100_001},
            )
        )
        document = sink.documents[0]
    assert sink.refused == ()
    assert document.text("DocumentDate") == "2026-06-02"
    assert document.text("Received") == "2026-03-12T09:46:05Z"
    assert document.text("Number") == "ukjent"
    assert document.text("DueDate") is None
    assert document.title == "Å \ufffd\ufffd & <b>"
    assert [len(each) for each in document.files.values()][1:] == [100_001]


def test_an_attachment_that_is_missing_can_be_told_of(make_parcel: MakeParcel) -> None:
    """A mapping can go through the attachments that are not here as well."""
    row = {
        "$each": "missing",
        "FileName": "$file.name",
        "MediaType": "$file.state",
        "Content": "$file.content",
    }
    with SoapSink() as sink:
        connect("arkiv", settings(sink.url, input=MAPPING | {"File": row})).deliver(
            make_parcel(missing=["Kart.pdf"])
        )
        assert list(sink.documents[0].files.values()) == [b""]
        assert sink.documents[0].text("MediaType") == "expired"


def test_a_wsdl_at_a_web_address_is_fetched_once(make_parcel: MakeParcel) -> None:
    """It is fetched at the first use, kept, and its own address is called; one that cannot be had
    leaves the letter waiting."""
    with SoapSink() as sink:
        destination = connect("arkiv", settings("", wsdl=sink.wsdl_url))
        sink.go_down()
        with pytest.raises(TemporaryFailure, match="the WSDL cannot be fetched"):
            destination.deliver(make_parcel())
        sink.come_up()
        for name in ("one", "two"):
            destination.deliver(make_parcel(name))
        assert len(sink.documents) == 2


def test_too_large_a_letter_is_refused_before_anything_is_sent(make_parcel: MakeParcel) -> None:
    """It is not for this service; the reason says both sizes and what to do."""
    with SoapSink() as sink:
        destination = connect("arkiv", settings(sink.url, max_bytes=10_000))
        with pytest.raises(
            PermanentFailure, match=r"more than the 10,000 that max_bytes allows; raise max_bytes"
        ):
            destination.deliver(make_parcel(files={"a.pdf": b"x" * 10_000}))
        assert sink.requests == ()


def test_what_describe_prints_can_be_pasted(tmp_path: Path) -> None:
    """The section is TOML; with what it leaves open filled in, it passes the check."""
    section = tomllib.loads(describe(str(WSDL)))["destination"]["arkiv"]
    assert section.pop("type") == "soap"
    with pytest.raises(ValidationError, match=r"@series from '\$\?'"):
        settings(URL, tmp_path, **section)
    section["input"]["@series"] = "POST"
    with pytest.raises(
        ValidationError, match=r"success_values with '\$\?'; write what Status says"
    ):
        settings(URL, tmp_path, **section)
    section["success_values"] = ["OK"]
    settings(URL, tmp_path, **section)


def test_what_nobody_can_know_is_left_open(tmp_path: Path) -> None:
    """A date, a list and bytes under names that say nothing are no guess: each is open, and refused
    by its name until it is written."""
    text = (
        WSDL.read_text()
        .replace("DocumentDate", "CaseClosed")
        .replace('name="File"', 'name="CoSender"', 1)
        .replace("Content", "Blob")
    )
    text = text.replace('type="a:File" minOccurs="0"', 'type="a:File"')
    text = text.replace(
        '<xs:element name="Text" type="xs:string" minOccurs="0"/>',
        '<xs:element name="Picture" type="xs:base64Binary"/>',
    )
    (tmp_path / "a.wsdl").write_text(text)
    section = tomllib.loads(describe(str(tmp_path / "a.wsdl")))["destination"]["arkiv"]
    given = section["input"]
    (row,) = given["CoSender"]
    assert (given["CaseClosed"], given["Picture"], row["$each"], row["FileName"], row["Blob"]) == (
        "$?",
    ) * 5
    assert (given["Received"], given["DueDate"]) == ("$fetched_at", "$due_at")
    section.pop("type")
    with pytest.raises(ValidationError) as caught:
        settings(URL, tmp_path, **section | {"wsdl": str(tmp_path / "a.wsdl")})
    assert all(
        name in str(caught.value) for name in ("CaseClosed", "Picture", "CoSender", "@series")
    )


def test_a_list_that_may_be_left_out_is_commented_out(tmp_path: Path) -> None:
    """A list that nobody can know and that may be missing stands there as a comment, so that
    nothing wrong is sent."""
    (tmp_path / "a.wsdl").write_text(WSDL.read_text().replace('name="File"', 'name="CoSender"', 1))
    section = tomllib.loads(describe(str(tmp_path / "a.wsdl")))["destination"]["arkiv"]
    assert "CoSender" not in section["input"]
    assert '# "$each" = "$?"' in describe(str(tmp_path / "a.wsdl"))


def test_what_the_sandbox_writes_for_its_archive_works(
    tmp_path: Path, make_parcel: MakeParcel
) -> None:
    """The section sends letters as it stands; the archive fails in the way that the address asks
    for."""
    with FakeAltinn() as altinn, SoapSink(folder=tmp_path / "kept") as sink:
        scene = Scene(folder=tmp_path)
        path = prepare_archive(altinn, prepare(altinn, scene), sink, scene)
        section = tomllib.loads(path.read_text())["destination"]["arkiv"]
        section.pop("type")
        connect("arkiv", settings(URL, tmp_path, **section)).deliver(make_parcel())
        assert len(list((tmp_path / "kept").iterdir())) == 1
        with pytest.raises(TemporaryFailure, match="HTML"):
            connect(
                "arkiv", settings(URL, tmp_path, **section | {"address": f"{sink.url}?html"})
            ).deliver(make_parcel())


def test_a_file_that_must_be_there_needs_more_than_attachments(tmp_path: Path) -> None:
    """Letters without attachments come too; a mapping that such a letter could not fill is refused
    when it is read."""
    (tmp_path / "a.wsdl").write_text(
        WSDL.read_text().replace('type="a:File" minOccurs="0"', 'type="a:File"')
    )
    with pytest.raises(ValidationError, match="wants at least one, and a letter may have none"):
        settings(URL, tmp_path, wsdl="a.wsdl", input=MAPPING | {"File": ROW})
    settings(URL, tmp_path, wsdl="a.wsdl")


def test_the_wsdls_address_gets_no_password(tmp_path: Path, make_parcel: MakeParcel) -> None:
    """A WSDL may lie on another machine than the service, which is not to know the service's
    password."""
    (tmp_path / "pw").write_text("hemmelig")
    with SoapSink() as elsewhere, SoapSink(login=("ola", "hemmelig")) as sink:
        login = {"authentication": "basic", "username": "ola", "password_file": "pw"}
        connect("arkiv", settings(sink.url, tmp_path, wsdl=elsewhere.wsdl_url, **login)).deliver(
            make_parcel()
        )
        assert [request.headers.get("authorization") for request in elsewhere.requests] == [None]
        assert len(sink.documents) == 1
