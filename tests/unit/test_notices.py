"""Notices: the appointed recipients are notified that a confidential letter waits, once, and learn
nothing of its content."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from daemon.core.model import DeliveryState, MessageKind, Policy, message_id
from daemon.intake.new_letter import MarkPolicies
from daemon.intake.notices import Notices, notice_id
from daemon.intake.poll import IntakeSummary
from daemon.routing.table import Table
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from tests.unit.conftest import (
    APPOINTED,
    NOW,
    SECRET,
    TABLE,
    TAX,
    Clock,
    new_intake,
    newest_decision,
    newest_messages,
)
from tests.unit.memory import MemoryMailbox

Poll = Callable[..., IntakeSummary]
WORDS = ("Oppsigelse", "Kjære Kari", "NAV", "hemmelig")
LISTED = replace(SECRET, list_only=True, fetch_confidential=False)


@pytest.fixture
def mailbox() -> MemoryMailbox:
    """A mailbox whose confidential post is only listed, with one letter."""
    mailbox = MemoryMailbox(boxes=[TAX, LISTED])
    mailbox.publish(
        "s",
        b"hemmelig",
        channel=LISTED,
        confidential=True,
        title=WORDS[0],
        body=WORDS[1],
        sender_name=WORDS[2],
        published_at=NOW,
    )
    return mailbox


@pytest.fixture
def poll(store: Store, content: ContentFolder, clock: Clock, mailbox: MemoryMailbox) -> Poll:
    """One round, by the table that appoints somebody unless it is another."""

    def once(table: Table = APPOINTED, policies: MarkPolicies | None = None) -> IntakeSummary:
        return new_intake(store, content, clock, lambda: table).poll(
            mailbox, policies or MarkPolicies(), threading.Event()
        )

    return once


def test_a_notice_goes_to_the_appointed(poll: Poll, store: Store, mailbox: MemoryMailbox) -> None:
    """A notice says that a letter waits, for whom, since when and from which service; it is
    delivered like a letter."""
    assert (poll().notices, poll().notices) == (1, 0)
    notice = store.queries.message("s/notice")
    assert (notice.id, notice.kind, notice.confidential) == (
        message_id("altinn", "s/notice"),
        MessageKind.NOTICE,
        True,
    )
    assert notice.id == notice_id(mailbox.letters["s"][1].envelope.ref)
    assert notice.title == "Taushetsbelagt post venter i Altinn"
    assert all(words in notice.body for words in ("991825827", "5504/1", "24.11.2026 kl. 10.00"))
    assert [
        (each.destination, each.recipients, each.state) for each in store.queries.deliveries()
    ] == [("erp", ["post"], DeliveryState.PENDING)]
    assert newest_decision(store, "s/notice").route == "Fortrolig"


def test_a_notice_opens_nothing(
    poll: Poll, mailbox: MemoryMailbox, store: Store, database: Path
) -> None:
    """The letter is neither opened nor told as read for its notice, and no word of it is
    anywhere."""
    poll(policies=MarkPolicies(read=Policy.STORED, confirmed=Policy.STORED))
    assert {verb for verb, _ in mailbox.calls} == {"list"}
    assert store.queries.marks(message_id("altinn", "s/notice")) == []
    assert not any(word.encode() in database.read_bytes() for word in WORDS)


def test_nobody_appointed_hears_nothing(poll: Poll, store: Store) -> None:
    """Without a route for confidential post no notice is sent; once a route names a recipient, it
    is."""
    assert (poll(TABLE).notices, store.queries.counts().messages) == (0, 0)
    assert poll(APPOINTED).notices == 1


def test_a_notice_is_written_once(
    poll: Poll, store: Store, mailbox: MemoryMailbox, clock: Clock
) -> None:
    """However long a letter waits, and whatever the table then says, its notice comes once; another
    letter has its own."""
    poll()
    clock.advance(days=30)
    mailbox.publish(
        "t", channel=LISTED, confidential=True, requested_at=clock() - timedelta(hours=1)
    )
    assert (poll().notices, poll().notices) == (1, 0)
    assert {each.external_id for each, _ in newest_messages(store, 9)} == {"s/notice", "t/notice"}


def test_a_letter_that_comes_after_its_notice(
    poll: Poll, store: Store, mailbox: MemoryMailbox
) -> None:
    """When confidential post may be fetched, the letter itself comes, and its notice is neither
    lost nor repeated."""
    poll()
    mailbox.boxes = [TAX, SECRET]
    mailbox.letters["s"] = (SECRET, mailbox.letters["s"][1])
    summary = poll()
    assert (summary.stored, summary.notices) == (1, 0)
    assert {each.kind for each, _ in newest_messages(store, 9)} == {
        MessageKind.LETTER,
        MessageKind.NOTICE,
    }
    assert store.letters.stored_in("altinn", SECRET) == {"s"}


def test_notices_are_of_one_mailbox(poll: Poll, store: Store, clock: Clock) -> None:
    """What waits in another mailbox is that mailbox's affair."""
    poll(TABLE)
    notices = Notices(store=store, table=lambda: APPOINTED, clock=clock)
    assert (notices.write("other"), notices.write("altinn")) == (0, 1)
