"""Letters in: kept once and whole, and what was seen but not kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlmodel import SQLModel

from daemon.core.bookkeeping import SkippedLetter
from daemon.core.errors import NotStorable
from daemon.core.model import (
    Attachment,
    DecisionRow,
    Delivery,
    LetterRef,
    Mark,
    MarkKind,
    Message,
    Policy,
    SightingState,
    Thread,
    delivery_id,
    message_id,
)
from daemon.store import Store, StoredLetter
from tests.unit.by_hand import by_hand
from tests.unit.conftest import NOW, SECRET, TABLE, TAX, envelope, stored_letter

pytestmark = pytest.mark.both_databases

LATER = NOW + timedelta(hours=1)
LATER_STILL = timedelta(minutes=1)


def ref(external_id: str) -> LetterRef:
    """A letter as a list knows it."""
    return envelope(external_id).ref


def rows(database_url: str) -> dict[str, int]:
    """How many rows each table of letters has, as another program sees them."""
    tables = ("messages", "attachments", "deliveries", "marks", "sightings")
    return {table: by_hand(database_url, f"SELECT count(*) FROM {table}")[0][0] for table in tables}


def sightings(store: Store) -> dict[str, SkippedLetter]:
    """Every sighting, by the letter's id in its mailbox."""
    return {
        each.external_id: each for state in SightingState for each in store.queries.sightings(state)
    }


def test_ids_are_derived() -> None:
    """The same letter has the same ids on every node and in every year; these are promises to
    receivers."""
    letter = message_id("altinn", "0198a7c0-0000-7000-8000-000000000001")
    assert str(letter) == "8f68c9bb-b94d-52b8-a24f-cdb6e4680354"
    assert str(delivery_id(letter, "erp", 1)) == "c7195095-8c66-54aa-91f6-559bfff52020"
    assert ref("x").message_id == message_id("altinn", "x") != message_id("other", "x")
    assert (
        len(
            {
                delivery_id(letter, name, generation)
                for name in ("erp", "mail")
                for generation in (1, 2)
            }
        )
        == 4
    )


def test_a_letter_is_kept_with_all_that_belongs_to_it(store: Store, database_url: str) -> None:
    """Message, attachments, deliveries and marks are there together."""
    letter = stored_letter(
        "a", ("erp", "mail"), {MarkKind.READ: Policy.STORED, MarkKind.CONFIRMED: Policy.DELIVERED}
    )
    assert len(store.letters.add([letter]).new) == 1
    assert rows(database_url) == {
        "messages": 1,
        "attachments": 1,
        "deliveries": 2,
        "marks": 2,
        "sightings": 0,
    }
    kept = store.queries.message(str(letter.message.id))
    assert kept.model_dump() == stored_letter("a", confirmation_needed=True).message.model_dump()


def test_a_letter_is_kept_once(store: Store, database_url: str) -> None:
    """Adding a letter again changes nothing, whatever it says now, and does not keep others from
    being added."""
    store.letters.add([stored_letter("a")])
    before = rows(database_url)
    assert len(store.letters.add([stored_letter("a", ("mail",), title="Noe annet")]).new) == 0
    assert rows(database_url) == before
    assert store.queries.message("a").title == stored_letter("a").message.title
    assert (
        len(store.letters.add([stored_letter("a"), stored_letter("b"), stored_letter("b")]).new)
        == 1
    )


@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_error_in_the_middle_leaves_nothing(store: Store, database_url: str, place: int) -> None:
    """If one letter cannot be kept, none of those that came with it is, nor anything that belongs
    to them."""
    letters = [stored_letter("a"), stored_letter("b"), stored_letter("c")]
    letters[place] = with_impossible_delivery(letters[place])
    store.letters.record_skipped(ref("a"), SightingState.FAILING, NOW, "broken")
    with pytest.raises(NotStorable):
        store.letters.add(letters)
    assert rows(database_url) == {
        "messages": 0,
        "attachments": 0,
        "deliveries": 0,
        "marks": 0,
        "sightings": 1,
    }


def with_impossible_delivery(letter: StoredLetter) -> StoredLetter:
    """The letter with a delivery that no database takes."""
    impossible = Delivery(
        **letter.deliveries[0].model_dump()
        | {"generation": 0, "destination": "x", "id": letter.message.id}
    )
    return replace(letter, deliveries=[*letter.deliveries, impossible])


@pytest.mark.parametrize("table", [Message, Attachment, DecisionRow, Thread, Delivery, Mark])
def test_a_table_has_the_fields_of_its_values(table: type[SQLModel]) -> None:
    """Letters are stored from values, so that a field which only the table had would never be
    written."""
    assert table.model_fields.keys() == table.__mro__[1].model_fields.keys()  # type: ignore[attr-defined]


def test_a_letter_names_a_table_that_is_kept(store: Store, database_url: str) -> None:
    """No letter is kept whose routing table is not, so that why it went where it went can be
    shown."""
    letter = stored_letter("a")
    letter.decision.routing_version = "unknown"
    with pytest.raises(NotStorable):
        store.letters.add([letter])
    assert rows(database_url)["messages"] == 0


