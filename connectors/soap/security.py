"""Authenticate a request in its WS-Security header, by a UsernameToken or a signature.

Both come with a timestamp; the signature is made with a certificate. Sources: OASIS WSS SOAP
Message Security 1.1, UsernameToken and X.509 Token Profiles 1.1.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

_VALID = timedelta(minutes=5)

Protect = Callable[["Element"], None]
"""A function that puts the proof of identity into an envelope."""


def _timestamp() -> Any:
    from zeep.wsse.utils import WSU

    now = datetime.now(UTC).replace(microsecond=0)
    written = [f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in (now, now + _VALID)]
    return WSU.Timestamp(WSU.Created(written[0]), WSU.Expires(written[1]))


def username_token(name: str, password: str, *, digest: bool = False) -> Protect:
    """Add the name and the password, as text or as a digest with a nonce and the time.

    For encrypted connections only: the text is readable, and the digest, which is SHA-1, allows a
    weak password to be guessed.
    """

    def protect(envelope: Element) -> None:
        from zeep.wsse.username import UsernameToken

        new_token: Any = UsernameToken  # zeep is not typed
        new_token(
            name, password, use_digest=digest, zulu_timestamp=True, timestamp_token=_timestamp()
        ).apply(envelope, {})

    return protect


def signature(certificate: Path, key: Path) -> Protect:
    """Sign body and timestamp by RSA with SHA-256; the certificate is a BinarySecurityToken."""
    import xmlsec
    from zeep.wsse.signature import BinarySignature

    signer = BinarySignature(
        str(key), str(certificate), None, xmlsec.Transform.RSA_SHA256, xmlsec.Transform.SHA256
    )

    def protect(envelope: Element) -> None:
        from zeep.wsse.utils import get_security_header

        get_security_header(envelope).append(_timestamp())
        signer.apply(envelope, {})

    return protect


def check_pair(certificate: Path, key: Path) -> None:
    """Raise ValueError or OSError unless both are PEM, RSA, without a password, and a pair."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    private = load_pem_private_key(key.read_bytes(), None)
    public = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    if not isinstance(private, RSAPrivateKey) or private.public_key() != public:
        raise ValueError("no pair")


class Protection:
    """The steps that zeep applies to each envelope: signed contents first, then the proof."""

    def __init__(self, *steps: Protect) -> None:
        self._steps = steps

    def apply(self, envelope: Element, headers: dict[str, str]) -> tuple[Element, dict[str, str]]:
        """Apply the steps."""
        for step in self._steps:
            step(envelope)
        return envelope, headers
