"""Mail, webhook and SOAP keep the contract of destinations, against the sandbox's receivers."""

from __future__ import annotations

import socketserver
import ssl
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from connectors.destinations import smtp, soap, webhook
from connectors.sandbox.sinks.mail import MailSink
from connectors.sandbox.sinks.soap import SoapSink
from connectors.sandbox.sinks.soap import response as soap_response
from connectors.sandbox.sinks.webhook import WebhookSink
from tests.connectors.soap_tools import settings as soap_settings
from tests.contracts.destination_contract import LARGE, DestinationContract, MakeParcel, Receiver
from tests.contracts.drop_servers import PASSWORD

SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


class Mailboxes:
    """A mail server that wants STARTTLS and a log-in."""

    secrets = (PASSWORD,)

    def __init__(self, sink: MailSink, settings: smtp.Settings) -> None:
        self._sink = sink
        self.destination = smtp.connect("regnskap-epost", settings)

    def received(self) -> Sequence[str]:
        return [str(mail.message["Message-ID"]) for mail in self._sink.mails]

    def file_names(self) -> Sequence[str]:
        return [
            part.get_filename() or ""
            for mail in self._sink.mails
            for part in mail.message.iter_attachments()
        ]

    def dedup_records(self) -> Sequence[str]:
        return self.received()

    def go_down(self) -> None:
        self._sink.__exit__(None, None, None)

    def come_up(self) -> None:
        self._sink.__enter__()


class TestMail(DestinationContract):
    """E-mail."""

    @pytest.fixture
    def receiver(
        self, tmp_path: Path, server_tls: ssl.SSLContext, ca_file: Path
    ) -> Iterator[Mailboxes]:
        (tmp_path / "mail.secret").write_text(PASSWORD)
        with MailSink(starttls=server_tls, login=("ola", PASSWORD)) as sink:
            settings = {
                "host": "localhost",
                "port": sink.port,
                "ca_file": str(ca_file),
                "username": "ola",
                "password_file": "mail.secret",
                "sender": "postmottak@example.no",
                "recipients": ["regnskap@example.no", "post@example.no"],
            }
            yield Mailboxes(
                sink, smtp.Settings.model_validate(settings, context={"base": tmp_path})
            )


class Erp:
    """An ERP that takes webhooks over https."""

    secrets = (SECRET, SECRET[6:], "capability")

    def __init__(self, sink: WebhookSink, settings: webhook.Settings) -> None:
        self._sink = sink
        self.destination = webhook.connect("erp-webhook", settings)

    def received(self) -> Sequence[str]:
        return [hook.id for hook in self._sink.taken]

    def file_names(self) -> Sequence[str]:
        return [file["name"] for hook in self._sink.taken for file in hook.json["data"]["files"]]

    def dedup_records(self) -> Sequence[str]:
        return [hook.id for hook in self._sink.requests]

    def go_down(self) -> None:
        self._sink.go_down()

    def come_up(self) -> None:
        self._sink.come_up()


class TestWebhook(DestinationContract):
    """The webhook."""

    @pytest.fixture
    def receiver(self, tmp_path: Path, server_tls: ssl.SSLContext, ca_file: Path) -> Iterator[Erp]:
        (tmp_path / "webhook.secret").write_text(SECRET)
        with WebhookSink(secret=SECRET, tls=server_tls) as sink:
            settings = {
                "url": f"{sink.url}?token=capability",
                "secret_file": "webhook.secret",
                "ca_file": str(ca_file),
            }
            erp = Erp(sink, webhook.Settings.model_validate(settings, context={"base": tmp_path}))
            yield erp
            erp.destination.close()


class Archive:
    """An archive that takes letters by SOAP over https."""

    secrets: tuple[str, ...] = (PASSWORD, "capability")

    def __init__(self, sink: SoapSink, settings: soap.Settings) -> None:
        self._sink = sink
        self.destination = soap.connect("arkiv", settings)

    def received(self) -> Sequence[str]:
        return [document.message_id for document in self._sink.documents]

    def file_names(self) -> Sequence[str]:
        return [name for document in self._sink.documents for name in document.files]

    def dedup_records(self) -> Sequence[str]:
        return [request.path for request in self._sink.requests]

    def go_down(self) -> None:
        self._sink.go_down()

    def come_up(self) -> None:
        self._sink.come_up()


class Draining(socketserver.StreamRequestHandler):
    """Reads a request without keeping it, and answers as the archive does."""

    def handle(self) -> None:
        left = 0
        while line := self.rfile.readline().strip():
            name, _, value = line.partition(b":")
            left = int(value) if name.lower() == b"content-length" else left
        while left > 0:
            left -= len(self.rfile.read(min(left, 1 << 16)))
        body = soap_response().body
        self.wfile.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/xml\r\ncontent-length: %d\r\n\r\n%b"
            % (len(body), body)
        )


class TestSoap(DestinationContract):
    """SOAP, with contents as base64."""

    attachments = "base64"

    @pytest.fixture
    def receiver(
        self, tmp_path: Path, server_tls: ssl.SSLContext, ca_file: Path
    ) -> Iterator[Archive]:
        (tmp_path / "soap.password").write_text(PASSWORD)
        with SoapSink(login=("ola", PASSWORD), tls=server_tls) as sink:
            options = {
                "authentication": "basic",
                "username": "ola",
                "password_file": "soap.password",
                "ca_file": str(ca_file),
            }
            options["attachments"] = self.attachments
            archive = Archive(
                sink, soap_settings(f"{sink.url}?token=capability", tmp_path, **options)
            )
            yield archive
            archive.destination.close()

    def test_a_large_attachment_is_not_held_in_memory(
        self, receiver: Receiver, make_parcel: MakeParcel
    ) -> None:
        """As for all; the receiver is one that keeps nothing, for the sandbox's archive is in this
        process."""
        with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Draining) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
            thread.start()
            try:
                url = f"http://127.0.0.1:{server.server_address[1]}/archive"
                assert isinstance(receiver, Archive)
                drained = Archive(
                    receiver._sink,
                    soap_settings(url, max_bytes=2 * LARGE, attachments=self.attachments),
                )
                super().test_a_large_attachment_is_not_held_in_memory(drained, make_parcel)
            finally:
                server.shutdown()
                thread.join()


class TestSoapMtom(TestSoap):
    """SOAP, with contents beside the envelope."""

    attachments = "mtom"
