"""Whom a connector trusts: the system's certificate authorities, and beside them one of the operator's own. And how it proves itself."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from daemon.settings import FilePath


def tls_context(ca_file: Path | None, client_cert: Path | None = None, client_key: Path | None = None) -> ssl.SSLContext:
    """A context that verifies certificates and host names, against the system's authorities and, if there is one, those in `ca_file`.

    With `client_cert` it proves who is calling; the key is in `client_key`, or else in the same file. Raises OSError, of which
    ssl.SSLError is one, if a file cannot be used.
    """
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    if client_cert is not None:
        context.load_cert_chain(client_cert, client_key, password="")  # otherwise OpenSSL asks the terminal
    return context


def none_if_empty(value: object) -> object:
    """None for an empty text, which is how a configuration says that there is none."""
    return None if value == "" else value


def _usable(path: Path | None) -> Path | None:
    try:
        tls_context(path)
    except OSError as error:
        raise ValueError(f"holds no certificates that can be used: {path}; write the path of a file of CA certificates in PEM") from error
    return path


CaFile = Annotated[FilePath | None, BeforeValidator(none_if_empty), AfterValidator(_usable)]
"""The path of a file of CA certificates in PEM, which are trusted beside the system's; empty for none."""
