"""The contract that every mailbox keeps (daemon/core/ports.py), tried on each of them with whatever
is at its other side."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path

import pytest

from daemon.core.errors import LetterGone, MailboxError, PartUnavailable
from daemon.core.model import LetterRef, PartState
from tests.contracts.mailbox_places import (
    NOON,
    PARTY,
    SERVICE,
    Place,
    altinn2_place,
    altinn3_bell_place,
    altinn3_place,
    folder_place,
)


@pytest.fixture(
    params=[altinn3_place, altinn3_bell_place, altinn2_place, folder_place],
    ids=["altinn3", "altinn3-bell", "altinn2", "folder"],
)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with request.param(tmp_path) as opened:
        yield opened
        opened.mailbox.close()


def read(place: Place, ref: LetterRef, name: str) -> bytes:
    part = next(each for each in place.mailbox.fetch(ref).parts if each.original_name == name)
    with place.mailbox.open_part(ref, part) as chunks:
        return b"".join(chunks)


def test_channels_are_the_same_each_time(place: Place) -> None:
    """What is listed, and bookmarked, has the same names in every call, and none twice."""
    first = list(place.mailbox.channels())
    assert first == list(place.mailbox.channels())
    assert len({(each.party, each.service, each.resource) for each in first}) == len(first)
    assert (place.mailbox.name, place.channel().party) == ("box", PARTY)


def test_a_list_names_its_letters_so_that_they_can_be_fetched(place: Place) -> None:
    """A reference says mailbox, party, service and resource as its channel does, and fetches that
    letter, which knows its service."""
    ids = {place.put(name): name for name in ("first", "second")}
    refs = place.refs()
    assert set(refs) == set(ids)
    for external_id, ref in refs.items():
        channel = place.channel()
        assert (ref.mailbox, ref.party, ref.service, ref.resource) == (
            "box",
            channel.party,
            place.listed_as,
            channel.resource,
        )
        envelope = place.mailbox.fetch(ref).envelope
        assert (envelope.title, envelope.ref) == (ids[external_id], replace(ref, service=SERVICE))


def test_a_list_begins_after_the_time_that_it_is_given(place: Place) -> None:
    """The bound excludes; without one everything is listed."""
    early, late = place.put("early", NOON), place.put("late", NOON + timedelta(seconds=1))
    assert {ref.external_id for ref in place.mailbox.list(place.channel(), NOON).refs} == {late}
    assert set(place.refs()) == {early, late}


def test_the_first_listing_can_begin_at_the_beginning(place: Place) -> None:
    """`earliest` gives a time that `list` takes, or None; never one later than what was read up
    to."""
    for position in (None, NOON):
        since = place.mailbox.earliest(place.channel(), position, NOON + timedelta(days=1))
        assert since is None or since <= (position or NOON + timedelta(days=1))
        place.mailbox.list(place.channel(), since)


def test_a_letter_is_the_same_each_time(place: Place) -> None:
    """Fetching twice gives the same letter, with aware times in UTC and its attachments in the same
    order."""
    place.put("a", files={"b.pdf": b"b", "a.pdf": b"a"})
    (ref,) = place.refs().values()
    letter = place.mailbox.fetch(ref)
    assert letter == place.mailbox.fetch(ref)
    assert letter.envelope.published_at.tzinfo is UTC
    assert {each.original_name for each in letter.parts} == {"b.pdf", "a.pdf"}


def test_attachments_come_whole_and_again(place: Place) -> None:
    """The bytes are those that were sent, from the start, as often as they are asked for; also none
    at all, and many."""
    contents = {"empty.txt": b"", "small.pdf": b"%PDF", "large.zip": bytes(range(256)) * 4000}
    place.put("a", files=contents)
    (ref,) = place.refs().values()
    for name, content in (*contents.items(), *contents.items()):
        assert read(place, ref, name) == content


def test_a_download_may_be_left_in_the_middle(place: Place) -> None:
    """A caller that stops reading leaves nothing behind that disturbs the next call."""
    place.put("a", files={"large.zip": bytes(1_000_000)})
    (ref,) = place.refs().values()
    with place.mailbox.open_part(ref, place.mailbox.fetch(ref).parts[0]) as chunks:
        next(chunks)
    assert len(read(place, ref, "large.zip")) == 1_000_000


def test_a_letter_that_went_is_gone(place: Place) -> None:
    """A letter that is no longer there raises LetterGone, wherever it is named."""
    place.put("a")
    (ref,) = place.refs().values()
    place.remove(ref.external_id)
    for use in (place.mailbox.fetch, place.mailbox.mark_read, place.mailbox.confirm):
        with pytest.raises(LetterGone):
            use(ref)


def test_an_attachment_that_went_concerns_nothing_else(place: Place) -> None:
    """A missing attachment is told by its state, before or on opening; the letter and its other
    attachments can be had."""
    place.put("a", files={"gone.pdf": b"x", "here.pdf": b"y"})
    (ref,) = place.refs().values()
    before = {each.original_name: each for each in place.mailbox.fetch(ref).parts}
    place.remove_file(ref.external_id, "gone.pdf")
    with (
        pytest.raises(PartUnavailable) as caught,
        place.mailbox.open_part(ref, before["gone.pdf"]) as chunks,
    ):
        list(chunks)
    assert PartState(caught.value.state) is not PartState.PRESENT
    after = {each.original_name: each for each in place.mailbox.fetch(ref).parts}
    assert (after["gone.pdf"].state is PartState.PRESENT, read(place, ref, "here.pdf")) == (
        False,
        b"y",
    )


def test_only_marking_marks(place: Place) -> None:
    """Neither listing nor checking nor, unless the mailbox declares it, fetching and downloading
    tells the sender that a letter was read.

    Where it is declared, fetching marks just that, at once, and that letter only; and the check
    says so.
    """
    first, second = place.put("a", files={"a.pdf": b"x"}), place.put("b")
    ref = place.refs()[first]
    findings = list(place.mailbox.check())
    assert all(each.ok for each in findings)
    assert any("marked as read at once" in each.text for each in findings) is place.read_by_fetching
    assert (place.marks(first), place.marks(second)) == ([], [])
    promised = ["Read"] if place.read_by_fetching else []
    for _ in range(2):
        letter = place.mailbox.fetch(ref)
        assert place.marks(first) == promised
    with place.mailbox.open_part(ref, letter.parts[0]) as chunks:
        assert b"".join(chunks) == b"x"
    assert (place.marks(first), place.marks(second)) == (promised, [])


def test_marks_are_set_once(place: Place) -> None:
    """Marking again what is marked is not an error, and makes no second mark."""
    external_id = place.put("a")
    (ref,) = place.refs().values()
    for _ in range(2):
        place.mailbox.mark_read(ref)
    assert place.marks(external_id) == ["Read"]
    for _ in range(2):
        place.mailbox.confirm(ref)
        assert place.marks(external_id) == ["Read", "Confirmed"]


def test_many_threads_may_work_at_once(place: Place) -> None:
    """Lists, fetches, downloads and marks of several threads at a time give what they would give
    one after the other."""
    for number in range(20):
        place.put(f"letter {number}", files={"a.bin": bytes([number]) * 100_000})

    def work(ref: LetterRef) -> tuple[str, bytes]:
        title, content = place.mailbox.fetch(ref).envelope.title, read(place, ref, "a.bin")
        place.mailbox.mark_read(ref)
        return title, content

    with ThreadPoolExecutor(8) as pool:
        refs = [*pool.map(lambda _: place.refs(), range(4))]
        assert all(each == refs[0] for each in refs)
        for title, content in pool.map(work, refs[0].values()):
            assert content == bytes([int(title.split()[1])]) * 100_000


def test_every_trouble_is_a_mailbox_error(place: Place) -> None:
    """A reference to nothing raises one of the errors of the contract, never anything else."""
    ref = LetterRef(
        mailbox="box",
        party=PARTY,
        service=SERVICE,
        resource="skatt",
        external_id="../../no/such letter?x=1#y",
    )
    for use in (place.mailbox.fetch, place.mailbox.mark_read, place.mailbox.confirm):
        with pytest.raises(MailboxError):
            use(ref)


def test_closing_twice_is_fine(place: Place) -> None:
    """A mailbox may be closed more than once, used or not, and lists what it did before."""
    letter = place.put("a letter")
    place.mailbox.close()
    assert set(place.refs()) == {letter}
    place.mailbox.close()
    place.mailbox.close()
    assert set(place.refs()) == {letter}
