"""The webhook: a signed CloudEvent, one id for ever, over a connection that a check can look at."""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from connectors.net import plain_http
from daemon.core.errors import TemporaryFailure
from daemon.core.proxies import Proxies
from daemon.core.settings import Secret
from tests.conftest import MakeParcel
from tests.connectors.webhook_tools import SECRET, webhook_to

OTHER = "whsec_OTg3NjU0MzIxMDk4NzY1NDMyMTA5ODc2NTQzMjEwOTg="


def test_a_letter_is_one_signed_event(servers: Any, make_parcel: MakeParcel) -> None:
    """The receiver gets a CloudEvent whose data is the letter, and the signature proves it with the
    reference library."""
    server = servers.web_status("204 No Content")
    parcel = make_parcel(
        files={"Vedtak.pdf": b"%PDF"}, missing=["Borte.pdf"], title="Årsoppgjør 🎉"
    )
    receipt = webhook_to(server).deliver(parcel)
    request, headers, body = server.requests[0]
    assert request == "POST /hooks/post?token=capability HTTP/1.1"
    assert headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert headers["webhook-id"] == str(parcel.delivery_id)
    event = Verifier(SECRET).verify(body, headers)
    assert event.pop("data") == parcel.document.model_dump(mode="json")
    assert event == {
        "specversion": "1.0",
        "id": str(parcel.delivery_id),
        "source": "urn:postmottak:mailbox:altinn",
        "type": "no.postmottak.letter.v1",
        "subject": str(parcel.document.id),
        "time": "2026-03-12T09:46:05Z",
        "datacontenttype": "application/json",
    }
    assert receipt.details == {"status": 204, "webhook_id": str(parcel.delivery_id)}


def test_a_call_has_its_digest(servers: Any, make_parcel: MakeParcel) -> None:
    """A receiver can compare the body with its digest by RFC 9530."""
    server = servers.web_status("200 OK")
    webhook_to(server).deliver(make_parcel(title="Årsoppgjør"))
    _, headers, body = server.requests[0]
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    assert headers["content-digest"] == f"sha-256=:{digest}:"


@pytest.mark.parametrize("links", [{}, {"payload": "with-links", "link_base": "http://a/b"}])
def test_the_data_follows_the_published_schema(
    servers: Any, make_parcel: MakeParcel, links: dict[str, str]
) -> None:
    """The letter in an event is valid by docs/message.schema.json, with links as well, and the
    schema describes the links."""
    server = servers.web_status("200 OK")
    webhook_to(server, **links).deliver(make_parcel(missing=["Borte.pdf"]))
    data = json.loads(server.requests[0][2])["data"]
    schema = json.loads(
        Path(__file__).parents[2].joinpath("docs/message.schema.json").read_text(encoding="utf-8")
    )
    jsonschema.validate(data, schema)
    assert set(data.get("links", {})) <= set(schema["$defs"]["Links"]["properties"])
    if links:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(data | {"links": {"message": 1}}, schema)


def test_attachments_are_described_and_not_sent(servers: Any, make_parcel: MakeParcel) -> None:
    """Of an attachment the receiver gets name, size and hash, and none of its bytes."""
    server = servers.web_status("200 OK")
    webhook_to(server).deliver(make_parcel(files={"Vedtak.pdf": b"hemmelig-innhold"}))
    body = server.requests[0][2]
    file = json.loads(body)["data"]["files"][0]
    assert (file["name"], file["size"], len(file["sha256"])) == ("001-vedtak.pdf", 16, 64)
    assert b"hemmelig-innhold" not in body


def test_a_repeat_is_the_same_event(servers: Any, make_parcel: MakeParcel) -> None:
    """A repeat has the same id and the same bytes; a new generation has another id."""
    server = servers.web_status("200 OK")
    destination = webhook_to(server)
    for generation in (1, 1, 2):
        destination.deliver(make_parcel(generation=generation))
    (_, first, one), (_, second, two), (_, third, _) = server.requests
    assert (first["webhook-id"], one) == (second["webhook-id"], two)
    assert third["webhook-id"] != first["webhook-id"]


