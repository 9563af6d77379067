"""Intake when all goes well: everything comes once, whole, and where it should."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from daemon.core.model import (
    DeliveryState,
    MarkKind,
    MarkState,
    Part,
    PartState,
    Policy,
    delivery_id,
    message_id,
)
from daemon.intake.new_letter import MarkPolicies
from daemon.intake.poll import IntakeSummary
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from daemon.store.staging import Staged
from tests.at_a_time import AtATime
from tests.unit.conftest import (
    DESTINATIONS,
    NOW,
    TABLE,
    TABLE_TEXT,
    TAX,
    Clock,
    md5,
    newest_decision,
    sha256,
    table_of,
)
from tests.unit.memory import MemoryMailbox
from tests.unit.memory_batch import BatchMailbox
from tests.unit.polling import Poll, new_mailbox, new_poll  # noqa: F401  # a fixture

OTHER = replace(TAX, service="4255/1", resource="plan")


def position(store: Store, mailbox: MemoryMailbox) -> datetime | None:
    """How far the first channel has been read."""
    return store.bookmarks.of_channel(mailbox.name, mailbox.boxes[0]).position


def test_a_letter_comes_whole(
    poll: Poll, store: Store, content: ContentFolder, mailbox: MemoryMailbox
) -> None:
    """A letter is stored with its attachments' bytes, the route that decided and a delivery for
    each destination."""
    ref = mailbox.publish("a", b"first file", b"second", title="Skatt for 2026")
    summary = poll()
    assert (summary.listed, summary.fetched, summary.stored, summary.problems) == (1, 1, 1, [])
    letter = store.queries.message("a")
    assert (letter.id, letter.ref, letter.title, letter.fetched_at) == (
        message_id("altinn", "a"),
        ref,
        "Skatt for 2026",
        NOW,
    )
    decision = newest_decision(store, "a")
    assert (decision.number, decision.route, decision.recipients, decision.routing_version) == (
        1,
        "Skatt",
        ["regnskap"],
        TABLE.version,
    )
    attachments = store.queries.attachments(letter.id)
    assert [(each.position, each.safe_name, each.size, each.state) for each in attachments] == [
        (1, "001-vedlegg-1.pdf", 10, PartState.PRESENT),
        (2, "002-vedlegg-2.pdf", 6, PartState.PRESENT),
    ]
    with content.open(attachments[0].sha256 or "") as file:
        assert file.read() == b"first file"
    deliveries = store.queries.deliveries(message_id=letter.id)
    assert {each.id for each in deliveries} == {
        delivery_id(letter.id, name, 1) for name in DESTINATIONS
    }
    assert {(each.state, each.due_at, tuple(each.recipients)) for each in deliveries} == {
        (DeliveryState.PENDING, NOW, ("regnskap",))
    }


def test_everything_comes_once(poll: Poll, store: Store, mailbox: MemoryMailbox) -> None:
    """All letters of all channels come in one round, and the next round fetches nothing."""
    mailbox.boxes = [TAX, OTHER]
    for number in range(120):
        mailbox.publish(f"a{number}", b"x", channel=mailbox.boxes[number % 2])
    assert (poll().stored, store.queries.counts().messages) == (120, 120)
    again = poll()
    assert (again.listed, again.fetched, again.stored) == (120, 0, 0)
    assert sorted(mailbox.asked("fetch")) == sorted(set(mailbox.letters))


def test_a_letter_is_stored_before_anything_is_told(
    poll: Poll, store: Store, mailbox: MemoryMailbox
) -> None:
    """Fetching is not reading: whatever the policy, intake itself tells the sender nothing."""
    mailbox.publish("a", b"x")
    poll(MarkPolicies(read=Policy.STORED, confirmed=Policy.STORED))
    assert {verb for verb, _ in mailbox.calls} == {"list", "fetch", "open_part"}


def test_a_letter_in_two_channels_comes_once(
    poll: Poll, store: Store, mailbox: MemoryMailbox
) -> None:
    """A letter that is listed twice in one round is fetched once."""
    mailbox.boxes = [TAX, TAX]
    mailbox.publish("a")
    assert (poll().stored, mailbox.asked("fetch")) == (1, ["a"])


def test_the_bookmark_is_the_newest_letter(
    poll: Poll, store: Store, mailbox: MemoryMailbox
) -> None:
    """A round that stored everything moves the bookmark to the newest letter, and the next one
    lists from there on."""
    assert position(store, mailbox) is None
    mailbox.look_back = timedelta(hours=2)
    for hours in (3, 1, 2):
        mailbox.publish(f"a{hours}", requested_at=NOW - timedelta(hours=hours))
    poll()
    assert position(store, mailbox) == NOW - timedelta(hours=1)
    poll()
    assert mailbox.listed_since == [None, NOW - timedelta(hours=3)]
    bookmark = store.bookmarks.of_channel("altinn", TAX)
    assert (bookmark.succeeded_at, bookmark.failed_at, bookmark.last_error) == (NOW, None, None)


def test_a_bookmark_never_goes_back(poll: Poll, store: Store, mailbox: MemoryMailbox) -> None:
    """A letter that turns up late is fetched, and the bookmark stays."""
    mailbox.publish("new", requested_at=NOW)
    poll()
    mailbox.publish("late", requested_at=NOW - timedelta(days=3))
    assert poll().stored == 1
    assert position(store, mailbox) == NOW


def test_a_mailbox_without_letters(poll: Poll, store: Store, mailbox: MemoryMailbox) -> None:
    """An empty box is not a problem, and everything is listed again next time."""
    assert poll() == IntakeSummary()
    assert position(store, mailbox) is None
    mailbox.boxes = []
    assert poll() == IntakeSummary()


@pytest.mark.parametrize("read", Policy)
@pytest.mark.parametrize("confirmed", Policy)
@pytest.mark.parametrize("asked", [True, False])
def test_policies_make_marks(
    poll: Poll,
    store: Store,
    mailbox: MemoryMailbox,
    read: Policy,
    confirmed: Policy,
    *,
    asked: bool,
) -> None:
    """`never` makes no mark, `stored` one that is due, the others one that waits; nobody is
    confirmed to who did not ask for it."""
    mailbox.publish("a", confirmation_needed=asked)
    poll(MarkPolicies(read=read, confirmed=confirmed))
    waits = (Policy.DELIVERED, Policy.ACKNOWLEDGED)
    expected = {Policy.STORED: MarkState.DUE, **dict.fromkeys(waits, MarkState.WAITING)}
    marks = {mark.kind: mark for mark in store.queries.marks(message_id("altinn", "a"))}
    wanted = {MarkKind.READ: read, MarkKind.CONFIRMED: confirmed if asked else Policy.NEVER}
    assert {kind: mark.policy for kind, mark in marks.items()} == {
        k: p for k, p in wanted.items() if p is not Policy.NEVER
    }
    assert all(mark.state is expected[mark.policy] for mark in marks.values())


def test_the_day_is_norways(poll: Poll, store: Store, mailbox: MemoryMailbox, clock: Clock) -> None:
    """A delegation begins at midnight in Norway, an hour before it does in UTC in winter."""
    cover = (
        '[[delegation]]\nfrom = "post"\nto = "regnskap"\nstarts = 2026-12-21\nends = 2026-12-21\n'
    )
    table = table_of(TABLE_TEXT + cover)
    store.letters.note_table(table.version, table.text, NOW)
    for hour, name in ((22, "before"), (23, "from"), (46, "until"), (47, "after")):
        clock.now = datetime(2026, 12, 20, tzinfo=UTC) + timedelta(hours=hour)
        mailbox.publish(name)
        poll(table=table)
    assert {
        name: newest_decision(store, name).recipients
        for name in ("before", "from", "until", "after")
    } == {"before": ["post"], "from": ["regnskap"], "until": ["regnskap"], "after": ["post"]}


@pytest.mark.parametrize("checksum", [md5(b"the file"), md5(b"the file").upper(), ""])
def test_a_right_checksum_or_none(
    poll: Poll, store: Store, mailbox: MemoryMailbox, checksum: str
) -> None:
    """Bytes that are what the sender's checksum promises, or for which there is none, are
    downloaded once."""
    publish_with(mailbox, [b"the file"], checksum)
    poll()
    (kept,) = store.queries.attachments(message_id("altinn", "a"))
    assert (kept.state, kept.sha256, len(mailbox.asked("open_part"))) == (
        PartState.PRESENT,
        sha256(b"the file"),
        1,
    )


def publish_with(mailbox: MemoryMailbox, versions: list[bytes], checksum: str) -> None:
    """A letter with one attachment that is served in these versions."""
    mailbox.publish("a", b"")
    channel, letter = mailbox.letters["a"]
    part = Part(external_id="a/1", original_name="x.pdf", sender_checksum=checksum)
    mailbox.letters["a"] = (channel, replace(letter, parts=(part,)))
    mailbox.contents["a/1"] = versions


def test_a_broken_download_is_repeated(poll: Poll, store: Store, mailbox: MemoryMailbox) -> None:
    """Bytes that are not what the checksum promises are downloaded again, more than once, which
    repairs what was damaged on the way here."""
    publish_with(mailbox, [b"the fil3", b"the f", b"", b"the file"], md5(b"the file"))
    assert poll().problems == []
    (kept,) = store.queries.attachments(message_id("altinn", "a"))
    assert (kept.state, kept.sha256, kept.size) == (PartState.PRESENT, sha256(b"the file"), 8)


def test_a_checksum_that_stays_wrong(
    poll: Poll, store: Store, content: ContentFolder, mailbox: MemoryMailbox
) -> None:
    """If the bytes are wrong each time they are kept as they are, the attachment says so, and the
    letter is delivered."""
    publish_with(mailbox, [b"the fil3"], md5(b"the file"))
    assert poll().stored == 1
    (kept,) = store.queries.attachments(message_id("altinn", "a"))
    assert (kept.state, kept.sha256, len(mailbox.asked("open_part"))) == (
        PartState.CHECKSUM_FAILED,
        sha256(b"the fil3"),
        4,
    )
    content.open(sha256(b"the fil3")).close()


@pytest.mark.parametrize("mailbox", [MemoryMailbox], indirect=True)
def test_letters_are_fetched_several_at_a_time(poll: Poll, mailbox: MemoryMailbox) -> None:
    """As many letters as there are workers are under way together."""
    together = threading.Barrier(4, timeout=10)
    for number in range(4):
        mailbox.publish(f"a{number}")

    def meet(verb: str, _: str) -> None:
        if verb == "fetch":
            together.wait()

    mailbox.during = meet
    assert poll(workers=4).stored == 4


@pytest.mark.parametrize("mailbox", [MemoryMailbox], indirect=True)
def test_deliveries_that_are_behind_come_first(poll: Poll, mailbox: MemoryMailbox) -> None:
    """While more letters wait for their delivery than are being delivered, two are fetched at a
    time, and all of them come."""
    at_a_time = AtATime()
    for number in range(12):
        mailbox.publish(f"a{number}")

    def watch(verb: str, _: str) -> None:
        if verb == "fetch":
            with at_a_time.counted():
                pass

    mailbox.during = watch
    assert poll(backlog=True).stored == 12
    assert at_a_time.most == 2


@pytest.mark.parametrize("mailbox", [BatchMailbox], indirect=True)
@pytest.mark.parametrize(("backlog", "most"), [(False, 8), (True, 2)])
def test_so_many_calls_are_under_way_together(
    poll: Poll, mailbox: BatchMailbox, *, backlog: bool, most: int
) -> None:
    """A batch has as many letters under way as there are workers, two while deliveries are behind,
    and all of them come."""
    for number in range(30):
        mailbox.publish(f"a{number}", b"one", b"two")
    assert poll(backlog=backlog).stored == 30
    assert mailbox.most == most


def test_a_letter_that_is_synced_holds_no_call(
    poll: Poll, mailbox: MemoryMailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the bytes of one letter become durable the next one is asked for, even where there may
    be one call at a time."""
    asked, publish = threading.Event(), ContentFolder.publish

    def during(verb: str, letter: str) -> None:
        if (verb, letter) == ("fetch", "b"):
            asked.set()

    def slowly(self: ContentFolder, staged: Sequence[Staged]) -> None:
        assert asked.wait(10)
        publish(self, staged)

    monkeypatch.setattr(ContentFolder, "publish", slowly)
    mailbox.publish("a", b"one")
    mailbox.publish("b", b"two")
    mailbox.during = during
    assert poll(workers=1).stored == 2
