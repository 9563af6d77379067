"""Content in a bucket where it differs from a folder: a server that is away, wrong bytes, the cache
of this machine, and puts that are killed."""

from __future__ import annotations

import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import httpx
import pytest

from benchmarks.loopback import free_port
from daemon.core.errors import ContentMissing, ContentUnavailable, StorageUnreachable
from daemon.store.content_bucket import ContentBucket
from tests.contracts.content_servers import ContentServer
from tests.contracts.drop_servers import PASSWORD, gate, s3_server
from tests.unit.conftest import sha256

MEGABYTE = 1 << 20
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with s3_server() as port:
        yield port


@pytest.fixture
def server(port: int, tmp_path: Path) -> ContentServer:
    return ContentServer(f"http://127.0.0.1:{port}", tmp_path)


def cached(server: ContentServer, cache: str = "cache") -> list[str]:
    """The names of all files in a node's cache, but for locks."""
    found = (server.folder / cache).rglob("*")
    return sorted(each.name for each in found if each.is_file() and each.suffix != ".lock")


def size_of(server: ContentServer) -> int:
    return sum(
        each.stat().st_size for each in (server.folder / "cache").rglob("*") if each.is_file()
    )


def read(content: ContentBucket, wanted: str) -> bytes:
    with content.open(wanted) as file:
        return file.read()


def data_of(number: int) -> bytes:
    return bytes([number]) * MEGABYTE


def test_a_server_that_is_away(server: ContentServer, port: int) -> None:
    """Without the server nothing is kept, which passes and is told with the server, what to do, and
    no secret; what is in the cache can be read, and the rest when it is there again."""
    bucket = server.bucket()
    others = server.content(bucket, "other").put([b"of another node"]).sha256
    with gate(port) as door:
        behind = ContentServer(f"http://127.0.0.1:{door.port}", server.folder)
        content = behind.content(bucket, timeout="2s")
        ours = content.put([b"ours"]).sha256
        door.shut()
        with pytest.raises(StorageUnreachable, match=behind.address) as caught:
            content.put([b"new"])
        assert PASSWORD not in str(caught.value)
        assert "check that the server runs" in behind.connection(bucket, timeout="2s").fault()
        assert read(content, ours) == b"ours"
        for _ in range(2):
            with pytest.raises(ContentUnavailable):
                content.open(others)
        assert cached(server) == [ours]
        door.open()
        assert behind.connection(bucket).fault() == ""
        assert content.put([b"new"]).sha256 == sha256(b"new")
        again = behind.content(bucket)  # a process that knows nothing of the outage
        assert read(again, others) == b"of another node"
        assert PASSWORD not in repr(content.__dict__)


def test_a_server_that_is_killed(tmp_path: Path) -> None:
    """A server that is killed while files are put, and comes back without them, gets them at the
    next attempt; what was not acknowledged is not believed to be there."""
    port = free_port()
    server = ContentServer(f"http://127.0.0.1:{port}", tmp_path)
    data = [bytes([number]) * MEGABYTE for number in range(12)]
    with moto(port) as process:
        bucket = server.bucket()
        content = server.content(bucket, timeout="2s")
        killer = threading.Timer(0.05, process.kill)
        killer.start()
        with pytest.raises(StorageUnreachable):
            put_for_ever(content, data)
        killer.join()
    with moto(port):
        httpx.put(f"{server.address}/{bucket}").raise_for_status()
        content.publish([content.stage([each]) for each in data])
        fresh = server.content(bucket, "fresh")
        assert [fresh.fault(sha256(each)) for each in data] == [""] * len(data)


def put_for_ever(content: ContentBucket, data: Sequence[bytes]) -> NoReturn:
    while True:
        content.publish([content.stage([each]) for each in data])


@contextmanager
def moto(port: int) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(600):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            threading.Event().wait(0.05)
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_bucket_that_does_not_exist(server: ContentServer) -> None:
    """It is told by its name."""
    with pytest.raises(StorageUnreachable, match="has no bucket missing-bucket"):
        server.content("missing-bucket").put([b"x"])
    assert "has no bucket missing-bucket" in server.connection("missing-bucket").fault()


def test_wrong_bytes_in_the_bucket(server: ContentServer) -> None:
    """An object that does not match its name is not handed on, and is told."""
    bucket = server.bucket()
    content = server.content(bucket)
    kept = content.put([b"right"]).sha256
    content._objects.put(f"{kept[:2]}/{kept}", b"wrong bytes")
    other = server.content(bucket, "other")
    with pytest.raises(ContentMissing, match=f"{kept}.*damaged.*earlier version"):
        other.open(kept)
    assert other.fault(kept) == "damaged"
    assert cached(server, "other") == []


