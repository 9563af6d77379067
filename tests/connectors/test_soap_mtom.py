"""MTOM: what travels beside the envelope, and that the receiver, by its own reading of the rules,
gets what was sent."""

from __future__ import annotations

import email
import email.policy
import io
from dataclasses import replace
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
import trustme

from connectors.destinations.soap import connect
from connectors.sandbox.sinks.soap import WSDL, SoapSink, in_parts, response
from connectors.sandbox.sinks.xop import envelope_of
from connectors.soap.describe import describe
from daemon.core.errors import PermanentFailure, TemporaryFailure
from tests.conftest import MakeParcel
from tests.connectors.soap_tools import MAPPING, settings, signing

XMIME = (
    'xmlns:xmime="http://www.w3.org/2005/05/xmlmime" xmime:expectedContentTypes="application/pdf, '
    'image/*"'
)
CONTENT = '<xs:element name="Content" type="xs:base64Binary"'


def test_contents_go_beside_the_envelope_as_they_are(make_parcel: MakeParcel) -> None:
    """Line ends, nothing at all, and what looks like another part arrive to the byte; the envelope
    has no base64 of them."""
    odd = b"\r\n--postmottak-0\r\nContent-ID: <envelope@postmottak>\r\n\r\nx\r\n"
    files = {
        "odd.bin": odd,
        "empty.txt": b"",
        "large.zip": bytes(range(256)) * 9000,
        "newline.txt": b"\n",
    }
    with SoapSink() as sink:
        connect("arkiv", settings(sink.url, attachments="mtom")).deliver(make_parcel(files=files))
        (request,), (document,) = sink.requests, sink.documents
    assert sink.refused == ()
    assert list(document.files.values())[1:] == list(files.values())
    assert request.body.count(b"Include ") == len(files) + 1
    assert len(request.body) < sum(map(len, files.values())) + 6000
    assert int(request.headers["content-length"]) == len(request.body)


def test_a_letter_of_nothing_but_text_is_a_package_too(make_parcel: MakeParcel) -> None:
    """A service that takes MTOM may take nothing else."""
    mapping = {key: value for key, value in MAPPING.items() if key != "File"}
    with SoapSink() as sink:
        connect("arkiv", settings(sink.url, attachments="mtom", input=mapping)).deliver(
            make_parcel()
        )
        assert sink.requests[0].headers["content-type"].startswith("multipart/related")
        assert len(sink.documents) == 1


@pytest.mark.parametrize("signed", [False, True])
def test_what_xop_cannot_take_out_stays_inside(
    signed: bool, authority: trustme.CA, tmp_path: Path, make_parcel: MakeParcel
) -> None:
    """A content in an element of text, or in an attribute, is base64 in the envelope, whether that
    is signed or not."""
    attribute = '<xs:attribute name="copy" type="xs:base64Binary"/><xs:attribute name="series"'
    (tmp_path / "a.wsdl").write_text(
        WSDL.read_text().replace('<xs:attribute name="series"', attribute)
    )
    mapping = MAPPING | {"Text": "$body.content", "@copy": "$body.content"}
    with SoapSink(wsdl=tmp_path / "a.wsdl") as sink:
        options = {"attachments": "mtom", "wsdl": "a.wsdl", "input": mapping} | (
            signing(authority, tmp_path) if signed else {}
        )
        connect("arkiv", settings(sink.url, tmp_path, **options)).deliver(make_parcel(body="Hei"))
        assert sink.documents[0].text("Text") == "SGVp"
        assert sink.requests[0].body.count(b"SGVp") == 2


def typed(tmp_path: Path) -> Path:
    """A WSDL whose contents say what they are, in an attribute of the element."""
    schema = (
        '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" '
        'targetNamespace="http://www.w3.org/2005/05/xmlmime">'
    )
    (tmp_path / "xmlmime.xsd").write_text(
        f'{schema}<xs:attribute name="contentType" type="xs:string"/></xs:schema>'
    )
    imported = (
        '<xs:import namespace="http://www.w3.org/2005/05/xmlmime" schemaLocation="xmlmime.xsd"/>'
    )
    bytes_of = (
        '<xs:extension base="xs:base64Binary"><xs:attribute ref="m:contentType" '
        'xmlns:m="http://www.w3.org/2005/05/xmlmime"/></xs:extension>'
    )
    kind = (
        "<xs:complexType "
        f'name="Bytes"><xs:simpleContent>{bytes_of}</xs:simpleContent></xs:complexType>'
    )
    text = WSDL.read_text().replace(
        '<xs:element name="ReceiveDocument">',
        f'{imported}{kind}<xs:element name="ReceiveDocument">',
        1,
    )
    (tmp_path / "a.wsdl").write_text(
        text.replace('name="Content" type="xs:base64Binary"', 'name="Content" type="a:Bytes"')
    )
    return tmp_path / "a.wsdl"


def test_a_part_is_of_the_type_that_its_element_says(
    tmp_path: Path, make_parcel: MakeParcel
) -> None:
    """The attribute contentType becomes the part's Content-Type, unless it is none."""
    row = {
        **MAPPING["File"][1],
        "Content": {"#text": "$file.content", "@contentType": "$file.media_type"},
    }
    with SoapSink(wsdl=typed(tmp_path)) as sink:
        made = settings(
            sink.url, tmp_path, attachments="mtom", wsdl="a.wsdl", input=MAPPING | {"File": row}
        )
        connect("arkiv", made).deliver(make_parcel(files={"a.pdf": b"%PDF", "b": b"x"}))
        message = opened(sink.requests[0].headers["content-type"], sink.requests[0].body)
    assert sink.refused == ()
    assert [each.get_content_type() for each in message.get_payload()] == [
        "application/xop+xml",
        "application/pdf",
        "application/octet-stream",
    ]


