"""Every drop keeps the contract: here on a real folder, and behind real servers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from connectors.destinations import filedrop, s3, sftp, smb
from daemon.core.ports import Destination
from tests.contracts.drop_contract import DropContract, DropReceiver
from tests.contracts.drop_servers import (
    PASSWORD,
    Gate,
    SmbServer,
    gate,
    s3_server,
    sftp_server,
    smb_server,
)


class Consumer:
    """The consumer of a drop that is, here or behind a server, the folder `path` of this
    machine."""

    secrets: tuple[str, ...] = (PASSWORD,)

    def __init__(self, path: Path, destination: Destination, gate: Gate | None = None) -> None:
        self.destination = destination
        self._path = path
        self._gate = gate

    def received(self) -> Sequence[str]:
        return sorted({_letter(name) for name in self.names()})

    def names(self) -> Sequence[str]:
        ours = {each.name for each in self._path.iterdir() if not each.name.startswith(".")}
        return sorted(ours - {"index.csv"})  # which is read where it lies

    def file_names(self) -> Sequence[str]:
        return [path.rpartition("/")[2] for path in self.contents()]

    def contents(self) -> Mapping[str, bytes]:
        paths = [each.relative_to(self._path) for each in self._path.rglob("*") if each.is_file()]
        return {
            str(path): (self._path / path).read_bytes()
            for path in paths
            if not path.parts[0].startswith(".")
        }

    def dedup_records(self) -> Sequence[str]:
        return [str(each.relative_to(self._path)) for each in self._path.rglob("*")]

    def put(self, path: str, data: bytes) -> None:
        (self._path / path).write_bytes(data)

    def take_all(self) -> None:
        for name in self.names():
            taken = self._path / name
            shutil.rmtree(taken) if taken.is_dir() else taken.unlink()

    def go_down(self) -> None:
        if self._gate:
            self._gate.shut()
        else:
            self._path.rename(self._path.with_name("unmounted"))

    def come_up(self) -> None:
        if self._gate:
            self._gate.open()
        else:
            self._path.with_name("unmounted").rename(self._path)


def _letter(name: str) -> str:
    """The letter that a name in a drop belongs to: its first four words, and a version or a
    generation."""
    return "_".join(name.partition(".")[0].split("_")[:4])


class OnDisk(DropContract):
    """A drop in a folder of this machine."""

    layout: str

    @pytest.fixture
    def drop(self, tmp_path: Path) -> Consumer:
        path = tmp_path / "drop"
        path.mkdir()
        settings = filedrop.Settings.model_validate(
            {"path": str(path), "layout": self.layout, "await_pickup": "24h"}
        )
        return Consumer(path, filedrop.connect("erp", settings))

    @pytest.fixture
    def receiver(self, drop: Consumer) -> Consumer:
        return drop


class TestFileDrop(OnDisk):
    """The file drop with a folder for each letter."""

    layout = "folder"


class TestFlatFileDrop(OnDisk):
    """The file drop with all files side by side."""

    layout = "flat"


class TestFileDropWithIndex(OnDisk):
    """The file drop with an index."""

    layout = "csv"


class OnServer(DropContract):
    """A drop on a server; the same tests for each layout would prove nothing more, and take
    long."""

    @pytest.fixture
    def receiver(self, drop: DropReceiver) -> DropReceiver:
        return drop


def _settings(folder: Path, **options: Any) -> dict[str, Any]:
    (folder / "password").write_text(PASSWORD)
    return {**options, "timeout": "20s", "await_pickup": "24h"}


class TestSftp(OnServer):
    """SFTP."""

    @pytest.fixture
    def drop(self, tmp_path: Path) -> Iterator[Consumer]:
        path = tmp_path / "world" / "inn"
        path.mkdir(parents=True)
        with sftp_server(path.parent) as server, gate(server.port) as door:
            (tmp_path / "known_hosts").write_text(f"[localhost]:{door.port} {server.known_host}\n")
            options = {
                "host": "localhost",
                "port": door.port,
                "username": "ola",
                "password_file": "password",
                "known_hosts": "known_hosts",
            }
            settings = sftp.Settings.model_validate(
                _settings(tmp_path, path="inn", **options), context={"base": tmp_path}
            )
            yield Consumer(path, sftp.connect("erp", settings), door)


@pytest.fixture(scope="module")
def samba(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmbServer]:
    """One server for all tests, each with a folder of its own."""
    with smb_server(tmp_path_factory.mktemp("samba")) as server:
        yield server


class TestSmb(OnServer):
    """SMB."""

    @pytest.fixture
    def drop(self, tmp_path: Path, samba: SmbServer) -> Iterator[Consumer]:
        path = samba.root / tmp_path.name / "inn"
        path.mkdir(parents=True)
        with gate(samba.port) as door:
            options = {
                "host": "localhost",
                "port": door.port,
                "username": samba.username,
                "password_file": "password",
                "share": "post",
            }
            settings = smb.Settings.model_validate(
                _settings(tmp_path, path=f"{tmp_path.name}/inn", **options),
                context={"base": tmp_path},
            )
            yield Consumer(path, smb.connect("erp", settings), door)


@pytest.fixture(scope="module")
def bucket_server() -> Iterator[int]:
    """One server for all tests, each with a bucket of its own."""
    with s3_server() as port:
        yield port


class BucketConsumer:
    """The consumer of a drop in a bucket, which looks at it past the gate."""

    secrets = (PASSWORD,)

    def __init__(self, bucket: Any, destination: Destination, door: Gate) -> None:
        self.destination = destination
        self._bucket = bucket
        self._gate = door

    def received(self) -> Sequence[str]:
        return [path.partition("/")[0] for path in self._paths() if path.endswith("/message.json")]

    def names(self) -> Sequence[str]:
        return sorted({path.partition("/")[0] for path in self._paths()})

    def file_names(self) -> Sequence[str]:
        return [path.rpartition("/")[2] for path in self._paths()]

    def contents(self) -> Mapping[str, bytes]:
        return {path: bytes(self._bucket.get(f"inn/{path}").bytes()) for path in self._paths()}

    def dedup_records(self) -> Sequence[str]:
        return [each["path"].removeprefix("inn/") for page in self._bucket.list() for each in page]

    def put(self, path: str, data: bytes) -> None:
        self._bucket.put(f"inn/{path}", data)

    def take_all(self) -> None:
        for path in self._paths():
            self._bucket.delete(f"inn/{path}")

    def go_down(self) -> None:
        self._gate.shut()

    def come_up(self) -> None:
        self._gate.open()

    def _paths(self) -> list[str]:
        return [path for path in self.dedup_records() if not path.startswith(".")]


class TestS3(OnServer):
    """S3."""

    @pytest.fixture
    def drop(self, tmp_path: Path, bucket_server: int) -> Iterator[BucketConsumer]:
        from obstore.store import S3Store

        name, server = f"post-{uuid4().hex}", f"http://127.0.0.1:{bucket_server}"
        httpx.put(f"{server}/{name}").raise_for_status()
        bucket = S3Store(
            name,
            config={
                "endpoint": server,
                "region": "us-east-1",
                "access_key_id": "ola",
                "secret_access_key": "x",
            },
            client_options={"allow_http": True},
        )
        with gate(bucket_server) as door:
            options = {
                "bucket": name,
                "prefix": "inn",
                "region": "us-east-1",
                "access_key_id": "ola",
                "secret_key_file": "password",
            }
            settings = s3.Settings.model_validate(
                _settings(tmp_path, endpoint=f"http://127.0.0.1:{door.port}", **options),
                context={"base": tmp_path},
            )
            yield BucketConsumer(bucket, s3.connect("erp", settings), door)
