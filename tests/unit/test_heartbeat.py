"""Who turns and who hangs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from daemon.core.model import LetterRef
from daemon.core.ports import Mailbox, TellsPublishing
from daemon.runtime.heartbeat import (
    LOOP_TIMEOUT,
    TASK_TIMEOUT,
    Heartbeats,
    mailbox_with_heartbeat,
    with_heartbeat,
)
from tests.unit.conftest import NOW, TAX
from tests.unit.memory import MemoryMailbox


class Clock:
    """A clock that a test turns."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_thread_that_says_nothing_hangs() -> None:
    """A loop without a heartbeat is named; its next heartbeat clears it."""
    clock = Clock()
    heartbeats = Heartbeats(clock)
    heartbeats.beat("outbox")
    clock.now = LOOP_TIMEOUT + 1
    assert heartbeats.stalled() == ["outbox"]
    heartbeats.beat("outbox")
    assert heartbeats.stalled() == []


def test_a_thread_that_rests_does_not_hang() -> None:
    """Who waits for an hour, and said so, is well until that hour is over."""
    clock = Clock()
    heartbeats = Heartbeats(clock)
    heartbeats.beat_for_wait("poll altinn", 3600)
    clock.now = 3600 + LOOP_TIMEOUT - 1
    assert heartbeats.stalled() == []
    clock.now += 2
    assert heartbeats.stalled() == ["poll altinn"]


def test_a_long_healthy_delivery_does_not_hang(tmp_path: Path) -> None:
    """A delivery that goes on reading its letter is well however long it takes; one that stands
    still has hung."""
    clock = Clock()
    heartbeats = Heartbeats(clock)
    (tmp_path / "part").write_bytes(b"x" * 5 * 1024 * 1024)
    with (
        heartbeats.task("delivery") as beat,
        with_heartbeat((tmp_path / "part").open("rb", buffering=0), beat) as file,
    ):
        while file.read(1024 * 1024):
            clock.now += TASK_TIMEOUT - 1
            assert heartbeats.stalled() == []
        clock.now += TASK_TIMEOUT + 1
        assert heartbeats.stalled() == ["delivery"]
    assert heartbeats.stalled() == []


def test_a_watched_file_is_the_file(tmp_path: Path) -> None:
    """Bytes, places and ends are those of the file itself."""
    content = bytes(range(256)) * 9000
    (tmp_path / "part").write_bytes(content)
    with with_heartbeat((tmp_path / "part").open("rb", buffering=0), lambda: None) as file:
        assert file.read() == content
        assert file.seek(256 * 4000 + 7) == 256 * 4000 + 7
        assert file.read(3) == b"\x07\x08\x09"
        assert file.tell() == 256 * 4000 + 10


@dataclass
class Dated(MemoryMailbox):
    """A mailbox that can tell when a letter was published."""

    def published(self, ref: LetterRef) -> datetime:
        """When the letter came."""
        return self.letters[ref.external_id][1].envelope.published_at


def every_call(mailbox: Mailbox, ref: LetterRef) -> list[Any]:
    """What a mailbox answers to each call that polls and marks make."""
    part = mailbox.fetch(ref).parts[0]
    with mailbox.open_part(ref, part) as chunks:
        content = list(chunks)
    mailbox.mark_read(ref)
    mailbox.confirm(ref)
    found = [
        mailbox.name,
        mailbox.channels(),
        mailbox.earliest(TAX, NOW, NOW),
        mailbox.list(TAX, None),
        part,
        content,
        mailbox.confirmed(ref),
        list(mailbox.check()),
    ]
    mailbox.close()
    return found


def test_a_mailbox_with_heartbeats_is_the_mailbox() -> None:
    """Every call and every chunk of an attachment is answered as before, and sends a heartbeat."""
    beats: list[None] = []
    mailbox = Dated()
    ref = mailbox.publish("a", b"seven b")
    watched = mailbox_with_heartbeat(mailbox, lambda: beats.append(None))
    assert every_call(watched, ref) == every_call(mailbox, ref)
    assert (mailbox.told_read, mailbox.told_confirmed, mailbox.closed) == (
        ["a"] * 2,
        ["a"] * 2,
        True,
    )
    assert len(beats) == 9 + 3  # nine calls beside the stream, and its three chunks
    assert isinstance(watched, TellsPublishing)
    assert watched.published(ref) == mailbox.published(ref)


def test_it_can_do_no_more_than_the_mailbox() -> None:
    """A mailbox that cannot tell when a letter was published is not made to look as if it could."""
    watched = mailbox_with_heartbeat(MemoryMailbox(), lambda: None)
    assert not isinstance(watched, TellsPublishing)
