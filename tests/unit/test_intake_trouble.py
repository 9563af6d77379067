"""Intake when something goes wrong: nothing is lost, nothing is forgotten, and the trouble of one
is the trouble of no other."""

from __future__ import annotations

import errno
import shutil
import sqlite3
import threading
from dataclasses import replace
from datetime import timedelta
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest

from daemon.core.errors import (
    AccessRefused,
    DiskFull,
    LetterGone,
    MailboxError,
    PartUnavailable,
    StoreError,
)
from daemon.core.letter_batch import LetterRequest
from daemon.core.model import DeliveryState, Part, PartState, SightingState, message_id
from daemon.intake.fetch import Fetched
from daemon.intake.ready import ReadyLetters
from daemon.runtime import logs
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from daemon.store.staging import StagingFile
from tests.unit.conftest import NOW, TAX
from tests.unit.memory import MemoryMailbox
from tests.unit.memory_batch import BatchMailbox, MemoryBatch
from tests.unit.polling_two_channels import (
    AWAY,
    OTHER,
    Poll,
    kept,
    new_mailbox,  # noqa: F401  # a fixture
    new_poll,  # noqa: F401  # a fixture
    position,
    seen,
)

WORD = "Oppsigelse"


@pytest.mark.parametrize("error", [AWAY, AccessRefused("no right to this letter")])
def test_a_letter_that_fails_is_tried_again(
    poll: Poll, store: Store, mailbox: MemoryMailbox, error: MailboxError
) -> None:
    """A letter that cannot be fetched is told, remembered and tried again in each round, though the
    listing no longer names it."""
    mailbox.publish("a", requested_at=NOW - timedelta(days=2))
    mailbox.publish("b", requested_at=NOW - timedelta(days=1))
    mailbox.fails["fetch", "a"] = iter([error, error])
    summary = poll()
    assert (summary.stored, summary.problems) == (1, [f"letter a: {error}"])
    assert seen(store, SightingState.FAILING) == {"a": str(error)}
    channel, letter = mailbox.letters.pop("a")
    assert poll().stored == 0
    mailbox.letters["a"] = (OTHER, letter)
    mailbox.boxes = [TAX]
    assert poll().stored == 1
    assert (kept(store), seen(store, SightingState.FAILING)) == ({"a", "b"}, {})
    assert mailbox.asked("fetch").count("a") == 3
    assert channel == TAX


def test_a_letter_that_fails_holds_the_bookmark(
    poll: Poll, store: Store, mailbox: MemoryMailbox
) -> None:
    """The bookmark of a channel does not pass a letter that is missing; other channels' go on."""
    mailbox.publish("a")
    mailbox.publish("b")
    mailbox.publish("c", channel=OTHER)
    mailbox.fails["fetch", "a"] = iter([AWAY])
    poll()
    assert (position(store), position(store, "plan")) == (None, NOW - timedelta(hours=1))
    poll()
    assert position(store) == NOW - timedelta(hours=1)


def test_a_download_that_breaks_fails_the_letter(
    poll: Poll, store: Store, mailbox: MemoryMailbox, tmp_path: Path
) -> None:
    """If the connection breaks in the middle of an attachment, nothing half is stored, and the next
    round has it whole."""
    mailbox.publish("a", b"the whole file", b"another")
    mailbox.fails["open_part", "a/2"] = iter([AWAY])
    assert poll().stored == 0
    assert list((tmp_path / "content" / "tmp").iterdir()) == []
    assert poll().stored == 1
    assert [each.size for each in store.queries.attachments(message_id("altinn", "a"))] == [14, 7]


def test_a_letter_that_is_gone_is_remembered(
    poll: Poll, store: Store, mailbox: MemoryMailbox
) -> None:
    """A letter that was removed is told once, never asked for again, and holds no bookmark."""
    mailbox.publish("a")
    mailbox.publish("b")
    mailbox.fails["fetch", "a"] = repeat(LetterGone("the sender removed it"))
    summary = poll()
    assert (summary.gone, summary.stored, summary.problems) == (1, 1, [])
    assert seen(store, SightingState.GONE) == {"a": "the sender removed it"}
    assert position(store) == NOW - timedelta(hours=1)
    mailbox.look_back = timedelta(days=1)
    assert (poll().gone, mailbox.asked("fetch").count("a")) == (0, 1)