def test_the_receiver_of_the_manual_verifies(servers: Any, make_parcel: MakeParcel) -> None:
    """The few lines of docs/mail-and-webhook.md tell a call of ours from one that was changed,
    signed by another, or is old."""
    manual = (
        Path(__file__).parents[2].joinpath("docs/mail-and-webhook.md").read_text(encoding="utf-8")
    )
    code: dict[str, Any] = {}
    exec(manual.split("```python\n")[1].split("```")[0], code)
    server = servers.web_status("200 OK")
    webhook_to(server, secret_file=Secret(Path("webhook.secret"), f"{OTHER}\n{SECRET}")).deliver(
        make_parcel()
    )
    _, headers, body = server.requests[0]
    assert code["is_genuine"](SECRET, headers, body)
    assert code["is_genuine"](OTHER, headers, body)
    assert not code["is_genuine"](SECRET, headers, body + b" ")
    assert not code["is_genuine"]("whsec_" + "QUFB" * 11, headers, body)
    assert not code["is_genuine"](SECRET, headers | {"webhook-timestamp": "1700000000"}, body)


def test_several_secrets_all_sign(servers: Any, make_parcel: MakeParcel) -> None:
    """While secrets are changed, a receiver that knows either one can verify the call; one that
    knows neither cannot."""
    server = servers.web_status("200 OK")
    webhook_to(
        server, secret_file=Secret(Path("webhook.secret"), f"{OTHER}\n\n{SECRET}\n")
    ).deliver(make_parcel())
    _, headers, body = server.requests[0]
    assert len(headers["webhook-signature"].split()) == 2
    for secret in (SECRET, OTHER):
        assert Verifier(secret).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Verifier("whsec_" + "QUFB" * 11).verify(body, headers)


def test_headers_from_files(servers: Any, make_parcel: MakeParcel) -> None:
    """A receiver that wants an API key gets it with each call, and beside it everything that is
    always there."""
    server = servers.web_status("403 Forbidden")
    destination = webhook_to(
        server,
        headers={
            "X-Api-Key": Secret(Path("key"), "letmein"),
            "Authorization": Secret(Path("auth"), "Bearer hemmelig"),
        },
    )
    with pytest.raises(TemporaryFailure) as caught:
        destination.deliver(make_parcel())
    headers = server.requests[0][1]
    assert (headers["x-api-key"], headers["authorization"]) == ("letmein", "Bearer hemmelig")
    assert headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert "webhook-signature" in headers
    shown = f"{caught.value!r}{destination!r}{list(destination.check())}"
    assert not any(secret in shown for secret in ("letmein", "hemmelig"))


def test_links_lead_to_what_the_event_does_not_hold(servers: Any, make_parcel: MakeParcel) -> None:
    """With links, the data also says where the letter, its text and the attachments that are here
    can be had, and where to answer."""
    server, parcel = (
        servers.web_status("200 OK"),
        make_parcel(files={"Vedtak.pdf": b"%PDF"}, missing=["Borte.pdf"]),
    )
    webhook_to(server, payload="with-links", link_base="http://127.0.0.1:8765/").deliver(parcel)
    data = json.loads(server.requests[0][2])["data"]
    message = f"http://127.0.0.1:8765/api/v1/messages/{parcel.document.id}"
    delivery = f"http://127.0.0.1:8765/api/v1/deliveries/{parcel.delivery_id}"
    assert data.pop("links") == {
        "message": f"{message}?destination=erp",
        "body": f"{message}/body",
        "attachments": {"001-vedtak.pdf": f"{message}/attachments/001-vedtak.pdf"},
        "ack": f"{delivery}/ack",
        "reject": f"{delivery}/reject",
    }
    assert data == parcel.document.model_dump(mode="json")


def test_a_strange_mailbox_name_is_a_valid_source(servers: Any, make_parcel: MakeParcel) -> None:
    """The event's source is a URI whatever the mailbox is called."""
    server = servers.web_status("200 OK")
    webhook_to(server).deliver(make_parcel(mailbox="post på Ås"))
    assert (
        json.loads(server.requests[0][2])["source"]
        == "urn:postmottak:mailbox:post%20p%C3%A5%20%C3%85s"
    )


