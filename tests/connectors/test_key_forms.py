"""Keys and certificates in the forms in which people have them: read, or refused by what they are,
with the command that fixes it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs7,
    pkcs12,
)
from joserfc.jwk import RSAKey
from pydantic import ValidationError

from connectors.altinn3.maskinporten import KeyFile, load_key
from connectors.destinations.webhook import Settings as Webhook
from daemon.core.settings import ConnectorSettings
from tests.connectors.test_webhook_settings import SECRET

_PKCS8, _PKCS1, _OPENSSH = (
    PrivateFormat.PKCS8,
    PrivateFormat.TraditionalOpenSSL,
    PrivateFormat.OpenSSH,
)
KEY = rsa.generate_private_key(65537, 2048)
OTHER = ec.generate_private_key(ec.SECP256R1())


class Mailbox(ConnectorSettings):
    """A mailbox's key."""

    key_file: KeyFile


def certificate(key: Any, name: str) -> x509.Certificate:
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    begun = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .serial_number(1)
        .public_key(key.public_key())
    )
    return (
        begun.not_valid_before(now)
        .not_valid_after(now + timedelta(days=9))
        .sign(key, hashes.SHA256())
    )


def pem(key: Any, form: PrivateFormat = _PKCS8, password: bytes | None = None) -> bytes:
    how = BestAvailableEncryption(password) if password else NoEncryption()
    return bytes(key.private_bytes(Encoding.PEM, form, how))


OWN, CA = certificate(KEY, "own"), certificate(OTHER, "ca")
OWN_PEM, CA_PEM = OWN.public_bytes(Encoding.PEM), CA.public_bytes(Encoding.PEM)
P12 = pkcs12.serialize_key_and_certificates(
    b"x", KEY, OWN, [CA], BestAvailableEncryption(b"passord")
)
DER = KEY.private_bytes(Encoding.DER, _PKCS8, NoEncryption())
PUBLIC = KEY.public_key().public_bytes(
    Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)
