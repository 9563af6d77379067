"""Whom a connector trusts: the system's certificate authorities, and beside them one of the operator's own."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from daemon.settings import FilePath


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """A context that verifies certificates and host names, against the system's authorities and, if there is one, those in `ca_file`.

    Raises OSError, of which ssl.SSLError is one, if the file cannot be used.
    """
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


def _none_if_empty(path: object) -> object:
    return None if path == "" else path


def _usable(path: Path | None) -> Path | None:
    try:
        tls_context(path)
    except OSError as error:
        raise ValueError(f"holds no certificates that can be used: {path}; write the path of a file of CA certificates in PEM") from error
    return path


CaFile = Annotated[FilePath | None, BeforeValidator(_none_if_empty), AfterValidator(_usable)]
"""The path of a file of CA certificates in PEM, which are trusted beside the system's; empty for none."""
