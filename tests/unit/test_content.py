"""The content store: durable, named by hash, and never whole in memory."""

from __future__ import annotations

import errno
import os
import tracemalloc
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from daemon.core.batch_sync import BatchSync
from daemon.core.errors import ContentMissing, DiskFull, MailboxUnavailable, StoreError
from daemon.store.content_folder import ContentFolder
from daemon.store.staging import Kept
from tests.unit.conftest import md5, sha256

MEGABYTE = 1 << 20


def files(folder: Path) -> list[Path]:
    """Every file under the folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the content is."""
    return tmp_path / "content"


def test_bytes_are_kept_under_their_hash(content: ContentFolder, folder: Path) -> None:
    """What comes in pieces is kept as one file that is named by its SHA-256, with the hashes and
    the size told."""
    assert content.put([b"one ", b"", b"two"]) == Kept(
        sha256=sha256(b"one two"), md5=md5(b"one two"), size=7
    )
    assert [path.name for path in files(folder)] == [sha256(b"one two")]
    with content.open(sha256(b"one two")) as file:
        assert file.read() == b"one two"


def test_an_empty_file_is_a_file(content: ContentFolder) -> None:
    """An attachment without a byte is kept like any other."""
    kept = content.put([])
    assert kept.size == 0
    with content.open(kept.sha256) as file:
        assert file.read() == b""


def test_the_same_bytes_are_kept_once(content: ContentFolder, folder: Path) -> None:
    """Keeping the same bytes again writes nothing and tells the same; the file counts as wanted
    from then on."""
    first = content.put([b"same"])
    (path,) = files(folder)
    before = path.stat()
    assert content.put([b"sa", b"me"]) == first
    assert [(each, each.stat().st_ino) for each in files(folder)] == [(path, before.st_ino)]
    assert path.stat().st_mtime_ns > before.st_mtime_ns


def test_several_keep_the_same_bytes_at_once(content: ContentFolder, folder: Path) -> None:
    """Threads that keep the same and different bytes at a time do not disturb each other."""
    with ThreadPoolExecutor(8) as pool:
        kept = list(
            pool.map(lambda number: content.put([b"x" * 1000, bytes([number % 4])]), range(64))
        )
    assert len({each.sha256 for each in kept}) == len(files(folder)) == 4


@pytest.mark.parametrize(
    "error",
    [
        MailboxUnavailable("cut off"),
        ConnectionResetError("cut off"),
        KeyError("x"),
        KeyboardInterrupt(),
    ],
    ids=lambda e: type(e).__name__,
)
def test_a_download_that_breaks_leaves_nothing(
    content: ContentFolder, folder: Path, error: BaseException
) -> None:
    """If the bytes stop coming, whatever the reason, that reason is passed on and no file
    remains."""

    def chunks() -> Iterator[bytes]:
        yield b"some"
        raise error

    with pytest.raises(type(error)) as caught:
        content.put(chunks())
    assert caught.value is error
    assert files(folder) == []


def test_nobody_else_reads_the_content(content: ContentFolder, folder: Path) -> None:
    """Folders and files are for the service's user alone, whatever the umask."""
    before = os.umask(0o022)
    try:
        fresh = ContentFolder(folder / "new" / "store")
        fresh.put([b"x"])
    finally:
        os.umask(before)
    modes = {
        path.relative_to(folder): path.stat().st_mode & 0o777
        for path in (folder / "new" / "store").rglob("*")
    }
    assert all(
        mode == (0o700 if (folder / path).is_dir() else 0o600) for path, mode in modes.items()
    )
    assert (folder / "new" / "store").stat().st_mode & 0o777 == 0o700


def test_a_large_file_is_never_whole_in_memory(content: ContentFolder) -> None:
    """Two hundred megabytes pass through less than eight."""
    tracemalloc.start()
    try:
        kept = content.put(bytes([number]) * MEGABYTE for number in range(200))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept.size == 200 * MEGABYTE
    assert peak < 8 * MEGABYTE


def test_leftovers_are_removed_and_nothing_else(content: ContentFolder, folder: Path) -> None:
    """What a killed process left half-written goes; what is kept stays."""
    kept = content.put([b"kept"])
    (folder / "tmp" / "half").write_bytes(b"ha")
    content.remove_temporaries()
    assert [path.name for path in files(folder)] == [kept.sha256]


