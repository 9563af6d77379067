"""Bytes that no letter needs are removed, and never those that a letter needs again in that moment,
whichever node removes and whichever stores."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from daemon.core.errors import ContentMissing
from daemon.core.model import AttachmentValues
from daemon.store import Store, StoredLetter
from daemon.store.content_folder import ContentFolder
from tests.unit.conftest import NOW, Clock, sha256, stored_letter
from tests.unit.test_retention import keeper

pytestmark = pytest.mark.both_databases

LATER = NOW + timedelta(days=400_000)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def other(store: Store, database_url: str) -> Iterator[Store]:
    """The store as another node has it, or another process."""
    found = Store(database_url)
    yield found
    found.close()


def letter_with(name: str, data: bytes) -> StoredLetter:
    """A letter with one attachment."""
    letter = stored_letter(name)
    (first, *_) = letter.attachments
    values = AttachmentValues(
        **{**first.model_dump(), "sha256": sha256(data), "size": len(data), "position": 1}
    )
    object.__setattr__(letter, "attachments", [values])
    return letter


def test_a_letter_that_comes_while_its_bytes_go(
    store: Store, other: Store, content: ContentFolder
) -> None:
    """A letter whose bytes another node is removing, or has removed since they were stored, is not
    stored; with its bytes stored again it is, and they stay."""
    content.put([b"pdf"])
    assert store.removals.begin([sha256(b"pdf")], NOW) == [sha256(b"pdf")]
    letter = letter_with("a", b"pdf")
    added = other.letters.add([letter, letter_with("b", b"others")], has=content.has)
    assert added.lacking == {letter.message.id}
    assert [each.message.external_id for each in added.new] == ["b"]
    assert content.remove(sha256(b"pdf"), LATER)
    assert other.letters.add([letter], has=content.has).lacking
    store.removals.end([sha256(b"pdf")], NOW)
    assert other.letters.add([letter], has=content.has).lacking
    content.put([b"pdf"])
    assert not other.letters.add([letter], has=content.has).lacking
    assert store.removals.begin([sha256(b"pdf")], NOW) == []
    assert not store.removals.under_way()


def test_bytes_that_stayed(store: Store, content: ContentFolder) -> None:
    """Bytes that were to be removed and are still there can be needed again at once."""
    content.put([b"pdf"])
    store.removals.begin([sha256(b"pdf")], NOW)
    store.removals.end([sha256(b"pdf")], NOW)
    assert not store.letters.add([letter_with("a", b"pdf")], has=content.has).lacking


def test_an_attachment_that_comes_later(store: Store, content: ContentFolder) -> None:
    """What is fetched for a letter that is stored already waits for a removal, too."""
    letter = letter_with("a", b"pdf")
    store.letters.add([letter], has=content.has)
    values = letter.attachments[0].model_copy(update={"sha256": sha256(b"new")})
    content.put([b"new"])
    store.removals.begin([sha256(b"new")], NOW)
    with pytest.raises(ContentMissing, match=f"{sha256(b'new')}.*fetch it again"):
        store.missing_files.came(values, NOW, content.has)
    with pytest.raises(ContentMissing):
        store.attachments.complete([values], NOW, content.has)


@pytest.mark.both_databases
def test_one_removes_at_a_time(store: Store, other: Store) -> None:
    """What one node has begun to remove, no other does, until it has certainly ended. Where there
    is one process at a time, the next goes on at once."""
    hashes = [sha256(b"a"), sha256(b"b")]
    assert store.removals.begin(hashes, NOW) == sorted(hashes)
    if not store.is_shared:
        assert list(other.removals.abandoned(NOW)) == sorted(hashes)
        assert other.removals.begin(hashes, NOW) == sorted(hashes)
        return
    assert other.removals.begin(hashes, NOW + MINUTE) == []
    assert list(other.removals.abandoned(NOW + MINUTE)) == []
    assert list(other.removals.abandoned(NOW + 11 * MINUTE)) == sorted(hashes)
    assert other.removals.begin(hashes, NOW + 11 * MINUTE) == sorted(hashes)


def test_a_removal_that_was_killed(store: Store, content: ContentFolder, clock: Clock) -> None:
    """The next run goes on with it, and says what it removed; then the letter can come."""
    kept = content.put([b"pdf"])
    long_ago = (NOW - timedelta(days=3)).timestamp()
    os.utime(content.path(kept.sha256), (long_ago, long_ago))
    store.removals.begin([kept.sha256], NOW - timedelta(hours=1))
    done = keeper(store, content, clock).run("test", threading.Event())
    assert (done.files, done.bytes) == (1, 3)
    assert not store.removals.under_way()
    content.put([b"pdf"])
    assert not store.letters.add([letter_with("a", b"pdf")], has=content.has).lacking


def test_storing_and_removing_at_once(store: Store, other: Store, tmp_path: Path) -> None:
    """Two nodes, one of which removes whatever it finds that no letter needs, at any age, while the
    other stores letters: no letter that is stored lacks its bytes, and all are stored."""
    removing, storing = (ContentFolder(tmp_path / "shared", "", node) for node in ("a", "b"))
    data = [b"letter %d" % number for number in range(150)]
    hashes = [sha256(each) for each in data]
    stop = threading.Event()

    def remove() -> None:
        while not stop.is_set():
            for start in range(0, len(hashes), 10):
                some = store.removals.begin(hashes[start : start + 10], NOW)
                for each in some:
                    removing.remove(each, LATER)
                store.removals.end(some, NOW)

    thread = threading.Thread(target=remove)
    thread.start()
    try:
        for number, each in enumerate(data):
            letter = letter_with(str(number), each)
            while True:
                storing.put([each])
                if not other.letters.add([letter], has=storing.has).lacking:
                    break
    finally:
        stop.set()
        thread.join()
    assert [each for each in hashes if storing.fault(each)] == []
    assert store.queries.counts().messages == len(data)
