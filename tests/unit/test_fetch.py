"""One letter: whose it is, whether it is here already, and what is decided about it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from daemon.core.model import MarkKind, MarkState, Policy, SightingState, message_id
from daemon.intake.new_letter import MarkPolicies
from daemon.intake.poll import IntakeSummary
from daemon.routing.table import Table
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from tests.unit.conftest import (
    APPOINTED,
    NOW,
    SECRET,
    TABLE,
    TABLE_TEXT,
    TAX,
    Clock,
    new_intake,
    newest_decision,
    stored_letter,
    table_of,
)
from tests.unit.memory import MemoryMailbox

pytestmark = pytest.mark.both_databases

Poll = Callable[..., IntakeSummary]


@pytest.fixture
def mailbox() -> MemoryMailbox:
    """A mailbox with two channels."""
    return MemoryMailbox(boxes=[TAX, SECRET])


@pytest.fixture
def poll(store: Store, content: ContentFolder, clock: Clock, mailbox: MemoryMailbox) -> Poll:
    """One round with the mailbox."""

    def once(table: Table = TABLE, policies: MarkPolicies | None = None) -> IntakeSummary:
        store.letters.note_table(table.version, table.text, clock())
        return new_intake(store, content, clock, lambda: table).poll(
            mailbox, policies or MarkPolicies(), threading.Event()
        )

    return once


def test_a_letter_of_altinn_2_comes_once(poll: Poll, store: Store, mailbox: MemoryMailbox) -> None:
    """A letter that is here already by the id that it had in Altinn 2 is not stored again,
    downloaded again or asked for again."""
    mailbox.publish("old", b"x", altinn2_id=4711)
    poll()
    mailbox.publish("moved", b"x", altinn2_id=4711)
    mailbox.publish("another", b"x", altinn2_id=4712)
    summary = poll()
    assert (summary.stored, summary.duplicates, summary.problems) == (1, 1, [])
    (seen,) = store.queries.sightings(SightingState.DUPLICATE)
    assert (seen.external_id, seen.last_error) == (
        "moved",
        f"here already, as message {message_id('altinn', 'old')}",
    )
    assert "moved/1" not in mailbox.asked("open_part")
    assert (poll().duplicates, mailbox.asked("fetch").count("moved")) == (0, 1)


def test_a_letter_that_two_mailboxes_bring_at_once_is_kept_once(
    poll: Poll, store: Store, mailbox: MemoryMailbox
) -> None:
    """A letter that another mailbox has stored by the time that this one has it is a duplicate, and
    the others of its batch are kept."""

    def another_mailbox_is_quicker(verb: str, what: str) -> None:
        if (verb, what) == ("open_part", "moved/1"):
            store.letters.add([stored_letter("old", altinn2_id=4711)])

    mailbox.publish("moved", b"x", altinn2_id=4711)
    mailbox.publish("other", b"x", altinn2_id=4712)
    mailbox.during = another_mailbox_is_quicker
    summary = poll()
    assert (summary.stored, summary.duplicates, summary.problems) == (1, 1, [])
    (seen,) = store.queries.sightings(SightingState.DUPLICATE)
    assert (seen.external_id, seen.last_error) == (
        "moved",
        f"here already, as message {message_id('altinn', 'old')}",
    )
    assert (poll().duplicates, mailbox.asked("fetch").count("moved")) == (0, 1)


def test_a_duplicate_holds_no_bookmark(poll: Poll, store: Store, mailbox: MemoryMailbox) -> None:
    """A letter that is stored already does not count as missing."""
    mailbox.publish("old", altinn2_id=4711)
    poll()
    mailbox.publish("moved", altinn2_id=4711)
    mailbox.publish("new", requested_at=NOW)
    poll()
    assert store.bookmarks.of_channel("altinn", TAX).position == NOW


def test_a_repeat_is_no_duplicate_of_itself(store: Store, mailbox: MemoryMailbox) -> None:
    """A letter with an id of Altinn 2 is not held to be a duplicate because it is stored itself."""
    ref = mailbox.publish("old", altinn2_id=4711)
    assert store.letters.with_altinn2_id(4711, ref.message_id) is None


def test_an_ordinary_channel_opens_no_confidential_post(
    poll: Poll, store: Store, mailbox: MemoryMailbox
) -> None:
    """Where confidential post is only listed, a letter that turns out to be confidential waits, no
    matter who is appointed for it."""
    mailbox.boxes = [TAX]
    mailbox.publish("s", b"x", confidential=True)
    assert (poll(APPOINTED).waiting, mailbox.asked("open_part")) == (1, [])
    (seen,) = store.queries.sightings(SightingState.WAITING)
    assert (seen.external_id, seen.last_error, seen.routing_version) == (
        "s",
        "confidential, and confidential post is only listed",
        None,
    )


def test_a_letter_waits_until_somebody_is_appointed(
    poll: Poll, store: Store, mailbox: MemoryMailbox
) -> None:
    """A confidential letter for which a table appoints nobody is not opened again under that table,
    and comes under one that does."""
    mailbox.publish("s", b"x", channel=SECRET, confidential=True)
    assert [poll(TABLE).waiting for _ in range(3)] == [1, 0, 0]
    assert mailbox.asked("fetch") == ["s"]
    (seen,) = store.queries.sightings(SightingState.WAITING)
    assert seen.routing_version == TABLE.version
    other = table_of(TABLE_TEXT.replace("Skatt", "Avgift"))
    assert (poll(other).waiting, len(mailbox.asked("fetch"))) == (1, 2)
    assert (poll(APPOINTED).stored, store.queries.sightings(SightingState.WAITING)) == (1, [])


BY_ROUTE = TABLE_TEXT.replace('["skatt"]', '["skatt"]\nfollow_thread = true')


@pytest.mark.parametrize(
    "text", ["follow_thread = true\n" + TABLE_TEXT, BY_ROUTE], ids=["all", "of one route"]
)
def test_a_matter_stays_together(
    poll: Poll, store: Store, mailbox: MemoryMailbox, text: str
) -> None:
    """With `follow_thread`, a letter with the case number of an earlier one from the same sender
    goes to the same recipient."""
    table = table_of(text)
    mailbox.publish("a", title="Skatt, sak 2026/1234")
    poll(table)
    mailbox.publish("b", title="Svar i sak 2026/1234")
    mailbox.publish("c", title="Svar i sak 2026/1234", sender_org="964965226")
    poll(table)
    assert [newest_decision(store, name).recipients for name in "abc"] == [
        ["regnskap"],
        ["regnskap"],
        ["post"],
    ]
    assert newest_decision(store, "b").why["thread"]["earlier"] == str(message_id("altinn", "a"))


def test_a_matter_that_nobody_follows(poll: Poll, store: Store, mailbox: MemoryMailbox) -> None:
    """Without `follow_thread`, also where only a route that is not enabled has it, each letter goes
    by its own words."""
    table = table_of(BY_ROUTE.replace("follow_thread", "enabled = false\nfollow_thread"))
    for name, title in (("a", "Skatt, sak 2026/1234"), ("b", "Skatt, sak 2026/1234")):
        mailbox.publish(name, title=title)
        poll(TABLE if name == "a" else table)
    assert [newest_decision(store, name).recipients for name in "ab"] == [["regnskap"], ["post"]]


def test_a_route_has_its_own_word_to_the_sender(
    poll: Poll, store: Store, mailbox: MemoryMailbox
) -> None:
    """A route's policy goes before the mailbox's for the letters that it takes, and for no
    others."""
    table = table_of(
        TABLE_TEXT.replace(
            'title_contains = ["skatt"]',
            'title_contains = ["skatt"]\nmark_read = "stored"\nconfirm = "never"',
        )
    )
    mailbox.publish("a", title="Skatt", confirmation_needed=True)
    mailbox.publish("b", confirmation_needed=True)
    poll(table, MarkPolicies(read=Policy.NEVER, confirmed=Policy.DELIVERED))
    marks = {
        name: {mark.kind: mark.state for mark in store.queries.marks(message_id("altinn", name))}
        for name in "ab"
    }
    assert marks == {
        "a": {MarkKind.READ: MarkState.DUE},
        "b": {MarkKind.CONFIRMED: MarkState.WAITING},
    }


def test_a_letter_of_another_name_is_not_taken(
    poll: Poll, store: Store, mailbox: MemoryMailbox
) -> None:
    """An answer that is about another letter, or another party, than was asked for is not
    believed."""
    mailbox.publish("a")
    mailbox.twists["a"] = {"party": "974761076"}
    (problem,) = poll().problems
    assert "answered with another letter" in problem
    assert store.queries.counts().messages == 0


def test_the_first_listing_is_remembered(poll: Poll, store: Store, mailbox: MemoryMailbox) -> None:
    """A bookmark tells how far back the channel's first whole listing went, and keeps that whatever
    comes later."""
    mailbox.boxes = [TAX, replace(TAX, resource="plan")]
    mailbox.shortfall = "there may be more"
    poll()
    assert not store.bookmarks.of_channel("altinn", TAX).begun
    mailbox.shortfall = ""
    mailbox.publish("a", requested_at=NOW)
    for _ in range(2):
        poll()
    bookmark = store.bookmarks.of_channel("altinn", TAX)
    assert (bookmark.begun, bookmark.begins_at, bookmark.position) == (True, None, NOW)
    assert mailbox.listed_since[-2:] != [None, None]