@pytest.mark.parametrize(
    "fault",
    [KeyError("title"), ValueError("x"), AttributeError("x"), TimeoutError("x")],
    ids=lambda e: type(e).__name__,
)
@pytest.mark.parametrize(
    "where", [("fetch", "a"), ("open_part", "a/1")], ids=["fetch", "open_part"]
)
def test_a_fault_of_the_connector_concerns_one_letter(
    poll: Poll,
    store: Store,
    mailbox: MemoryMailbox,
    logged: list[Any],
    fault: Exception,
    where: tuple[str, str],
) -> None:
    """A letter that the connector stumbles over is told and tried again; all others come; the log
    has the fault."""
    mailbox.publish("a", b"a file")
    mailbox.publish("b", b"a file")
    mailbox.fails[where] = iter([fault])
    summary = poll()
    assert (kept(store), summary.problems) == (
        {"b"},
        [f"letter a: unexpected {type(fault).__name__} in the connector; see the log"],
    )
    assert [
        (line["external_id"], line["exc_info"]) for line in logged if line["log_level"] == "error"
    ] == [("a", True)]
    assert poll().stored == 1


@pytest.mark.parametrize(
    "change",
    [
        {"published_at": NOW.replace(tzinfo=None)},
        {"properties": {"when": NOW}},
        {"external_id": "A"},
    ],
    ids=["a time without a zone", "no JSON", "another letter's id"],
)
def test_a_letter_that_cannot_be_kept_concerns_itself(
    poll: Poll, store: Store, mailbox: MemoryMailbox, change: dict[str, Any]
) -> None:
    """What a connector must not say of a letter, and a store cannot keep, is that letter's trouble
    and stops no other."""
    mailbox.publish("a", b"a file")
    mailbox.publish("b", b"a file")
    mailbox.twists["a"] = change
    summary = poll()
    assert kept(store) == {"b"}
    assert len(summary.problems) == 1


def test_what_the_connector_stumbled_over_is_not_logged(
    poll: Poll, mailbox: MemoryMailbox, capsys: pytest.CaptureFixture[str]
) -> None:
    """The log of a letter that could not be understood has no word of the letter."""
    logs.configure()
    mailbox.publish("a")
    mailbox.twists["a"] = {"title": [WORD]}
    poll()
    told = capsys.readouterr().err
    assert "ValidationError" in told
    assert WORD not in told


@pytest.mark.parametrize(
    "state",
    [
        PartState.EXPIRED,
        PartState.PURGED,
        PartState.SCAN_FAILED,
        PartState.EXTERNAL,
        PartState.UNAVAILABLE,
    ],
)
@pytest.mark.parametrize("told_at", ["list", "download"])
def test_a_part_that_cannot_be_had_holds_nothing_back(
    poll: Poll, store: Store, mailbox: MemoryMailbox, state: PartState, told_at: str
) -> None:
    """A letter comes without the attachment that cannot be had; which and why is kept with it."""
    mailbox.publish("a", b"gone away", b"is here")
    if told_at == "list":
        channel, letter = mailbox.letters["a"]
        missing = Part(external_id="a/1", original_name="x.pdf", state=state)
        mailbox.letters["a"] = (channel, replace(letter, parts=(missing, letter.parts[1])))
    else:
        mailbox.fails["open_part", "a/1"] = repeat(
            PartUnavailable("it cannot be had", state=state.value)
        )
    assert poll().stored == 1
    assert poll().fetched == 0
    attachments = store.queries.attachments(message_id("altinn", "a"))
    assert [(each.state, each.size, each.sha256 is None) for each in attachments] == [
        (state, None, True),
        (PartState.PRESENT, 7, False),
    ]
    assert len(mailbox.asked("open_part")) == (1 if told_at == "list" else 2)


def test_stopping_early(
    poll: Poll, store: Store, mailbox: MemoryMailbox, stopping: threading.Event
) -> None:
    """When asked to stop, intake keeps what is under way, begins nothing more, and leaves the
    bookmark; the next round has the rest."""
    for number in range(40):
        mailbox.publish(f"a{number}")
    mailbox.during = lambda verb, _: stopping.set() if verb == "fetch" else None
    summary = poll()
    assert 1 <= summary.stored <= 8
    assert (summary.problems, position(store), seen(store, SightingState.FAILING)) == ([], None, {})
    stopping.clear()
    mailbox.during = lambda *_: None
    assert poll().stored == 40 - summary.stored
    assert position(store) == NOW - timedelta(hours=1)


@pytest.mark.parametrize("how", ["file", "gone"])
def test_a_content_folder_that_is_lost_ends_the_round(
    poll: Poll, store: Store, mailbox: MemoryMailbox, tmp_path: Path, how: str
) -> None:
    """If bytes cannot be kept, the round ends with that error, nothing is stored that lacks them,
    and it does not hang."""
    for number in range(30):
        mailbox.publish(f"a{number}", b"a file")
    shutil.rmtree(tmp_path / "content")
    if how == "file":
        (tmp_path / "content").write_text("")
    with pytest.raises(StoreError, match=str(tmp_path / "content")):
        poll()
    assert (kept(store), seen(store, SightingState.FAILING), position(store)) == (set(), {}, None)


