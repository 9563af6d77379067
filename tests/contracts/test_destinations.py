"""Every destination keeps the contract, against the sandbox's receivers and real folders."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from connectors.destinations import filedrop, smtp, webhook
from connectors.sandbox.mail_sink import MailSink
from connectors.sandbox.webhook_sink import WebhookSink
from tests.contracts.destination_contract import DestinationContract

PASSWORD = "correct-horse-battery"
SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


class Folder:
    """The reader of a file drop."""

    secrets = ()

    def __init__(self, path: Path) -> None:
        path.mkdir()
        self._path = path
        self.destination = filedrop.connect("erp", filedrop.Settings(path=path))

    def received(self) -> Sequence[str]:
        return [each.name for each in self._path.iterdir() if not each.name.startswith(".")]

    def file_names(self) -> Sequence[str]:
        return [each.name for each in self._path.rglob("*") if each.is_file()]

    def traces(self) -> Sequence[str]:
        return [str(each) for each in self._path.parent.rglob("*") if each != self._path]

    def go_down(self) -> None:
        self._path.rename(self._path.with_name("unmounted"))

    def come_up(self) -> None:
        self._path.with_name("unmounted").rename(self._path)


class TestFileDrop(DestinationContract):
    """The file drop."""

    @pytest.fixture
    def receiver(self, tmp_path: Path) -> Folder:
        return Folder(tmp_path / "drop")


class Mailboxes:
    """A mail server that wants STARTTLS and a log-in."""

    secrets = (PASSWORD,)

    def __init__(self, sink: MailSink, settings: smtp.Settings) -> None:
        self._sink = sink
        self.destination = smtp.connect("regnskap-epost", settings)

    def received(self) -> Sequence[str]:
        return [str(mail.message["Message-ID"]) for mail in self._sink.mails]

    def file_names(self) -> Sequence[str]:
        return [part.get_filename() or "" for mail in self._sink.mails for part in mail.message.iter_attachments()]

    def traces(self) -> Sequence[str]:
        return self.received()

    def go_down(self) -> None:
        self._sink.__exit__(None, None, None)

    def come_up(self) -> None:
        self._sink.__enter__()


class TestMail(DestinationContract):
    """E-mail."""

    @pytest.fixture
    def receiver(self, tmp_path: Path, server_tls: ssl.SSLContext, ca_file: Path) -> Iterator[Mailboxes]:
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
            yield Mailboxes(sink, smtp.Settings.model_validate(settings, context={"base": tmp_path}))


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

    def traces(self) -> Sequence[str]:
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
            settings = {"url": f"{sink.url}?token=capability", "secret_file": "webhook.secret", "ca_file": str(ca_file)}
            erp = Erp(sink, webhook.Settings.model_validate(settings, context={"base": tmp_path}))
            yield erp
            erp.destination.close()
