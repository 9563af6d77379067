"""Keys and certificates in a form that is not read here, and the command that converts them.

A virksomhetssertifikat comes as PKCS#12, Windows saves DER and writes a byte order mark, other
programs have their own forms. No part of a key is ever shown. Sources: RFC 7292 (PKCS#12), RFC
7468 (PEM), RFC 7517 (JWK).
"""

from __future__ import annotations

import codecs
import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

Wanted = Literal["key", "certificate"]

_LABEL = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----")
_PRIVATE = re.compile(r"-----BEGIN ((?:[A-Z0-9]+ )*PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL)
_OPENSSH_PUBLIC = re.compile(r"(ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+ AAAA")
_DER_LENGTHS = range(0x80, 0x85)
_SHORTEST = 8  # bytes


def binary_form(content: bytes, path: Path, wanted: Wanted = "key") -> str:
    """Return what is wrong with a file in a binary form, as `problem; remedy`.

    Empty if it is in no known one.
    """
    if content[:1] != b"\x30" or len(content) < _SHORTEST or content[1] not in _DER_LENGTHS:
        return ""  # not a sequence of ASN.1
    file = shlex.quote(str(path))
    if b"\x02\x01\x03" in content[2:9]:  # the version of RFC 7292 comes first
        options = "-nocerts -noenc" if wanted == "key" else "-clcerts -nokeys"
        command = (
            f"openssl pkcs12 -in {file} {options} -out {wanted}.pem (with -legacy if it says "
            "unsupported)"
        )
        return (
            f"is a PKCS#12 file, as .p12 and .pfx are: {path}; run: {command}, and name "
            f"{wanted}.pem"
        )
    kind = "pkey" if wanted == "key" else "x509"
    return (
        f"is in DER, a binary form: {path}; run: openssl {kind} -inform DER -in {file} -out "
        f"{wanted}.pem, and name {wanted}.pem"
    )


def wrong_form(content: bytes, path: Path, wanted: Wanted, *, openssh: bool = False) -> str:
    """Return what is wrong with a file of a private key or certificates in PEM: `problem; remedy`.

    Empty if its form is right. With `openssh`, OpenSSH's own form of a private key is right too.
    """
    if found := binary_form(content, path, wanted):
        return found
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in content:
        return f"is in UTF-16, or is not text: {path}; save it as UTF-8"
    text = content.decode("utf-8", "replace")
    if not text.strip("\ufeff \r\n\t"):
        return f"is empty: {path}; write the {wanted} into it"
    labels = _LABEL.findall(text)
    if wanted == "certificate":
        return _wrong_certificate(labels, path)
    return _wrong_key(text, labels, path, openssh=openssh)


def private_block(text: str) -> str:
    """Return the private key in PEM, without surrounding certificates and comments.

    Return the whole text if it has none.
    """
    found = _PRIVATE.search(text)
    return found[0] + "\n" if found else text


def _wrong_certificate(labels: list[str], path: Path) -> str:
    file = shlex.quote(str(path))
    if any(each in {"CERTIFICATE", "TRUSTED CERTIFICATE", "X509 CERTIFICATE"} for each in labels):
        return ""
    if any(each in {"PKCS7", "CMS"} for each in labels):
        return (
            f"is a PKCS#7 file, as .p7b is: {path}; run: openssl pkcs7 -print_certs -in {file} "
            "-out certificate.pem, and name that"
        )
    if any("REQUEST" in each for each in labels):
        return (
            f"holds a certificate request, not a certificate: {path}; name the certificate that "
            "the authority issued"
        )
    if labels:
        return (
            f"holds {_named(labels[0])}, not a certificate: {path}; name a file of certificates "
            "in PEM"
        )
    return (
        f"holds no certificate in PEM: {path}; name a file with -----BEGIN CERTIFICATE----- in it"
    )


def _wrong_key(text: str, labels: list[str], path: Path, *, openssh: bool) -> str:
    file = shlex.quote(str(path))
    if "ENCRYPTED PRIVATE KEY" in labels or "Proc-Type: 4,ENCRYPTED" in text:
        return (
            f"is protected by a passphrase: {path}; run: openssl pkey -in {file} -out key.pem, "
            "and name key.pem"
        )
    if "OPENSSH PRIVATE KEY" in labels:
        command = f"ssh-keygen -p -N '' -m PKCS8 -f a copy of {file}"
        return (
            ""
            if openssh
            else f"is in OpenSSH's own form: {path}; run: {command}, and name the copy"
        )
    if any(each.endswith("PRIVATE KEY") for each in labels):
        return ""
    return _no_private_key(text, labels, path)


def _no_private_key(text: str, labels: list[str], path: Path) -> str:
    if "PuTTY-User-Key-File" in text:
        return (
            f"is in PuTTY's own form: {path}; run: puttygen {shlex.quote(str(path))} -O "
            "private-openssh -o key, and name that"
        )
    if _OPENSSH_PUBLIC.search(text):
        return (
            f"holds a public key: {path}; name the private one, which is in the file without .pub"
        )
    if labels:
        return (
            f"holds {_named(labels[0])}, not a private key: {path}; name the file of the private "
            "key"
        )
    return _wrong_jwk(text, path)


def _named(label: str) -> str:
    if "REQUEST" in label:
        return "a certificate request"
    for word, name in (
        ("PUBLIC", "a public key"),
        ("CERTIFICATE", "a certificate"),
        ("PRIVATE", "a private key"),
        ("PARAM", "parameters"),
    ):
        if word in label:
            return name
    return f"something else ({label})"


def _wrong_jwk(text: str, path: Path) -> str:
    try:
        jwk = (
            json.loads(text.lstrip("\ufeff"))
            if text.lstrip("\ufeff \r\n\t").startswith("{")
            else None
        )
    except ValueError:
        return f"begins like JSON, but is not valid: {path}; copy the whole key again"
    if jwk is None:
        return (
            f"holds no private key in PEM: {path}; name a file with -----BEGIN PRIVATE KEY----- "
            "in it"
        )
    if "keys" in jwk:
        return (
            f"is a set of keys (JWKS): {path}; replace it with the one private key, the object "
            'that has a "d"'
        )
    return _wrong_jwk_kind(jwk, path)


def _wrong_jwk_kind(jwk: Mapping[str, object], path: Path) -> str:
    if "ciphertext" in jwk or "encrypted_key" in jwk:
        return f"is an encrypted key (JWE): {path}; decrypt it, and name the result"
    if "d" not in jwk and ({"n", "e"} <= jwk.keys() or {"x", "crv"} <= jwk.keys()):
        return f"holds a public key: {path}; name the private one"
    return ""