def test_a_database_that_is_lost_ends_the_round_soon(
    poll: Poll, mailbox: MemoryMailbox, database: Path
) -> None:
    """If letters cannot be kept, the round ends with that error, and does not first fetch all the
    others."""
    for number in range(3000):
        mailbox.publish(f"a{number}")

    def break_it(verb: str, what: str) -> None:
        if (verb, what) == ("fetch", "a0"):
            with sqlite3.connect(database) as connection:
                connection.execute("ALTER TABLE messages RENAME TO lost")
            connection.close()

    mailbox.during = break_it
    with pytest.raises(StoreError):
        poll()
    assert len(mailbox.asked("fetch")) < 3000


def test_a_crash_before_the_commit_repeats_the_letter(
    poll: Poll, store: Store, mailbox: MemoryMailbox, tmp_path: Path
) -> None:
    """Bytes that were kept before a crash are found again, and the letter comes under the same
    ids."""
    mailbox.publish("a", b"a file")
    ContentFolder(tmp_path / "content").put([b"a file"])
    assert poll().stored == 1
    (delivery,) = store.queries.deliveries()
    assert (delivery.message_id, delivery.state) == (
        message_id("altinn", "a"),
        DeliveryState.PENDING,
    )


@pytest.mark.parametrize(
    "odd",
    [{"altinn2_id": 2**70}, {"title": "a\0"}, {"properties": {"\ud800": float("nan")}}],
    ids=["number", "NUL", "half"],
)
def test_a_mailbox_that_lets_everything_through(
    poll: Poll, store: Store, mailbox: MemoryMailbox, odd: dict[str, Any]
) -> None:
    """What a mailbox should have seen to is seen to before the letter is stored: it comes once, and
    as whole as it can be."""
    mailbox.publish("a", b"x", **odd)
    mailbox.publish("b", b"x")
    assert (poll().stored, poll().fetched) == (2, 0)
    assert store.queries.message("a").altinn2_id is None


def test_a_letter_that_got_lost_on_the_way_is_accounted_for(
    poll: Poll, store: Store, mailbox: MemoryMailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A letter that was listed, and that a fault of ours neither stored nor noted, gets a reason,
    so that `status` shows it; and it is fetched when the fault is gone."""
    for name in ("a", "b"):
        mailbox.publish(name)
    put = ReadyLetters.put

    def forgetful(ready: ReadyLetters, found: Fetched | Exception) -> None:
        if isinstance(found, Fetched) and found.ref.external_id == "b":
            found = Fetched(ref=found.ref)
        put(ready, found)

    monkeypatch.setattr(ReadyLetters, "put", forgetful)
    summary = poll()
    assert (summary.listed, kept(store)) == (2, {"a"})
    assert "accounted for" in str(seen(store, SightingState.FAILING)["b"])
    assert any(each.startswith("letter b: ") for each in summary.problems)
    monkeypatch.undo()
    poll()
    assert (kept(store), seen(store, SightingState.FAILING)) == ({"a", "b"}, {})


def test_a_disk_that_fills_up_keeps_no_half_file(
    poll: Poll, mailbox: MemoryMailbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A full disk ends the round, and what was written of letters that are not stored is removed:
    the service goes on, and would fill the disk with each round."""
    mailbox.publish("a", b"whole", b"and half of it")
    mailbox.publish("b", b"another")
    write = StagingFile.write

    def fills_up(file: StagingFile, chunk: bytes) -> None:
        write(file, chunk)
        if file._size > 9:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(StagingFile, "write", fills_up)
        with pytest.raises(DiskFull):
            poll()
    assert list((tmp_path / "content" / "tmp").iterdir()) == []
    assert poll().stored == 2


def test_a_batch_that_forgets_a_call(
    poll: Poll, store: Store, mailbox: MemoryMailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call without an answer holds up nothing: the round ends, and its letter is noted."""
    mailbox.publish("a")
    mailbox.publish("b")
    add = MemoryBatch.add

    def forgetful(batch: MemoryBatch, call: LetterRequest) -> None:
        if call.ref.external_id != "b":
            add(batch, call)

    monkeypatch.setattr(MemoryBatch, "add", forgetful)
    poll()
    wanted = {"a"} if isinstance(mailbox, BatchMailbox) else {"a", "b"}
    assert (kept(store), set(seen(store, SightingState.FAILING))) == (wanted, {"a", "b"} - wanted)
