"""The webhook sink: verifies as the standard says, answers as it is told, and keeps what it got."""

from __future__ import annotations

import json
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import trustme
from standardwebhooks import Webhook

from connectors.sandbox.http_server import Manner
from connectors.sandbox.sinks.webhook import Reply, WebhookSink

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = '{"type":"letter","data":{"title":"Blåbær"}}'


def signed(
    body: str = BODY, *, secret: str = SECRET, at: datetime | None = None, hook: str = "msg_1"
) -> dict[str, str]:
    at = at or datetime.now(UTC)
    signature = Webhook(secret).sign(hook, at, body)
    return {
        "webhook-id": hook,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signature,
    }


def post(
    sink: WebhookSink, body: str = BODY, headers: dict[str, str] | None = None
) -> httpx.Response:
    return httpx.post(
        sink.url, content=body.encode(), headers=signed() if headers is None else headers
    )


def test_a_signed_request_is_taken() -> None:
    """The raw body, the headers and the id are kept."""
    with WebhookSink(secret=SECRET) as sink:
        assert post(sink).status_code == 204
        assert sink.wait_for(1)
        (hook,) = sink.taken
    assert (hook.method, hook.id, hook.body, hook.verified) == (
        "POST",
        "msg_1",
        BODY.encode(),
        True,
    )
    assert hook.json["data"]["title"] == "Blåbær"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        signed(secret="whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        signed(body=BODY.replace("letter", "other")),
        signed(at=datetime.now(UTC) - timedelta(minutes=10)),
        signed() | {"webhook-id": "msg_2"},
        signed() | {"webhook-signature": "nonsense"},
    ],
)
def test_a_wrong_signature_is_401(headers: dict[str, str]) -> None:
    """Missing, of another secret, body or id, too old, or nonsense; it uses up no scripted
    reply."""
    with WebhookSink(secret=SECRET) as sink:
        sink.script(Reply(status=202))
        assert post(sink, headers=headers).status_code == 401
        assert not sink.requests[0].verified
        assert sink.taken == ()
        assert post(sink).status_code == 202


def test_without_a_secret_everything_is_taken() -> None:
    """There is nothing to verify then."""
    with WebhookSink() as sink:
        assert post(sink, headers={}).status_code == 204


def test_replies_come_in_their_order_and_then_the_usual_one() -> None:
    """Status, headers and body are as scripted."""
    with WebhookSink() as sink:
        sink.usual = Reply(status=200, body=b"ok")
        sink.script(
            Reply(status=503, headers={"Retry-After": "7"}), Reply(status=410, body=b"gone")
        )
        replies = [post(sink) for _ in range(3)]
    assert [reply.status_code for reply in replies] == [503, 410, 200]
    assert (replies[0].headers["retry-after"], replies[1].text) == ("7", "gone")


def test_a_reply_can_be_late() -> None:
    """A client with less patience gives up; the request came nevertheless."""
    with WebhookSink() as sink:
        sink.script(Reply(delay=3600))
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(sink.url, content=b"{}", timeout=0.2)
        assert len(sink.requests) == 1


def test_a_reply_can_be_lost() -> None:
    """The request was taken, and its sender cannot know."""
    with WebhookSink() as sink:
        sink.script(Reply(manner=Manner(reset=True)))
        with pytest.raises(httpx.ReadError):
            post(sink)
        assert [hook.id for hook in sink.taken] == ["msg_1"]


def test_bodies_can_be_files(tmp_path: Path) -> None:
    """With a folder, what was taken is a file there; what was refused is not."""
    folder = tmp_path / "hooks"
    with WebhookSink(folder=folder) as sink:
        sink.script(Reply(status=500))
        post(sink)
        post(sink)
    assert [path.name for path in folder.iterdir()] == ["0002.json"]
    assert json.loads((folder / "0002.json").read_text(encoding="utf-8")) == json.loads(BODY)


def test_it_speaks_tls() -> None:
    """With a certificate, the URL is https and can be verified."""
    authority = trustme.CA()
    context, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(trusting)
    with WebhookSink(tls=context) as sink:
        assert sink.url.startswith("https://")
        assert httpx.post(sink.url, content=b"{}", verify=trusting).status_code == 204


def test_it_can_be_down() -> None:
    """Connections are refused until it comes up again, at the same URL."""
    with WebhookSink() as sink:
        sink.go_down()
        with pytest.raises(httpx.ConnectError):
            post(sink)
        sink.come_up()
        assert post(sink).status_code == 204