def test_a_certificate_of_an_own_authority(
    servers: Any, make_parcel: MakeParcel, server_tls: ssl.SSLContext, ca_file: Path
) -> None:
    """With ca_file an own authority's certificate is good."""
    server = servers.web(
        lambda connection, _: connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
        tls=server_tls,
    )
    assert (
        webhook_to(server, "https", ca_file=ca_file).deliver(make_parcel()).details["status"] == 200
    )


def test_an_unknown_certificate_is_refused(
    servers: Any, make_parcel: MakeParcel, server_tls: ssl.SSLContext
) -> None:
    """A receiver whose certificate the system does not know gets nothing, and the remedy is
    said."""
    server = servers.web_status("200 OK")
    server.tls = server_tls
    with pytest.raises(TemporaryFailure, match=r"certificate cannot be verified .* ca_file"):
        webhook_to(server, "https").deliver(make_parcel())
    assert server.requests == []


def test_the_environment_does_not_redirect_letters(
    servers: Any, make_parcel: MakeParcel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy in the service's environment gets no letter."""
    server, proxy = servers.web_status("200 OK"), servers.web_status("200 OK")
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{proxy.port}")
    webhook_to(server).deliver(make_parcel())
    assert (len(server.requests), len(proxy.requests)) == (1, 0)


def test_check_posts_nothing(servers: Any, server_tls: ssl.SSLContext, ca_file: Path) -> None:
    """A check connects, says how, and says what it has not proven; the receiver sees no request."""
    plain, encrypted = servers.web_status("200 OK"), servers.web_status("200 OK")
    encrypted.tls = server_tls
    texts = []
    for destination in (webhook_to(plain), webhook_to(encrypted, "https", ca_file=ca_file)):
        findings = list(destination.check())
        assert [finding.ok for finding in findings] == [True]
        texts.append(findings[0].text)
    assert "unencrypted" in texts[0]
    assert "encrypted with TLSv1" in texts[1]
    assert all("nothing was posted" in text and "capability" not in text for text in texts)
    assert plain.requests == encrypted.requests == []


def test_check_finds_a_bad_certificate(servers: Any, server_tls: ssl.SSLContext) -> None:
    """A certificate that a delivery would stumble over is found by the check."""
    server = servers.web_status("200 OK")
    server.tls = server_tls
    findings = list(webhook_to(server, "https").check())
    assert [finding.ok for finding in findings] == [False]
    assert "certificate cannot be verified" in findings[0].text


def test_plain_http_to_another_machine_is_remarked_upon(servers: Any) -> None:
    """Unencrypted post to another machine is possible, and the check says what it means; on
    loopback it means nothing."""
    server = servers.web_status("200 OK")
    here = webhook_to(server)
    assert len(list(here.check())) == 1
    assert len(list(webhook_to(server, url=f"http://localhost:{server.port}/x").check())) == 1
    named = webhook_to(
        server, url=f"http://0.0.0.0:{server.port}/x"
    )  # an address of this machine that is not a loopback address
    findings = list(named.check())
    assert [(finding.ok, finding.warning) for finding in findings] == [(True, False), (True, True)]
    assert "anyone on the way can read them" in findings[1].text


def test_http_to_a_server_that_speaks_tls(servers: Any, server_tls: ssl.SSLContext) -> None:
    """An http address fails the check where the server speaks TLS, whatever its certificate."""
    server = servers.web_status("200 OK")
    server.tls = server_tls
    findings = list(webhook_to(server).check())
    assert [finding.ok for finding in findings] == [True, False]
    assert f"speaks TLS on port {server.port}" in findings[1].text
    assert "write https" in findings[1].text
    assert server.requests == []


def test_http_to_a_port_of_https(monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual ports of https are warned of where the server does not answer."""
    monkeypatch.setattr(plain_http, "_speaks_tls", lambda *_: False)
    for port, number in ((8443, 1), (443, 1), (8080, 0)):
        url = httpx.URL(f"http://127.0.0.1:{port}/x")
        found = list(
            plain_http.check_plain_http("destination erp", "the receiver", url, 1, Proxies())
        )
        assert len(found) == number
        assert all(each.ok and each.warning and "write https" in each.text for each in found)
