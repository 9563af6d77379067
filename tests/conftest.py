"""What all tests share: parcels, and certificates of an authority of our own."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from daemon.core.ports import Parcel
from tests.parcels import new_parcel

MakeParcel = Callable[..., Parcel]


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A certificate authority that no system knows."""
    return trustme.CA()


@pytest.fixture(scope="session")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The authority's certificate, for a `ca_file` setting."""
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture(scope="session")
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    """What a server on loopback needs to speak TLS under the names localhost and 127.0.0.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def make_parcel() -> MakeParcel:
    """Make the parcel of one letter: `make_parcel(external_id, files={"Vedtak.pdf": b"..."},
    missing=["Kart.pdf"], title="...")`."""
    return new_parcel