def test_content_that_is_missing(content: ContentFolder) -> None:
    """Bytes that ought to be there and are not are told by their hash, and what to do; it is the
    trouble of one letter only."""
    with pytest.raises(ContentMissing, match=sha256(b"gone") + ".* backup"):
        content.open(sha256(b"gone"))


def test_a_store_that_finds_content_of_another_process(
    content: ContentFolder, folder: Path
) -> None:
    """What one process kept, the next one has."""
    kept = content.put([b"x"])
    with ContentFolder(folder).open(kept.sha256) as file:
        assert file.read() == b"x"


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A file in the place of the folder is told, with its path."""
    (tmp_path / "content").write_text("")
    with pytest.raises(StoreError, match=str(tmp_path / "content")):
        ContentFolder(tmp_path / "content")


@pytest.mark.parametrize("broken", ["tmp", "final"])
def test_a_folder_that_is_lost(content: ContentFolder, folder: Path, broken: str) -> None:
    """A folder that is no longer what it was makes keeping fail, and not pretend."""
    place = folder / "tmp" if broken == "tmp" else folder / sha256(b"x")[:2]
    if place.exists():
        place.rmdir()
    place.write_text("")
    with pytest.raises(StoreError, match=str(folder)) as caught:
        content.put([b"x"])
    assert not isinstance(caught.value, DiskFull)


def test_a_full_disk(content: ContentFolder, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full is told from one that is broken, and what did not fit is removed."""
    make = os.open

    def make_full(path: str, flags: int, mode: int = 0o777) -> int:
        descriptor = make(path, flags, mode)
        if flags & os.O_CREAT:
            os.dup2(full, descriptor)
        return descriptor

    full = make("/dev/full", os.O_WRONLY)
    monkeypatch.setattr(os, "open", make_full)
    with pytest.raises(DiskFull, match=str(folder)):
        content.put([b"x" * MEGABYTE])
    os.close(full)
    assert files(folder) == []


def test_what_is_discarded_leaves_nothing(content: ContentFolder, folder: Path) -> None:
    """Bytes that were staged for a letter which is not stored after all do not stay."""
    staged = [content.stage([b"one"]), content.stage([b"two"])]
    assert len(files(folder)) == 2
    content.discard(staged)
    assert files(folder) == []


def test_staged_together_published_together(content: ContentFolder, folder: Path) -> None:
    """Many files get their names at once, the same bytes one name; nothing temporary stays, and
    their first bytes are known without reading them again."""
    data = [bytes([number % 9]) * 20_000 for number in range(40)]
    staged = [content.stage([each]) for each in data]
    assert [each.head for each in staged] == [each[:8192] for each in data]
    content.publish(staged)
    assert [path.name for path in files(folder)] == sorted({sha256(each) for each in data})


def test_a_failed_write_concerns_all_that_is_staged(
    content: ContentFolder, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system reports once that something could not be written, to whoever asks first: nothing
    that was staged before is published then, and what is staged later is."""
    before = content.stage([b"staged before"])
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", failing(errno.EIO))
        with pytest.raises(StoreError, match="Input/output error"):
            content.put([b"reported"])
    with pytest.raises(StoreError, match="cannot be written"):
        content.publish([before])
    assert files(folder) == []
    assert content.put([b"later"]).size == 5


def failing(number: int) -> Callable[[int], None]:
    """A system call that fails."""

    def fails(_: int) -> None:
        raise OSError(number, os.strerror(number))

    return fails


def test_new_folders_are_durable_by_the_sync_of_the_batch(
    content: ContentFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes that are published together share one sync for all of their folders and for the one
    that these are in; that one is not synced again for folders that are durable."""
    synced: list[set[str]] = []
    whole = BatchSync.sync_paths

    def noting(self: BatchSync, root: int, paths: Collection[str]) -> None:
        synced.append({Path(each).name for each in paths})
        whole(self, root, paths)

    monkeypatch.setattr(BatchSync, "sync_paths", noting)
    content.publish([content.stage([bytes([number])]) for number in range(40)])
    _, folders = synced
    top = content.path("ab" * 32).parent.parent.name
    assert top in folders
    assert len(folders) > 20
    content.publish([content.stage([bytes([number])]) for number in range(40)])
    assert synced[3] == folders - {top}
