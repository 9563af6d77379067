"""A server of PostgreSQL that is reached over TLS, with a certificate of one's own authority."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import psycopg
import pytest
import trustme

from benchmarks.loopback import free_port
from daemon.core.errors import StoreUnreachable
from daemon.store import Store
from tests.processes.postgresql import NoPostgresqlError, PostgresqlServer


@pytest.fixture
def address(authority: trustme.CA) -> Iterator[str]:
    """The URL of a database on a server that speaks TLS, on loopback."""
    folder = Path(tempfile.mkdtemp(prefix="postmottak-pg-"))
    port = free_port()
    own = (f"port={port}", "listen_addresses=127.0.0.1", "fsync=off")
    try:
        server = PostgresqlServer(folder, *own)
    except NoPostgresqlError as error:
        shutil.rmtree(folder)
        pytest.skip(str(error))
    data = folder / "data"
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(data / "server.key")
    certificate.cert_chain_pems[0].write_to_path(data / "server.crt")
    for name in ("server.key", "server.crt"):
        shutil.copystat(data / "PG_VERSION", data / name)
        shutil.chown(data / name, (data / "PG_VERSION").stat().st_uid)
    with (data / "postgresql.conf").open("a") as configuration:
        configuration.write("ssl = on\n")
    (data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 trust\n")
    server.start()
    yield f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"
    with suppress(ProcessLookupError):
        os.kill(server.pid, signal.SIGQUIT)
    shutil.rmtree(folder, ignore_errors=True)


def test_a_server_is_known_by_its_certificate(address: str, ca_file: Path) -> None:
    """With its authority the store opens, over TLS; with another one, or with none, it does not,
    and the reason says that it is about the certificate, once."""
    with (
        closing(Store(f"{address}?sslmode=verify-full&sslrootcert={ca_file}")),
        psycopg.connect(address.replace("+psycopg", "")) as other,
    ):
        ssl = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) "
        found = other.execute(f"{ssl} WHERE application_name = 'postmottak'".encode())
        assert found.fetchone() == (True,)
    unknown = Path(__file__).parents[1] / "processes/unknown_authority.pem"
    for rest, why in (
        (f"sslmode=verify-full&sslrootcert={unknown}", "certificate verify failed"),
        ("sslmode=verify-full&sslrootcert=/nonexistent.pem", '"/nonexistent.pem" does not exist'),
        ("sslmode=disable", "no encryption"),
    ):
        with pytest.raises(StoreUnreachable, match=why) as failed:
            Store(f"{address}?{rest}")
        assert str(failed.value).count(why) == 1
