"""What every content store keeps: a folder, a folder that nodes share, and a bucket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from daemon.core.errors import ContentMissing
from daemon.store.content import ContentStore
from daemon.store.content_bucket import ContentBucket
from daemon.store.content_folder import ContentFolder
from daemon.store.staging import Kept
from tests.contracts.content_servers import ContentServer
from tests.contracts.drop_servers import s3_server
from tests.unit.conftest import md5, sha256

GONE = sha256(b"gone")
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
Opened = Callable[[str], ContentStore]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with s3_server() as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(params=["folder", "shared folder", "bucket"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opened:
    """Opens the same content store for a node, which a folder of one machine does not ask for."""
    if request.param == "bucket":
        servers = ContentServer(request.getfixturevalue("server"), tmp_path)
        bucket = servers.bucket()
        return lambda node: servers.content(bucket, node)
    shared = request.param == "shared folder"
    return lambda node: ContentFolder(tmp_path / "content", "", node if shared else None)


@pytest.fixture
def content(opened: Opened) -> ContentStore:
    return opened("a")


def read(content: ContentStore, wanted: str) -> bytes:
    with content.open(wanted) as file:
        return file.read()


@pytest.mark.parametrize("data", [b"", b"one two", b"x" * (9 << 20)], ids=["none", "few", "many"])
def test_bytes_are_kept_under_their_hash(opened: Opened, data: bytes) -> None:
    """What comes in pieces is kept under its SHA-256, with hashes and size told, and every node
    has it; nothing temporary stays."""
    content = opened("a")
    middle = len(data) // 2
    kept = content.put([data[:middle], b"", data[middle:]])
    assert kept == Kept(sha256=sha256(data), md5=md5(data), size=len(data))
    for node in ("a", "b"):
        assert read(opened(node), kept.sha256) == data
        assert opened(node).beginning(kept.sha256, 4) == data[:4]
        with opened(node).local_file(kept.sha256) as path:
            assert path.read_bytes() == data
    assert content.kept(kept.sha256[:2]) == {kept.sha256}
    assert content.has(kept.sha256)
    assert content.fault(kept.sha256) == ""


def test_content_that_is_missing(content: ContentStore) -> None:
    """Bytes that ought to be there and are not are told by their hash and their place; it is the
    trouble of one letter only."""
    assert not content.has(GONE)
    assert content.fault(GONE) == "missing"
    assert content.kept(GONE[:2]) == set()
    with pytest.raises(ContentMissing, match=f"{GONE}.*{content.place}.*backup"):
        content.open(GONE)
    with pytest.raises(ContentMissing), content.local_file(GONE):
        pass
    with pytest.raises(ContentMissing):
        content.beginning(GONE, 4)


@pytest.mark.parametrize("size", [1, 9 << 20], ids=["small", "large"])
def test_damaged_bytes_are_replaced_by_the_same_letter(content: ContentStore, size: int) -> None:
    """Bytes that were damaged where they lie, and are as many as before, are replaced when they
    come again; those that are whole stay as they are."""
    data = b"r" * size
    kept = content.put([data]).sha256
    for damaged in (b"w" * size, b""):
        if isinstance(content, ContentFolder):
            content.path(kept).write_bytes(damaged)
        else:
            assert isinstance(content, ContentBucket)
            content._objects.put(f"{kept[:2]}/{kept}", damaged)
        assert content.fault(kept) == "damaged"
        assert content.put([data]).sha256 == kept
        assert content.fault(kept) == ""
        assert read(content, kept) == data


def test_eight_put_the_same_at_once(opened: Opened) -> None:
    """Threads of two nodes that put the same bytes, and others, do not disturb each other."""
    nodes = [opened("a"), opened("b")]
    with ThreadPoolExecutor(8) as pool:
        kept = list(
            pool.map(
                lambda number: nodes[number % 2].put([b"x" * 1000, bytes([number % 3])]), range(24)
            )
        )
    wanted = {each.sha256 for each in kept}
    assert len(wanted) == 3
    for node in nodes:
        assert [node.fault(each) for each in wanted] == ["", "", ""]


def test_together(content: ContentStore) -> None:
    """Many files are published at once, the same bytes once, and what is discarded leaves
    nothing."""
    data = [bytes([number % 9]) * 2000 for number in range(20)]
    content.publish([content.stage([each]) for each in data])
    assert all(content.has(sha256(each)) for each in data)
    content.discard([content.stage([b"not wanted"])])
    assert not content.has(sha256(b"not wanted"))


def test_what_breaks_leaves_nothing(content: ContentStore) -> None:
    """If the bytes stop coming, the reason is passed on and nothing has their name."""

    def chunks() -> Iterator[bytes]:
        yield b"some"
        raise KeyError("x")

    with pytest.raises(KeyError):
        content.put(chunks())
    assert content.kept(sha256(b"some")[:2]) == set()


def test_removal_by_age(opened: Opened) -> None:
    """Bytes that were stored after the time that is named stay; older ones go, once, with their
    size told, and no node has them any more."""
    content = opened("a")
    wanted = content.put([b"old"]).sha256
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert not content.is_older(wanted, LONG_AGO)
    assert content.remove(wanted, LONG_AGO) == 0
    assert content.is_older(wanted, tomorrow)
    assert content.remove(wanted, tomorrow) == 3
    assert content.remove(wanted, tomorrow) == 0
    assert not content.is_older(wanted, tomorrow)
    assert not opened("b").has(wanted)
    with pytest.raises(ContentMissing):
        content.open(wanted)
    assert content.put([b"old"]).sha256 == wanted  # and can come again
    assert read(content, wanted) == b"old"


def test_readers_and_removal_exclude_each_other(content: ContentStore) -> None:
    """While somebody reads all of it, nobody may remove, and the other way round."""
    with content.guarded(alone=False), content.guarded(alone=True) as alone:
        assert not alone
    with content.guarded(alone=True) as alone:
        assert alone


def test_leftovers_of_other_writers_stay(opened: Opened) -> None:
    """What a killed process left half-written goes at its node's next start, and what another node
    is writing stays, and can be published."""
    ours, theirs = opened("a"), opened("b")
    if isinstance(ours, ContentFolder) and not (Path(ours.place) / "tmp" / "a").exists():
        pytest.skip("a folder of one machine has one node")
    ours.stage([b"killed"])
    staged = theirs.stage([b"under way"])
    ours.remove_temporaries()
    theirs.publish([staged])
    assert read(ours, sha256(b"under way")) == b"under way"
    assert not ours.has(sha256(b"killed"))
