"""What an operator writes about a webhook's receiver: mistakes are found when it is read, and the
certificate is one that is used."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from pydantic import ValidationError

from connectors.destinations import smtp
from connectors.destinations.webhook import Settings, connect
from daemon.core.errors import TemporaryFailure
from tests.connectors.conftest import status

MakeParcel = Callable[..., Any]
SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


@pytest.fixture
def client_files(authority: trustme.CA, tmp_path: Path) -> tuple[str, str]:
    """A certificate and its key, as a receiver's authority would give them to us."""
    issued = authority.issue_cert("postmottak.example.no")
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "client.pem"))
    issued.private_key_pem.write_to_path(str(tmp_path / "client.key"))
    return str(tmp_path / "client.pem"), str(tmp_path / "client.key")


def test_the_authorities_are_read_when_they_are_needed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """OpenSSL takes 30 ms for the system's authorities: a webhook reads them once, and mail, which
    may never be sent, not at the start."""
    made: list[ssl.SSLContext] = []
    create = ssl.create_default_context

    def noted(**given: Any) -> ssl.SSLContext:
        made.append(create(**given))
        return made[-1]

    monkeypatch.setattr(ssl, "create_default_context", noted)
    (tmp_path / "webhook.secret").write_text(SECRET)
    told = {"url": "https://erp.example.no/", "secret_file": "webhook.secret"}
    connect("erp", Settings.model_validate(told, context={"base": tmp_path})).close()
    assert len(made) == 1
    mail = {"host": "mail.example.no", "sender": "a@example.no", "recipients": ["b@example.no"]}
    smtp.connect("mail", smtp.Settings.model_validate(mail)).close()
    assert len(made) == 1


def test_a_client_certificate_proves_who_calls(
    servers: Any,
    make_parcel: MakeParcel,
    authority: trustme.CA,
    ca_file: Path,
    tmp_path: Path,
    client_files: tuple[str, str],
) -> None:
    """A receiver that asks for a certificate gets the letter with one, also from a single file, and
    nothing without."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    server = servers.web(status("200 OK"), tls=context)
    (tmp_path / "webhook.secret").write_text(SECRET)
    (tmp_path / "both.pem").write_text("".join(Path(name).read_text() for name in client_files))
    given = {
        "url": f"https://127.0.0.1:{server.port}/",
        "secret_file": "webhook.secret",
        "ca_file": str(ca_file),
    }
    for files in (
        {"client_cert_file": client_files[0], "client_key_file": client_files[1]},
        {"client_cert_file": "both.pem"},
    ):
        settings = Settings.model_validate(given | files, context={"base": tmp_path})
        assert connect("erp-webhook", settings).deliver(make_parcel()).details["status"] == 200
    with pytest.raises(TemporaryFailure):
        connect("erp-webhook", Settings.model_validate(given, context={"base": tmp_path})).deliver(
            make_parcel()
        )
    assert len(server.requests) == 2


def test_a_key_with_a_password_asks_nobody(tmp_path: Path, client_files: tuple[str, str]) -> None:
    """A key that cannot be read without a password is refused when the settings are read, and no
    terminal is asked."""
    key = load_pem_private_key(Path(client_files[1]).read_bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    (tmp_path / "locked.key").write_bytes(locked)
    (tmp_path / "good").write_text(SECRET)
    given = {
        "url": "https://x.example.no",
        "secret_file": "good",
        "client_cert_file": client_files[0],
        "client_key_file": "locked.key",
    }
    with pytest.raises(ValidationError, match=r"locked\.key; run: openssl pkey"):
        Settings.model_validate(given, context={"base": tmp_path})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"url": "erp.example.no/hook"}, "is not a valid web address"),
        ({"url": "ftp://erp.example.no/"}, "is not a valid web address"),
        ({"url": "https://"}, "is not a valid web address"),
        ({"url": "https://erp.example.no:port/"}, "is not a valid web address"),
        ({"url": "https://erp.example.no:99999/"}, "is not a valid web address"),
        ({"url": f"https://{'a' * 70}.example.no/"}, "is not a valid web address"),
        ({"url": "https://ola:capability@erp.example.no/"}, "holds a user name or password"),
        ({"secret_file": "short"}, "holds no Standard Webhooks secret"),
        ({"secret_file": "bare"}, "holds no Standard Webhooks secret"),
        ({"secret_file": "odd"}, "holds no Standard Webhooks secret"),
        ({"secret_file": "missing"}, "cannot be read"),
        ({"secret_file": "half"}, "a line that is not one"),
        ({"secret_file": "empty"}, "is empty"),
        ({"timeout": "0s"}, "longer than zero"),
        ({"payload": "all"}, "should be 'metadata' or 'with-links'"),
        ({"payload": "with-links"}, "without the other"),
        ({"link_base": "http://127.0.0.1:8765"}, "without the other"),
        ({"payload": "with-links", "link_base": "127.0.0.1:8765"}, "is not a valid web address"),
        (
            {"payload": "with-links", "link_base": "http://x.example.no/?a=b"},
            "must be only an address",
        ),
        ({"headers": {"webhook-id": "key"}}, "part of the call itself"),
        ({"headers": {"Content-Type": "key"}}, "part of the call itself"),
        ({"headers": {"HOST": "key"}}, "part of the call itself"),
        ({"headers": {"X Key": "key"}}, "not a valid header name"),
        ({"headers": {"X-Key": "key", "x-key": "key"}}, "twice"),
        ({"headers": {"X-Key": "lines"}}, "not a valid header value"),
        ({"headers": {"X-Key": "empty"}}, "is empty"),
        ({"headers": {"X-Key": "missing"}}, "cannot be read"),
        ({"client_key_file": "key"}, "client_key_file without client_cert_file"),
        ({"client_cert_file": "key"}, "cannot be used"),
        ({"client_cert_file": "missing"}, "cannot be used"),
        ({"ca_file": "good"}, "holds no certificate in PEM"),
    ],
)
def test_settings_that_cannot_work(tmp_path: Path, settings: dict[str, Any], words: str) -> None:
    """A mistake in the settings is found when they are read, and no part of the secret is in what
    is said."""
    texts = {
        "good": SECRET,
        "short": "whsec_c2hvcnQ=",
        "bare": SECRET[6:],
        "odd": "whsec_???" + SECRET[6:],
        "half": f"{SECRET}\nwhsec_c2hvcnQ=",
    }
    for name, text in (
        texts | {"empty": "", "key": "letmein", "lines": "letmein\nX-Evil: 1"}
    ).items():
        (tmp_path / name).write_text(text)
    given = {"url": "https://erp.example.no/hooks/post", "secret_file": "good"} | settings
    with pytest.raises(ValidationError, match=words) as caught:
        Settings.model_validate(given, context={"base": tmp_path})
    assert not any(
        secret in str(caught.value.errors(include_input=False))
        for secret in ("c2hvcnQ", SECRET[6:], "capability", "letmein")
    )


def test_settings_that_work(tmp_path: Path) -> None:
    """A secret file with a line break at its end is read, and shown by nothing."""
    (tmp_path / "webhook.secret").write_text(SECRET + "\n")
    empty = {
        "ca_file": "",
        "client_cert_file": "",
        "client_key_file": "",
        "link_base": "",
        "headers": {},
    }
    given = {"url": "https://erp.example.no/hooks/post", "secret_file": "webhook.secret", **empty}
    settings = Settings.model_validate(given, context={"base": tmp_path})
    destination = connect("erp-webhook", settings)
    assert settings.secret_file.value == SECRET
    assert SECRET[6:] not in f"{settings!r}{settings}{destination!r}"
    destination.close()
    destination.close()
