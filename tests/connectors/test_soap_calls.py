"""Calls of a SOAP service: what its answers mean, how a caller proves who it is, and what must
never be seen."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import trustme
from lxml import etree

from connectors.destinations.soap import connect
from connectors.sandbox.sinks.soap import (
    Reply,
    SoapSink,
    bomb,
    cut,
    fault,
    html,
    huge,
    in_parts,
    response,
    slow,
)
from connectors.sandbox.sinks.wsse import Guard
from connectors.soap.call import SoapAnswer
from connectors.soap.response_judge import ResponseJudge, Rules
from daemon.core.errors import DeliveryFailure, PermanentFailure, TemporaryFailure
from tests.conftest import MakeParcel
from tests.connectors.soap_tools import settings, signing

WSSE = "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd}"
WSU = "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd}"
DS = "{http://www.w3.org/2000/09/xmldsig#}"
RULES: dict[str, Any] = {
    "success_field": "Status",
    "success_values": ["OK"],
    "temporary_values": ["BUSY"],
    "temporary_faults": ["Locked"],
    "permanent_faults": ["Duplicate"],
}


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (fault("s:Client"), PermanentFailure, r"a fault \(Client\)"),
        (fault("s:Server"), TemporaryFailure, r"a fault \(Server\)"),
        (fault("s:Client", detail="<Locked/>"), TemporaryFailure, "which temporary_faults lists"),
        (fault("s:Server", detail="<Duplicate/>"), PermanentFailure, "Duplicate"),
        (fault("s:Client.Authentication", status=200), PermanentFailure, "Client"),
        (fault("wsse:FailedAuthentication"), TemporaryFailure, "check authentication"),
        (Reply(status=500), TemporaryFailure, "status 500"),
        (Reply(status=401, body=b"no"), TemporaryFailure, "check authentication"),
        (Reply(status=400, body=b"no"), PermanentFailure, "does not take this letter"),
        (Reply(status=413), PermanentFailure, "too large"),
        (Reply(status=415), TemporaryFailure, 'write attachments = "mtom" or "base64"'),
        (in_parts(fault("s:Client")), PermanentFailure, r"a fault \(Client\)"),
        (in_parts(response("BUSY")), TemporaryFailure, "says BUSY in Status"),
        (
            Reply(body=b"--x", headers=(("Content-Type", "multipart/related; boundary=x"),)),
            TemporaryFailure,
            "well-formed",
        ),
        (
            Reply(status=302, headers=(("Location", "http://127.0.0.1:1/"),)),
            TemporaryFailure,
            "redirect",
        ),
        (html(), TemporaryFailure, r"web page \(HTML\)"),
        (html(400), TemporaryFailure, r"web page \(HTML\)"),
        (Reply(), TemporaryFailure, "is empty"),
        (Reply(body=b"<a/>"), TemporaryFailure, "not SOAP"),
        (huge(5 << 20), TemporaryFailure, "larger than"),
        (bomb(), TemporaryFailure, "well-formed|DTD"),
        (cut(), TemporaryFailure, "no complete answer"),
        (response("BUSY"), TemporaryFailure, "says BUSY in Status"),
        (response("AVVIST"), PermanentFailure, "says AVVIST in Status"),
        (response("hemmelig tittel"), PermanentFailure, "no plain code"),
    ],
)
def test_what_an_answer_means(
    reply: Reply, kind: type[DeliveryFailure], words: str, make_parcel: MakeParcel
) -> None:
    """Each way to say no is later or never, in words that name the service and tell what to do."""
    with SoapSink() as sink:
        sink.script(reply)
        with pytest.raises(kind, match=words) as caught:
            connect("arkiv", settings(sink.url, **RULES)).deliver(make_parcel())
        assert "hemmelig" not in str(caught.value)


def test_a_service_that_is_busy_says_for_how_long(make_parcel: MakeParcel) -> None:
    """A Retry-After is kept to."""
    with SoapSink() as sink:
        sink.script(Reply(status=503, headers=(("Retry-After", "120"),)))
        with pytest.raises(TemporaryFailure) as caught:
            connect("arkiv", settings(sink.url)).deliver(make_parcel())
    assert caught.value.retry_after is not None
    assert caught.value.retry_after.total_seconds() == 120


def test_a_service_that_does_not_come_to_an_end_is_left(make_parcel: MakeParcel) -> None:
    """The time is for the whole of a call."""
    with SoapSink() as sink:
        sink.script(slow(60))
        with pytest.raises(TemporaryFailure, match=r"within 1 seconds|no answer in time"):
            connect("arkiv", settings(sink.url, timeout="1s")).deliver(make_parcel())


def test_a_lost_answer_is_counted_once(make_parcel: MakeParcel) -> None:
    """The service took the letter and its answer was cut: the repeat is the same to the byte, so
    that it can be counted once."""
    with SoapSink() as sink:
        sink.script(cut())
        destination = connect("arkiv", settings(sink.url, reference_field="CaseNumber"))
        with pytest.raises(TemporaryFailure):
            destination.deliver(make_parcel())
        receipt = destination.deliver(make_parcel())
        assert sink.repeats == 1
        assert sink.documents[0].xml == sink.documents[1].xml
    assert receipt.reference == "2026/1"


def _login(tmp_path: Path, how: str) -> dict[str, Any]:
    (tmp_path / "pw").write_text("hemmelig-passord")
    return {"authentication": how, "username": "ola", "password_file": "pw"}


def test_basic_is_sent_with_each_call(tmp_path: Path, make_parcel: MakeParcel) -> None:
    """A service that asks for a name and a password gets them; without them the letter waits."""
    with SoapSink(login=("ola", "hemmelig-passord")) as sink:
        connect("arkiv", settings(sink.url, tmp_path, **_login(tmp_path, "basic"))).deliver(
            make_parcel()
        )
        with pytest.raises(TemporaryFailure, match="401; check authentication"):
            connect("arkiv", settings(sink.url)).deliver(make_parcel())


def test_a_username_token_has_a_timestamp(tmp_path: Path, make_parcel: MakeParcel) -> None:
    """The WS-Security header carries name, password and the time."""
    with SoapSink() as sink:
        connect(
            "arkiv", settings(sink.url, tmp_path, **_login(tmp_path, "username-token"))
        ).deliver(make_parcel())
        root = etree.fromstring(sink.documents[0].xml)
    assert (root.findtext(f".//{WSSE}Username"), root.findtext(f".//{WSSE}Password")) == (
        "ola",
        "hemmelig-passord",
    )
    assert root.find(f".//{WSU}Timestamp/{WSU}Expires") is not None


@pytest.mark.parametrize("form", ["text", "digest"])
def test_a_username_token_lets_in_who_knows_the_password(
    form: Literal["text", "digest"], tmp_path: Path, make_parcel: MakeParcel
) -> None:
    """A service that checks name, password, time and nonce takes each letter, in the form that it
    wants; with another password, none."""
    login = {**_login(tmp_path, "username-token"), "password_digest": form == "digest"}
    with SoapSink(guard=Guard("ola", "hemmelig-passord", form)) as sink:
        destination = connect("arkiv", settings(sink.url, tmp_path, **login))
        for name in ("one", "two"):
            destination.deliver(make_parcel(name))
        assert (b"hemmelig-passord" in sink.documents[0].xml) is (form == "text")
    with (
        SoapSink(guard=Guard("ola", "et annet", form)) as sink,
        pytest.raises(TemporaryFailure, match="check authentication"),
    ):
        connect("arkiv", settings(sink.url, tmp_path, **login)).deliver(make_parcel())


@pytest.mark.parametrize("how", ["base64", "mtom"])
def test_a_signature_covers_body_and_timestamp(
    how: str, authority: trustme.CA, tmp_path: Path, make_parcel: MakeParcel
) -> None:
    """With SHA-256 only, and it holds for what arrived, attachments included, beside the envelope
    too; a changed letter breaks it."""
    with SoapSink() as sink:
        signed = signing(authority, tmp_path)
        connect("arkiv", settings(sink.url, tmp_path, attachments=how, **signed)).deliver(
            make_parcel(files={"a.pdf": b"x" * 9999})
        )
        xml = sink.documents[0].xml
        assert b"x" * 9999 in sink.documents[0].files.values()
    assert _verified(xml, tmp_path)
    assert not _verified(xml.replace(b"Skatteetaten", b"Skattetaten"), tmp_path)
    root = etree.fromstring(xml)
    methods = [
        each.get("Algorithm") for each in root.iter(f"{DS}SignatureMethod", f"{DS}DigestMethod")
    ]
    assert all("sha256" in (method or "") for method in methods)
    assert len(methods) == 3


def _verified(xml: bytes, folder: Path) -> bool:
    import xmlsec

    root = etree.fromstring(xml)
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(
        (folder / "sign.pem").read_bytes(), xmlsec.KeyFormat.CERT_PEM, None
    )
    for element in root.iter():
        if element.get(f"{WSU}Id"):
            context.register_id(element, "Id", WSU[1:-1])
    try:
        context.verify(root.find(f".//{DS}Signature"))
    except xmlsec.Error:
        return False
    return True


@pytest.mark.parametrize(("how", "digest"), [("base64", False), ("mtom", True)])
def test_no_secret_and_no_content_in_any_log(
    how: str,
    digest: bool,
    tmp_path: Path,
    make_parcel: MakeParcel,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Even with every logger at its most talkative, neither the password nor anything of the letter
    is written."""
    with SoapSink() as sink, caplog.at_level(logging.DEBUG):
        for name in ("zeep", "zeep.transports", "zeep.wsdl"):
            logging.getLogger(name).setLevel(logging.DEBUG)
        options = {
            **_login(tmp_path, "username-token"),
            "attachments": how,
            "password_digest": digest,
        }
        destination = connect("arkiv", settings(sink.url, tmp_path, **options))
        sink.script(response(), fault("s:Client", text="hemmelig-svar"))
        parcel = make_parcel(
            title="hemmelig-tittel", body="hemmelig-tekst", sender_name="hemmelig-navn"
        )
        destination.deliver(parcel)
        with pytest.raises(PermanentFailure):
            destination.deliver(parcel)
    assert "hemmelig" not in caplog.text


