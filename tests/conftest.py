"""What all tests share: parcels, and certificates of an authority of our own."""

from __future__ import annotations

import gc
import os
import shutil
import ssl
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import hypothesis
import pytest
import trustme

from daemon.core.ports import Parcel
from tests.parcels import new_parcel
from tests.processes import compiled_once, tables_once
from tests.processes.postgresql import NoPostgresqlError, PostgresqlServer, shared_server

MakeParcel = Callable[..., Parcel]
_MEMORY = Path("/dev/shm")  # a tmpfs, on Linux
_ENOUGH = 4 << 30
_AUTHORITY = Path(__file__).parent / "processes" / "unknown_authority.pem"
"""One that has issued nothing; its key is gone. A file without any is refused by httpx."""
_WHOLE_SYSTEM = {"journeys", "system"}


def pytest_configure(config: pytest.Config) -> None:
    """Spare the tests of parts what takes most of their time: waits for the disk, and the system's
    authorities.

    Every letter is synced several times, and a disk takes milliseconds for each sync; in memory the
    calls are the same. OpenSSL takes 30 milliseconds for the authorities of each context, and no
    test of parts meets a server that they know; so there is one, whatever the environment names.
    Journeys on their own, whose files are large and which may install packages, keep disk and
    authorities.

    What was compiled is kept, though the environment may say otherwise: each of the thousands of
    child processes would compile the whole service again, which takes it twice its start.

    No example of Hypothesis has a deadline: on a busy machine any may take long.

    While tests are collected, no garbage is: it would look at all that is imported, again and
    again.
    """
    gc.disable()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    hypothesis.settings.register_profile("busy", deadline=None)
    hypothesis.settings.load_profile("busy")
    if config.args == config.getini("testpaths") or not any(map(_is_of_parts, config.args)):
        return
    os.environ.update(SSL_CERT_FILE=str(_AUTHORITY), SSL_CERT_DIR=os.devnull)
    if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ENOUGH:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))


def _is_of_parts(argument: str) -> bool:
    """Whether an argument of the command line names tests of parts, and not of the whole."""
    folders = Path(argument).resolve().parts
    return "tests" in folders and _WHOLE_SYSTEM.isdisjoint(folders)


def pytest_collection_finish() -> None:
    """From now on garbage is collected as rarely as in the service, and not from what was imported,
    which stays."""
    gc.freeze()
    gc.set_threshold(20_000)
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def keys_are_checked_once() -> Iterator[None]:
    """OpenSSL proves an RSA key for 50 milliseconds each time that it is read; here, once."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("joserfc._rfc7517.pem.load_pem_private_key", cache(load_pem_private_key))
        yield


@pytest.fixture(scope="session", autouse=True)
def statements_are_compiled_once() -> Iterator[None]:
    """The thousands of stores of a worker share what SQLAlchemy compiles."""
    with pytest.MonkeyPatch.context() as patched:
        compiled_once.share(patched.setattr)
        yield


@pytest.fixture(scope="session", autouse=True)
def tables_are_made_once() -> Iterator[None]:
    """Alembic makes the tables of the first new database of a worker; the others get the same."""
    with pytest.MonkeyPatch.context() as patched:
        tables_once.share(patched.setattr)
        yield


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresqlServer]:
    """A server of the run's own; without PostgreSQL the test is skipped."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    try:
        with shared_server(shared) as server:
            yield server
    except NoPostgresqlError as error:
        pytest.skip(str(error))


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