def opened(content_type: str, body: bytes) -> Any:
    """A message as Python's own reader of mail sees it."""
    message: Message = email.message_from_bytes(
        f"Content-Type: {content_type}\r\n\r\n".encode() + body, policy=email.policy.HTTP
    )
    return message


def test_soap_1_2_says_its_action_and_type(tmp_path: Path, make_parcel: MakeParcel) -> None:
    """There the action is a parameter of the whole message, and start-info is another."""
    (tmp_path / "a.wsdl").write_text(
        WSDL.read_text().replace(
            "schemas.xmlsoap.org/wsdl/soap/", "schemas.xmlsoap.org/wsdl/soap12/"
        )
    )
    with SoapSink() as sink:
        connect("arkiv", settings(sink.url, tmp_path, attachments="mtom", wsdl="a.wsdl")).deliver(
            make_parcel()
        )
        message = opened(sink.requests[0].headers["content-type"], b"")
        assert len(sink.documents) == 1
    assert message.get_param("start-info") == "application/soap+xml"
    assert message.get_param("action") == "urn:postmottak:sandbox:archive/ReceiveDocument"


def test_damaged_bytes_break_the_package_off(make_parcel: MakeParcel) -> None:
    """A stored file that was damaged never becomes a whole message, and the letter waits."""
    parcel = make_parcel(files={"a.pdf": b"x" * 3000})
    damaged = replace(
        parcel, parts=(replace(parcel.parts[0], open=lambda: io.BytesIO(b"y" * 3000)),)
    )
    with SoapSink() as sink:
        with pytest.raises(TemporaryFailure, match="not what was received"):
            connect("arkiv", settings(sink.url, attachments="mtom")).deliver(damaged)
        assert sink.documents == ()


def test_the_limit_is_for_what_travels(make_parcel: MakeParcel) -> None:
    """What is too large as base64 may be small enough as bytes."""
    parcel = make_parcel(files={"a.bin": bytes(90_000)})
    with SoapSink() as sink:
        with pytest.raises(PermanentFailure, match="more than the 100,000"):
            connect("arkiv", settings(sink.url, max_bytes=100_000)).deliver(parcel)
        connect("arkiv", settings(sink.url, max_bytes=100_000, attachments="mtom")).deliver(parcel)
        with pytest.raises(PermanentFailure, match="more than the 90,500"):
            connect("arkiv", settings(sink.url, max_bytes=90_500, attachments="mtom")).deliver(
                parcel
            )


def test_an_answer_in_parts_is_read(make_parcel: MakeParcel) -> None:
    """Its envelope is found by `start`, wherever it stands among the parts."""
    with SoapSink() as sink:
        sink.script(in_parts(response(case="2026/17")))
        made = settings(
            sink.url, success_field="Status", success_values=["OK"], reference_field="CaseNumber"
        )
        assert connect("arkiv", made).deliver(make_parcel()).reference == "2026/17"


def test_describe_says_what_the_wsdl_says_of_mtom(tmp_path: Path) -> None:
    """A policy is taken at its word, a hint is offered, and without either nothing is said."""
    (tmp_path / "hint.wsdl").write_text(WSDL.read_text().replace(CONTENT, f"{CONTENT} {XMIME}"))
    policy = (
        "<wsoma:OptimizedMimeSerialization "
        'xmlns:wsoma="http://schemas.xmlsoap.org/ws/2004/09/policy/optimizedmimeserialization"/>'
    )
    (tmp_path / "policy.wsdl").write_text(
        WSDL.read_text().replace("<wsdl:types>", f"{policy}<wsdl:types>")
    )
    assert (
        '\n# attachments = "mtom"  # the WSDL hints at it (Content: application/pdf, image/*)'
        in describe(str(tmp_path / "hint.wsdl"))
    )
    assert '\nattachments = "mtom"  # the WSDL has a policy' in describe(
        str(tmp_path / "policy.wsdl")
    )
    assert "mtom" not in describe(str(WSDL))


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        (b"cid:1.", b"cid:9.", "a missing part"),
        (b"cid:1.", b"http://1.", "something that is not a part"),
        (b'"/></ns0:Content>', b'"/> </ns0:Content>', "not alone in its element"),
        (b"ID: <1.", b"ID: <2.", "missing part|the same Content-ID|nothing"),
        (b"Content-Transfer-Encoding: binary", b"Content-Transfer-Encoding: base64", "not binary"),
        (b'type="text/xml"\r\n', b'type="application/soap+xml"\r\n', "another than start-info"),
        (b"--\r\n", b"", "begin and end"),
        (b"application/xop+xml; charset", b"text/xml; charset", "not application/xop"),
    ],
)
def test_the_sandbox_takes_no_package_that_breaks_a_rule(
    old: bytes, new: bytes, rule: str, make_parcel: MakeParcel
) -> None:
    """Otherwise what it takes would prove nothing."""
    with SoapSink() as sink:
        connect("arkiv", settings(sink.url, attachments="mtom")).deliver(
            make_parcel(files={"a.pdf": b"%PDF"})
        )
        request = sink.requests[0]
    assert b"%PDF" not in envelope_of(request.headers["content-type"], request.body)
    place = request.body.rindex(old) if old == b"--\r\n" else request.body.index(old)
    broken = request.body[:place] + new + request.body[place + len(old) :]
    with pytest.raises(ValueError, match=rule):
        envelope_of(request.headers["content-type"], broken)