def test_bytes_that_are_not_those_promised_do_not_become_a_letter(make_parcel: MakeParcel) -> None:
    """A stored file that was damaged breaks the request off before its end, and the letter
    waits."""
    parcel = make_parcel(files={"a.pdf": b"x" * 3000})
    damaged = replace(
        parcel, parts=(replace(parcel.parts[0], open=lambda: io.BytesIO(b"y" * 3000)),)
    )
    with SoapSink() as sink:
        with pytest.raises(TemporaryFailure, match="not what was received"):
            connect("arkiv", settings(sink.url)).deliver(damaged)
        assert sink.documents == ()


def test_https_wants_a_certificate_that_is_trusted(
    server_tls: Any, ca_file: Path, tmp_path: Path, make_parcel: MakeParcel
) -> None:
    """Your own CA is named in ca_file; without it nothing is sent, and check says so."""
    with SoapSink(tls=server_tls) as sink:
        connect("arkiv", settings(sink.url, tmp_path, ca_file=str(ca_file))).deliver(make_parcel())
        stranger = connect("arkiv", settings(sink.url))
        with pytest.raises(TemporaryFailure, match="certificate cannot be verified"):
            stranger.deliver(make_parcel("two"))
        assert any(not finding.ok for finding in stranger.check())
        assert len(sink.documents) == 1