def test_a_routing_table_is_kept_once(store: Store) -> None:
    """A table is kept with the time since when it is in force; one that comes into force again,
    with the time when it did so last."""
    for version, now in (("v", LATER), ("v", LATER + LATER_STILL), ("w", LATER + 2 * LATER_STILL)):
        store.letters.note_table(version, f"text of {version}", now)
    kept = store.queries.table("v")
    assert kept
    assert (kept.text, kept.in_force_since) == ("text of v", LATER)
    store.letters.note_table("v", "text of v", LATER + 3 * LATER_STILL)
    last = store.queries.table_in_force()
    assert last
    assert (last.version, last.in_force_since) == ("v", LATER + 3 * LATER_STILL)
    assert store.queries.table(TABLE.version)
    assert store.queries.table("nothing") is None


@pytest.mark.parametrize(
    ("state", "already_handled"),
    [
        (SightingState.WAITING, True),
        (SightingState.GONE, True),
        (SightingState.DUPLICATE, True),
        (SightingState.FAILING, False),
    ],
)
def test_what_needs_no_fetching(
    store: Store, state: SightingState, *, already_handled: bool
) -> None:
    """A letter that is stored, gone, here under another id or left alone is settled; one that
    failed is not."""
    store.letters.add([stored_letter("kept")])
    store.letters.record_skipped(ref("seen"), state, NOW)
    refs = [ref("kept"), ref("seen"), ref("new")]
    assert store.letters.already_handled(refs, None) == {
        ref("kept").message_id,
        *([ref("seen").message_id] if already_handled else []),
    }
    assert store.letters.already_handled([], None) == set()


@pytest.mark.parametrize("appointed_nobody", [None, "old"])
def test_what_was_left_alone_is_looked_at_again(store: Store, appointed_nobody: str | None) -> None:
    """Where confidential letters may be fetched, one that waits is settled only for the table that
    appointed nobody for it."""
    store.letters.record_skipped(ref("s"), SightingState.WAITING, NOW, None, appointed_nobody)
    already_handled = {
        version: bool(store.letters.already_handled([ref("s")], version))
        for version in (None, "old", "new")
    }
    assert already_handled == {None: True, "old": appointed_nobody == "old", "new": False}


def test_many_letters_at_once(store: Store) -> None:
    """Any number of letters can be asked for in one go."""
    store.letters.add([stored_letter(str(number)) for number in range(5)])
    assert store.letters.already_handled((ref(str(number)) for number in range(40_000)), None) == {
        ref(str(number)).message_id for number in range(5)
    }


def test_a_sighting_tells_how_often_and_why(store: Store) -> None:
    """What was seen again keeps the time when it was first, counts, and has the last reason."""
    store.letters.record_skipped(ref("a"), SightingState.FAILING, NOW, "broken")
    store.letters.record_skipped(ref("a"), SightingState.GONE, LATER, None)
    seen = sightings(store)["a"]
    assert (seen.state, seen.first_seen_at, seen.last_seen_at, seen.attempts, seen.last_error) == (
        SightingState.GONE,
        NOW,
        LATER,
        2,
        None,
    )
    assert seen.ref == ref("a")


def test_a_letter_that_is_kept_is_no_longer_a_sighting(store: Store) -> None:
    """What failed and then came is one thing only."""
    store.letters.record_skipped(ref("a"), SightingState.FAILING, NOW, "broken")
    store.letters.add([stored_letter("a")])
    assert sightings(store) == {}


def test_confidential_letters_wait(store: Store) -> None:
    """Letters that are only listed are remembered once, and told apart from those known already."""
    refs = [envelope(name, SECRET).ref for name in ("a", "b")]
    assert store.letters.record_waiting(refs[:1], NOW) == 1
    assert store.letters.record_waiting(refs, LATER) == 1
    assert store.letters.record_waiting([], LATER) == 0
    seen = sightings(store)
    assert [(seen[name].state, seen[name].first_seen_at, seen[name].attempts) for name in "ab"] == [
        (SightingState.WAITING, NOW, 1),
        (SightingState.WAITING, LATER, 1),
    ]


def test_failing_letters_are_those_of_one_mailbox(store: Store) -> None:
    """Each mailbox tries its own failing letters again, and no others."""
    store.letters.record_skipped(ref("a"), SightingState.FAILING, NOW)
    store.letters.record_skipped(ref("b"), SightingState.GONE, NOW)
    store.letters.record_skipped(replace(ref("c"), mailbox="other"), SightingState.FAILING, NOW)
    assert store.letters.failing("altinn") == [ref("a")]
    assert [each.external_id for each in store.letters.failing("other")] == ["c"]


def test_each_channel_has_its_bookmark(store: Store) -> None:
    """A channel that was never read has no position; what is kept for one channel concerns no
    other."""
    bookmark = store.bookmarks.of_channel("altinn", TAX)
    assert (bookmark.position, bookmark.succeeded_at, bookmark.failed_at, bookmark.last_error) == (
        None,
        None,
        None,
        None,
    )
    bookmark.position = NOW
    store.bookmarks.save([bookmark])
    bookmark.position, bookmark.last_error = LATER, "broken"
    store.bookmarks.save([bookmark])
    again = store.bookmarks.of_channel("altinn", TAX)
    assert (again.position, again.last_error) == (LATER, "broken")
    assert store.bookmarks.of_channel("altinn", replace(TAX, resource="other")).position is None
    assert store.bookmarks.of_channel("other", TAX).position is None
    assert len(store.queries.bookmarks()) == 1