def test_a_damaged_file_in_the_cache(server: ContentServer) -> None:
    """A file of the cache that a power cut has emptied, or that somebody has changed, is fetched
    again."""
    bucket = server.bucket()
    content = server.content(bucket)
    kept = content.put([b"right"]).sha256
    path = server.folder / "cache" / kept[:2] / kept
    for damaged in (b"", b"wrong"):
        path.write_bytes(damaged)
        os.utime(path, (1, 1))  # whatever the clock says
        assert read(content, kept) == b"right"
        assert read(server.content(bucket), kept) == b"right"


def test_what_was_stored_is_in_the_cache(server: ContentServer) -> None:
    """What this node stores is delivered next, without being fetched."""
    bucket = server.bucket()
    content = server.content(bucket)
    kept = content.put([b"new"]).sha256
    content._objects.delete(f"{kept[:2]}/{kept}")
    assert read(content, kept) == b"new"


def test_the_cache_has_a_limit(server: ContentServer) -> None:
    """What was used longest ago goes when the limit is passed; what is open stays until it is
    closed; and everything can be fetched again."""
    content = server.content(server.bucket(), limit=5 * MEGABYTE)
    kept = [content.put([data_of(number)]).sha256 for number in range(4)]
    with content.open(kept[0]) as read:
        content.open(kept[1]).close()
        kept += [content.put([data_of(number)]).sha256 for number in range(4, 8)]
        assert size_of(server) <= 5 * MEGABYTE
        assert kept[0] in cached(server)
        assert kept[2] not in cached(server)
        assert kept[7] in cached(server)
        kept += [content.put([data_of(number)]).sha256 for number in range(8, 16)]
        assert read.read() == data_of(0)
    for number, each in enumerate(kept):
        with content.local_file(each) as path:
            assert path.read_bytes() == data_of(number)
        assert size_of(server) <= 5 * MEGABYTE


def test_a_file_larger_than_the_cache(server: ContentServer) -> None:
    """It is handed on all the same, also as a path, and goes when the next one comes."""
    bucket = server.bucket()
    kept = server.content(bucket, "other").put([data_of(1), data_of(2)]).sha256
    content = server.content(bucket, limit=MEGABYTE)
    with content.local_file(kept) as path, ExitStack() as files:
        files.enter_context(content.open(content.put([b"another"]).sha256))
        assert path.read_bytes() == data_of(1) + data_of(2)
    content.put([b"the next"])
    assert kept not in cached(server)


def test_a_put_that_is_killed(server: ContentServer, port: int) -> None:
    """A process that is killed while it puts a large file leaves nothing that can be seen, and
    what it left on this machine goes at the next start."""
    bucket = server.bucket()
    with stopping_after(port, 10 * MEGABYTE) as (narrow, reached):
        process = putting(server, narrow, bucket, 24)
        assert reached.wait(60)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    wanted = sha256(data_of(7) * 24)
    content = server.content(bucket)
    assert not content.has(wanted)
    assert content.kept(wanted[:2]) == set()
    assert len(cached(server)) == 1
    content.remove_temporaries()
    assert cached(server) == []
    assert content.put(data_of(7) for _ in range(24)).sha256 == wanted
    assert content.fault(wanted) == ""


def test_a_large_file_is_never_whole_in_memory(server: ContentServer, port: int) -> None:
    """A file of 160 MB is put and fetched by a process that needs less than half of that in
    addition."""
    process = putting(server, port, server.bucket(), 160)
    before, after = map(int, process.communicate()[0].split())
    assert process.returncode == 0
    assert after - before < 80 * 1024  # KB


def putting(server: ContentServer, port: int, bucket: str, many: int) -> subprocess.Popen[str]:
    """A process that puts so many megabytes, and fetches them into another cache."""
    program = f"""
import resource, sys
from pathlib import Path
from tests.contracts.content_servers import ContentServer

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

server = ContentServer("http://127.0.0.1:{port}", Path({str(server.folder)!r}))
content = server.content({bucket!r})
server.connection({bucket!r}).fault()
before = peak()
kept = content.put(bytes([7]) * (1 << 20) for _ in range({many}))
server.content({bucket!r}, "other").open(kept.sha256).close()
print(before, peak())
"""
    return subprocess.Popen(
        [sys.executable, "-c", program], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )


@contextmanager
def stopping_after(port: int, most: int) -> Iterator[tuple[int, threading.Event]]:
    """A port that forwards so many bytes to the server, and then no more: which is told."""
    reached, left = threading.Event(), [most]

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)) as far:
                threading.Thread(target=back, args=(far, self.request), daemon=True).start()
                while data := self.request.recv(1 << 16):
                    left[0] -= len(data)
                    if left[0] < 0:
                        reached.set()
                        continue
                    far.sendall(data)

    def back(far: socket.socket, near: socket.socket) -> None:
        with suppress(OSError):
            while data := far.recv(1 << 16):
                near.sendall(data)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        try:
            yield int(server.server_address[1]), reached
        finally:
            server.shutdown()