_CHILD = """
import hashlib, json, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import tests.parcels as ours
from tests.connectors.soap_tools import settings
from connectors.destinations.soap import connect
url, base, options = sys.argv[2], Path(sys.argv[3]), json.loads(sys.argv[4])
content = Path(sys.argv[3], "large.bin")
from dataclasses import replace
parcel = ours.new_parcel(files={"large.bin": b"x"})
size = content.stat().st_size
with content.open("rb") as file:
    digest = hashlib.file_digest(file, "sha256").hexdigest()
part = replace(parcel.parts[0], size=size, sha256=digest, open=lambda: content.open("rb"))
connect("arkiv", settings(url, base, **options)).deliver(replace(parcel, parts=(part,)))
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
# getrusage would count what the parent had before this process began
print(int(status["VmHWM"].split()[0]) // 1024)
"""


@pytest.mark.parametrize(
    ("signed", "how", "most"), [(False, "base64", 140), (False, "mtom", 140), (True, "mtom", 300)]
)
def test_a_large_attachment_takes_little_memory(
    signed: bool, how: str, most: int, authority: trustme.CA, tmp_path: Path
) -> None:
    """30 MB take hardly anything while they are streamed, and less than 300 MB where they are
    signed; a whole process, in MiB."""
    options = {"attachments": how} | (signing(authority, tmp_path) if signed else {})
    (tmp_path / "large.bin").write_bytes(bytes(30_000_000))
    with SoapSink() as sink:
        root = str(Path(__file__).parents[2])
        command = [sys.executable, "-c", _CHILD, root, sink.url, str(tmp_path), json.dumps(options)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert max(map(len, sink.documents[0].files.values())) == 30_000_000
    assert int(done.stdout) < most, done.stdout


@pytest.mark.parametrize(
    ("code", "kind"), [("e:Sender", PermanentFailure), ("e:Receiver", TemporaryFailure)]
)
def test_faults_of_soap_1_2_mean_the_same(code: str, kind: type[DeliveryFailure]) -> None:
    """The codes have other names there, and stand elsewhere."""
    fault12 = (
        f"<e:Fault><e:Code><e:Value>{code}</e:Value></e:Code>"
        "<e:Reason><e:Text>hemmelig</e:Text></e:Reason></e:Fault>"
    )
    xml = (
        '<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope">'
        f"<e:Body>{fault12}</e:Body></e:Envelope>"
    )
    answer = SoapAnswer(status_code=500, headers={}, content=xml.encode())
    with pytest.raises(kind, match=code[2:]) as caught:
        ResponseJudge(who="the service", rules=Rules()).judge(answer)
    assert "hemmelig" not in str(caught.value)