SSH_PUBLIC = KEY.public_key().public_bytes(Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
JWK = RSAKey.import_key(pem(KEY).decode()).as_dict(private=True)
PUBLIC_JWK = {name: JWK[name] for name in ("kty", "n", "e")}
BAG = b"Bag Attributes\n    friendlyName: x\nKey Attributes: <No Attributes>\n"
BOM = b"\xef\xbb\xbf"

GOOD_KEYS = {
    "pkcs8": pem(KEY),
    "pkcs1": pem(KEY, _PKCS1),
    "crlf": pem(KEY).replace(b"\n", b"\r\n"),
    "mark": BOM + pem(KEY),
    "bag": BAG + pem(KEY),
    "with its certificate": OWN_PEM + CA_PEM + pem(KEY),
    "jwk": json.dumps(JWK).encode(),
    "jwk with a mark": BOM + json.dumps(JWK).encode(),
}
WRONG_KEYS = {
    "p12": (P12, "is a PKCS#12 file"),
    "der": (DER, "is in DER"),
    "encrypted": (pem(KEY, _PKCS8, b"passord"), "is protected by a passphrase"),
    "encrypted as of old": (pem(KEY, _PKCS1, b"passord"), "is protected by a passphrase"),
    "openssh": (pem(KEY, _OPENSSH), "is in OpenSSH's own form"),
    "ec": (pem(OTHER), "Maskinporten accepts only RSA keys"),
    "ec as of old": (pem(OTHER, _PKCS1), "Maskinporten accepts only RSA keys"),
    "public": (PUBLIC, "holds a public key, not a private key"),
    "public of ssh": (SSH_PUBLIC, "holds a public key"),
    "certificate": (OWN_PEM, "holds a certificate, not a private key"),
    "jwks": (json.dumps({"keys": [JWK]}).encode(), "is a set of keys (JWKS)"),
    "public jwk": (json.dumps(PUBLIC_JWK).encode(), "holds a public key"),
    "half a jwk": (json.dumps(JWK).encode()[:-30], "begins like JSON, but is not valid"),
    "half a pem": (pem(KEY)[:-300], "holds no RSA key that can be read"),
    "putty": (b"PuTTY-User-Key-File-3: ssh-rsa\nEncryption: none\n", "is in PuTTY's own form"),
    "utf-16": (pem(KEY).decode().encode("utf-16"), "is in UTF-16"),
    "empty": (b"\r\n", "is empty"),
}


def _told(error: ValidationError) -> str:
    return str(error.errors(include_input=False)[0]["msg"])


def _shows_nothing(told: str, content: bytes) -> bool:
    """Whether nothing of the key is in what is told: no piece of it, and no number of a JWK."""
    pieces = re.findall(r"[A-Za-z0-9+/_-]{24,}", content.decode("latin-1"))
    return not any(piece in told for piece in pieces)


@pytest.mark.parametrize("name", GOOD_KEYS)
def test_keys_that_are_read(tmp_path: Path, name: str) -> None:
    """A key for Maskinporten is read from every form in which it is whole and open."""
    (tmp_path / "key").write_bytes(GOOD_KEYS[name])
    read = Mailbox.model_validate({"key_file": "key"}, context={"base": tmp_path})
    assert load_key(read.key_file.value).thumbprint() == load_key(pem(KEY).decode()).thumbprint()


@pytest.mark.parametrize("name", WRONG_KEYS)
def test_keys_that_are_refused(tmp_path: Path, name: str) -> None:
    """Any other form is refused by its name, with the file and the remedy, and without a word of
    the key."""
    content, words = WRONG_KEYS[name]
    (tmp_path / "my key").write_bytes(content)
    with pytest.raises(ValidationError) as caught:
        Mailbox.model_validate({"key_file": "my key"}, context={"base": tmp_path})
    told = _told(caught.value)
    assert words in told
    assert "my key" in told
    assert "; " in told
    assert _shows_nothing(told, content)


def webhook(
    folder: Path, certificates: bytes, key: bytes | None, authorities: bytes | None = None
) -> Webhook:
    """A webhook's settings with these files."""
    (folder / "secret").write_text(SECRET)
    given = {"url": "https://x.example.no", "secret_file": "secret", "client_cert_file": "cert.pem"}
    for option, name, content in (
        ("client_cert_file", "cert.pem", certificates),
        ("client_key_file", "key.pem", key),
        ("ca_file", "ca", authorities),
    ):
        if content is not None:
            (folder / name).write_bytes(content)
            given[option] = name
    return Webhook.model_validate(given, context={"base": folder})


@pytest.mark.parametrize(
    ("certificates", "key"),
    [
        (OWN_PEM, pem(KEY)),
        (OWN_PEM + CA_PEM, pem(KEY)),
        (OWN_PEM + pem(KEY), None),
        (pem(KEY) + OWN_PEM, None),
        (BAG + OWN_PEM, BAG + pem(KEY)),
        (OWN_PEM.replace(b"\n", b"\r\n"), pem(KEY).replace(b"\n", b"\r\n")),
        (CA_PEM, pem(OTHER)),
        (BOM + OWN_PEM, BOM + pem(KEY)),
    ],
)
def test_proofs_that_are_taken(tmp_path: Path, certificates: bytes, key: bytes | None) -> None:
    """A client's certificate and key are taken in one file or two, with their authorities, with
    remarks, and also of the kind EC."""
    assert webhook(tmp_path, certificates, key)


@pytest.mark.parametrize(
    ("certificates", "key", "words"),
    [
        (P12, None, "is a PKCS#12 file"),
        (P12, pem(KEY), "is a PKCS#12 file"),
        (OWN_PEM, P12, "is a PKCS#12 file"),
        (OWN.public_bytes(Encoding.DER), pem(KEY), "is in DER"),
        (pkcs7.serialize_certificates([OWN, CA], Encoding.PEM), pem(KEY), "is a PKCS#7 file"),
        (PUBLIC, pem(KEY), "holds a public key, not a certificate"),
        (CA_PEM + OWN_PEM, pem(KEY), "in the wrong order"),
        (CA_PEM, pem(KEY), "does not belong to the key"),
        (OWN_PEM, pem(KEY, _PKCS8, b"passord"), "is protected by a passphrase"),
        (OWN_PEM, PUBLIC, "holds a public key, not a private key"),
        (OWN_PEM, None, "holds a certificate, not a private key"),
        (OWN_PEM[:-200], pem(KEY), "holds a damaged certificate"),
    ],
)
def test_proofs_that_are_refused(
    tmp_path: Path, certificates: bytes, key: bytes | None, words: str
) -> None:
    """A certificate or a key in another form, in the wrong order or of somebody else is refused by
    what it is."""
    with pytest.raises(ValidationError) as caught:
        webhook(tmp_path, certificates, key)
    told = _told(caught.value)
    assert words in told
    assert _shows_nothing(told, key or certificates)


@pytest.mark.parametrize(
    ("authorities", "words"),
    [
        (CA_PEM + OWN_PEM, ""),
        (pem(OTHER) + CA_PEM, ""),
        (BOM + CA_PEM + OWN_PEM, ""),
        (CA.public_bytes(Encoding.DER), "is in DER"),
        (pkcs7.serialize_certificates([OWN, CA], Encoding.PEM), "is a PKCS#7 file"),
        (pem(OTHER), "holds a private key, not a certificate"),
        (b"", "is empty"),
    ],
)
def test_authorities(tmp_path: Path, authorities: bytes, words: str) -> None:
    """So are files of authorities, and those in PEM are taken, with a mark or a key in them."""
    if not words:
        assert webhook(tmp_path, OWN_PEM, pem(KEY), authorities)
        return
    with pytest.raises(ValidationError, match=re.escape(words)):
        webhook(tmp_path, OWN_PEM, pem(KEY), authorities)


_WITH_PASSWORD = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")


@_WITH_PASSWORD
@pytest.mark.parametrize(
    ("name", "extra"),
    [("p12", ["-passin", "pass:passord"]), ("der", []), ("encrypted", ["-passin", "pass:passord"])],
)
def test_the_command_makes_it_right(tmp_path: Path, name: str, extra: list[str]) -> None:
    """What the message says to run makes a key that is read."""
    (tmp_path / "my key").write_bytes(WRONG_KEYS[name][0])
    read: Callable[[str], Mailbox] = lambda file: Mailbox.model_validate(  # noqa: E731
        {"key_file": file}, context={"base": tmp_path}
    )
    with pytest.raises(ValidationError) as caught:
        read("my key")
    found = re.search(r"run: (openssl .*? -out key\.pem)", _told(caught.value))
    assert found
    command = " ".join([found[1], *extra])
    subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, check=True, capture_output=True, env=dict(os.environ)
    )
    assert (
        load_key(read("key.pem").key_file.value).thumbprint()
        == load_key(pem(KEY).decode()).thumbprint()
    )
