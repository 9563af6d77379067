"""Whom a connector trusts, and how it authenticates itself.

It trusts the system's certificate authorities, and one of the operator's own in addition.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Annotated, cast

from pydantic import AfterValidator, BeforeValidator

from daemon.core.access import why_not_read
from daemon.core.key_forms import Wanted, private_block, wrong_form
from daemon.core.settings import FilePath


def tls_context(
    ca_file: Path | None, client_cert: Path | None = None, client_key: Path | None = None
) -> ssl.SSLContext:
    """Return a context that verifies certificates and host names.

    It trusts the system's authorities and, if given, those in `ca_file`. With `client_cert` it
    authenticates the caller; the key is in `client_key`, or in the same file. Raises OSError
    (ssl.SSLError is one) if a file cannot be used.
    """
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    if client_cert is not None:
        context.load_cert_chain(
            client_cert, client_key, password=""
        )  # otherwise OpenSSL asks the terminal
    return context


def proof_fault(certificate: Path, key: Path | None) -> str:
    """Return what is wrong with a certificate and its key, as `problem; remedy`.

    It is empty if nothing is wrong. The key is in `key`, or in the same file. Nothing of the key is
    shown. Never raises.
    """
    try:
        files = {certificate: certificate.read_bytes()} | ({key: key.read_bytes()} if key else {})
    except OSError as error:
        return f"cannot be read: {_why_not_read(Path(error.filename), error)}"
    holder = key or certificate
    for path, wanted in ((certificate, "certificate"), (holder, "key")):
        if found := wrong_form(files[path], path, cast("Wanted", wanted)):
            return found
    return _no_pair(files[certificate], certificate, files[holder], holder)


def why_no_proof(certificate: Path, key: Path | None) -> str:
    """Return the same for two that OpenSSL has refused, so that the text is never empty."""
    return (
        proof_fault(certificate, key)
        or f"{certificate}; both must be PEM, belong together and need no password"
    )


def _no_pair(certificates: bytes, path: Path, key: bytes, key_path: Path) -> str:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        chain = [each.public_key() for each in x509.load_pem_x509_certificates(certificates)]
    except (ValueError, UnsupportedAlgorithm):
        return f"holds a damaged certificate: {path}; copy it again completely"
    try:
        public = load_pem_private_key(
            private_block(key.decode(errors="replace")).encode(), None
        ).public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return (
            f"holds a damaged private key, or one of an unknown kind: {key_path}; copy it again "
            "completely"
        )
    if public in chain[1:] and chain[0] != public:
        return (
            f"has its certificates in the wrong order: {path}; put the one that belongs to the "
            "key first, and its authorities behind it"
        )
    if chain[0] != public:
        return (
            f"does not belong to the key in {key_path}: {path}; name the two that were made "
            "together"
        )
    return ""


def none_if_empty(value: object) -> object:
    """Return None for an empty text, which means "none" in the configuration."""
    return None if value == "" else value


def _usable(path: Path | None) -> Path | None:
    if path is not None and (found := _authority_fault(path)):
        raise ValueError(found)
    try:
        tls_context(path)
    except OSError as error:
        raise ValueError(
            f"holds no certificates that can be used: {path}; write the path of a file of CA "
            "certificates in PEM"
        ) from error
    return path


def _why_not_read(path: Path, error: OSError) -> str:
    """The path, why it cannot be read, and what to do."""
    if why := why_not_read(path, error.errno or 0):
        return f"{path} {why}"
    return f"{path}: {(error.strerror or '').lower()}; create it, or name another file"


def _authority_fault(path: Path) -> str:
    """Return what is wrong with the format of a file of authorities."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return f"holds no certificates that can be used: {_why_not_read(path, error)}"
    return wrong_form(content, path, "certificate")


CaFile = Annotated[FilePath | None, BeforeValidator(none_if_empty), AfterValidator(_usable)]
"""The path of a file of CA certificates in PEM, trusted in addition to the system's; empty for
none.
"""
