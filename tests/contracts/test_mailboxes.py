"""The contract that every mailbox keeps (daemon/ports.py), tried on each of them with whatever is at its other side."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connectors.mailboxes import altinn2, altinn3, folder
from connectors.sandbox.altinn import PretendAltinn
from connectors.sandbox.altinn2 import PretendAltinn2
from connectors.sandbox.letters import PretendAttachment, PretendLetter
from connectors.sandbox.samples import sandbox_resource
from connectors.sandbox.scene import altinn2_section
from daemon.errors import LetterGone, MailboxError, MailboxUnavailable, PartUnavailable
from daemon.model import LetterRef, PartState
from daemon.ports import Channel, Mailbox

PARTY, SERVICE = "991825827", "4255/8"
NOON = datetime(2026, 3, 12, 12, tzinfo=UTC)


class Place(ABC):
    """A mailbox, and the other side of it."""

    mailbox: Mailbox
    settings: altinn3.Settings | altinn2.Settings | folder.Settings
    listed_as = SERVICE
    """What a listing says of a letter of SERVICE: that, or as much of it as can be known before the letter is open."""

    @property
    def read_by_fetching(self) -> bool:
        """What the mailbox declares (daemon/ports.py): fetching a letter notes it as read. All others promise that it does not."""
        return self.settings.mark_read == "fetched"

    @abstractmethod
    def put(self, name: str, at: datetime = NOON, files: Mapping[str, bytes] | None = None) -> str:
        """Put a letter with this title there; its external id."""

    @abstractmethod
    def remove(self, external_id: str) -> None:
        """Take a letter away."""

    @abstractmethod
    def remove_file(self, external_id: str, name: str) -> None:
        """Take the bytes of an attachment away."""

    @abstractmethod
    def marks(self, external_id: str) -> list[str]:
        """What its sender can see of a letter, of Read and Confirmed."""

    def channel(self) -> Channel:
        return next(each for each in self.mailbox.channels() if each.service == self.listed_as)

    def refs(self) -> dict[str, LetterRef]:
        return {ref.external_id: ref for ref in self.mailbox.list(self.channel(), None).refs}


class Altinn3Place(Place):
    """The Altinn 3 mailbox and the pretend Altinn."""

    def __init__(self, base: Path, altinn: PretendAltinn) -> None:
        self.altinn = altinn
        client = altinn.ready_client()
        altinn.allow(client.client_id, PARTY, ["skatt"])
        altinn.letters.confirm_delay = timedelta(seconds=0.05)
        (base / "key.pem").write_text(client.private_key)
        told = {
            "maskinporten_url": altinn.maskinporten_url,
            "platform_url": altinn.platform_url,
            "client_id": client.client_id,
            "key_file": "key.pem",
            "key_id": client.key_id,
            "parties": [PARTY],
            "services": [SERVICE],
            "resources": {SERVICE: ["skatt"]},
            "confidential": "off",
        }
        self.settings = altinn3.Settings.model_validate(told, context={"base": base})
        self.mailbox = altinn3.connect("box", self.settings)

    def put(self, name: str, at: datetime = NOON, files: Mapping[str, bytes] | None = None) -> str:
        attachments = tuple(PretendAttachment(name=each, content=content) for each, content in (files or {}).items())
        return self.altinn.publish(PretendLetter(party=PARTY, resource="skatt", title=name, requested_at=at, attachments=attachments))

    def remove(self, external_id: str) -> None:
        self.altinn.withdraw(external_id)

    def remove_file(self, external_id: str, name: str) -> None:
        record = self.altinn.record(external_id)
        for part in record.attachments:
            if part.attachment.name == name:
                self.altinn.set_attachment(external_id, part.id, type(part.status).Purged)

    def marks(self, external_id: str) -> list[str]:
        if self.altinn.count("confirm"):
            self.altinn.wait_for_status(external_id, "Confirmed")
        return [each for each in self.altinn.statuses(external_id) if each in {"Read", "Confirmed"}]


class Altinn2Place(Place):
    """The Altinn 2 mailbox and the pretend Altinn 2."""

    listed_as = "4255"

    def __init__(self, base: Path, altinn: PretendAltinn2) -> None:
        self.altinn = altinn
        told = altinn2_section(base, altinn, PARTY)
        self.settings = altinn2.Settings.model_validate(told, context={"base": base})
        self.mailbox = altinn2.connect("box", self.settings)

    def put(self, name: str, at: datetime = NOON, files: Mapping[str, bytes] | None = None) -> str:
        told = PretendLetter(
            party=PARTY,
            resource=sandbox_resource(SERVICE),
            title=name,
            requested_at=at,
            attachments=tuple(PretendAttachment(name=each, content=content) for each, content in (files or {}).items()),
            confirmation_needed=True,
        )
        return str(self.altinn.publish(told))

    def remove(self, external_id: str) -> None:
        self.altinn.withdraw(int(external_id))

    def remove_file(self, external_id: str, name: str) -> None:
        self.altinn.withdraw_bytes(int(external_id), name)
        self.mailbox.close()  # attachments come with their letter: those that were put aside are let go

    def marks(self, external_id: str) -> list[str]:
        record = self.altinn.record(int(external_id))
        return [name for name, at in (("Read", record.read_at), ("Confirmed", record.confirmed_at)) if at]


class FolderPlace(Place):
    """The folder mailbox and its folder."""

    def __init__(self, base: Path) -> None:
        self.path = base / "letters"
        self.path.mkdir()
        self.settings = folder.Settings.model_validate({"path": "letters", "party": PARTY}, context={"base": base})
        self.mailbox = folder.connect("box", self.settings)

    def put(self, name: str, at: datetime = NOON, files: Mapping[str, bytes] | None = None) -> str:
        letter = self.path / f"letter-{len(list(self.path.iterdir()))}"
        letter.mkdir()
        for each, content in (files or {}).items():
            (letter / each).write_bytes(content)
        told = {
            "service": SERVICE,
            "title": name,
            "published_at": at.isoformat(),
            "files": [{"file": each, "name": each} for each in files or {}],
        }
        (letter / "letter.json").write_text(json.dumps(told))
        return letter.name

    def remove(self, external_id: str) -> None:
        (self.path / external_id / "letter.json").unlink()

    def remove_file(self, external_id: str, name: str) -> None:
        (self.path / external_id / name).unlink()

    def marks(self, external_id: str) -> list[str]:
        return [each for each in ("Read", "Confirmed") if (self.path / external_id / each.upper()).exists()]


@contextmanager
def altinn3_place(base: Path) -> Iterator[Place]:
    with PretendAltinn() as altinn:
        yield Altinn3Place(base, altinn)


@contextmanager
def altinn2_place(base: Path) -> Iterator[Place]:
    with PretendAltinn2() as altinn:
        yield Altinn2Place(base, altinn)


@contextmanager
def folder_place(base: Path) -> Iterator[Place]:
    yield FolderPlace(base)


@pytest.fixture(params=[altinn3_place, altinn2_place, folder_place], ids=["altinn3", "altinn2", "folder"])
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
    """A reference says mailbox, party, service and resource as its channel does, and fetches that letter, which knows its service."""
    ids = {place.put(name): name for name in ("first", "second")}
    refs = place.refs()
    assert set(refs) == set(ids)
    for external_id, ref in refs.items():
        channel = place.channel()
        assert (ref.mailbox, ref.party, ref.service, ref.resource) == ("box", channel.party, place.listed_as, channel.resource)
        envelope = place.mailbox.fetch(ref).envelope
        assert (envelope.title, envelope.ref) == (ids[external_id], replace(ref, service=SERVICE))


def test_a_list_begins_after_the_time_that_it_is_given(place: Place) -> None:
    """The bound excludes; without one everything is listed."""
    early, late = place.put("early", NOON), place.put("late", NOON + timedelta(seconds=1))
    assert {ref.external_id for ref in place.mailbox.list(place.channel(), NOON).refs} == {late}
    assert set(place.refs()) == {early, late}


def test_the_first_listing_can_begin_at_the_beginning(place: Place) -> None:
    """`earliest` gives a time that `list` takes, or None; never one later than what was read up to."""
    for position in (None, NOON):
        since = place.mailbox.earliest(place.channel(), position, NOON + timedelta(days=1))
        assert since is None or since <= (position or NOON + timedelta(days=1))
        place.mailbox.list(place.channel(), since)


def test_a_letter_is_the_same_each_time(place: Place) -> None:
    """Fetching twice gives the same letter, with aware times in UTC and its attachments in the same order."""
    place.put("a", files={"b.pdf": b"b", "a.pdf": b"a"})
    (ref,) = place.refs().values()
    letter = place.mailbox.fetch(ref)
    assert letter == place.mailbox.fetch(ref)
    assert letter.envelope.published_at.tzinfo is UTC
    assert {each.original_name for each in letter.parts} == {"b.pdf", "a.pdf"}


def test_attachments_come_whole_and_again(place: Place) -> None:
    """The bytes are those that were sent, from the start, as often as they are asked for; also none at all, and many."""
    contents = {"empty.txt": b"", "small.pdf": b"%PDF", "large.zip": bytes(range(256)) * 4000}
    place.put("a", files=contents)
    (ref,) = place.refs().values()
    for name, content in (*contents.items(), *contents.items()):
        assert read(place, ref, name) == content


def test_a_download_may_be_left_in_the_middle(place: Place) -> None:
    """Whoever stops reading leaves nothing behind that disturbs the next call."""
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
    """A missing attachment is told by its state, before or on opening; the letter and its other attachments can be had."""
    place.put("a", files={"gone.pdf": b"x", "here.pdf": b"y"})
    (ref,) = place.refs().values()
    before = {each.original_name: each for each in place.mailbox.fetch(ref).parts}
    place.remove_file(ref.external_id, "gone.pdf")
    with pytest.raises(PartUnavailable) as caught, place.mailbox.open_part(ref, before["gone.pdf"]) as chunks:
        list(chunks)
    assert PartState(caught.value.state) is not PartState.PRESENT
    after = {each.original_name: each for each in place.mailbox.fetch(ref).parts}
    assert (after["gone.pdf"].state is PartState.PRESENT, read(place, ref, "here.pdf")) == (False, b"y")


def test_only_marking_marks(place: Place) -> None:
    """Neither listing nor checking nor, unless the mailbox declares it, fetching and downloading tells the sender that a letter was read.

    Where it is declared, fetching marks just that, at once, and that letter only; and the check says so.
    """
    first, second = place.put("a", files={"a.pdf": b"x"}), place.put("b")
    ref = place.refs()[first]
    findings = list(place.mailbox.check())
    assert all(each.ok for each in findings)
    assert any("counts as read" in each.text for each in findings) is place.read_by_fetching
    assert (place.marks(first), place.marks(second)) == ([], [])
    promised = ["Read"] if place.read_by_fetching else []
    for _ in range(2):
        letter = place.mailbox.fetch(ref)
        assert place.marks(first) == promised
    with place.mailbox.open_part(ref, letter.parts[0]) as chunks:
        assert b"".join(chunks) == b"x"
    assert (place.marks(first), place.marks(second)) == (promised, [])


def test_marks_are_set_once(place: Place) -> None:
    """Marking again what is marked is no error and no second mark."""
    external_id = place.put("a")
    (ref,) = place.refs().values()
    for _ in range(2):
        place.mailbox.mark_read(ref)
    assert place.marks(external_id) == ["Read"]
    for _ in range(2):
        place.mailbox.confirm(ref)
        assert place.marks(external_id) == ["Read", "Confirmed"]


def test_many_threads_may_work_at_once(place: Place) -> None:
    """Lists, fetches, downloads and marks of several threads at a time give what they would give one after the other."""
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
    ref = LetterRef(mailbox="box", party=PARTY, service=SERVICE, resource="skatt", external_id="../../no/such letter?x=1#y")
    for use in (place.mailbox.fetch, place.mailbox.mark_read, place.mailbox.confirm):
        with pytest.raises(MailboxError):
            use(ref)


def test_closing_twice_is_fine(place: Place) -> None:
    """A mailbox may be closed more than once, used or not."""
    place.mailbox.close()
    place.refs()
    place.mailbox.close()
    place.mailbox.close()


# The folder's own promises


def folder_mailbox(base: Path) -> folder.Folder:
    (base / "letters" / "one").mkdir(parents=True)
    return folder.connect("box", folder.Settings.model_validate({"path": "letters", "party": PARTY}, context={"base": base}))


PLAIN = {"service": SERVICE, "title": "Hemmelig tittel", "published_at": "2026-03-12T12:00:00+01:00"}


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ("{", "no letter"),
        ("[]", "no JSON object"),
        (json.dumps(PLAIN | {"service": "4255/99"}), "service is unknown"),
        (json.dumps(PLAIN | {"published_at": "2026-03-12T12:00:00"}), "published_at is no time with a zone"),
        (json.dumps(PLAIN | {"title": None}), "wrong or missing: title"),
        (json.dumps(PLAIN | {"files": "a.pdf"}), "no list"),
        (json.dumps(PLAIN | {"files": [{"file": "../../etc/passwd", "name": "x"}]}), "wrong or missing: file"),
    ],
)
def test_a_letter_json_that_is_wrong_is_listed_and_told(tmp_path: Path, told: str, words: str) -> None:
    """A letter that somebody wrote wrongly is not passed over: fetching it says what to correct, and quotes nothing of it."""
    mailbox = folder_mailbox(tmp_path)
    (tmp_path / "letters" / "one" / "letter.json").write_text(told)
    (ref,) = [ref for channel in mailbox.channels() for ref in mailbox.list(channel, None).refs]
    with pytest.raises(MailboxUnavailable, match=words) as caught:
        mailbox.fetch(ref)
    assert "Hemmelig" not in str(caught.value)


def test_a_folder_is_a_letter_once_it_has_its_letter_json(tmp_path: Path) -> None:
    """What is still being put there is not listed; a service may be named by its slug, and confidential post is known as such."""
    mailbox = folder_mailbox(tmp_path)
    assert not [ref for channel in mailbox.channels() for ref in mailbox.list(channel, None).refs]
    (tmp_path / "letters" / "one" / "letter.json").write_text(json.dumps(PLAIN | {"service": "taushetsbelagt"}))
    (ref,) = [ref for channel in mailbox.channels() for ref in mailbox.list(channel, None).refs]
    assert ref.service == "5504/1"
    assert mailbox.fetch(ref).envelope.confidential


def test_the_folder_must_exist(tmp_path: Path) -> None:
    """A folder that is missing is a fault of the configuration; one that goes missing later fails the check."""
    with pytest.raises(ValueError, match="make it, or name another one"):
        folder.Settings.model_validate({"path": "nowhere", "party": PARTY}, context={"base": tmp_path})
    mailbox = folder_mailbox(tmp_path)
    (tmp_path / "letters").rename(tmp_path / "elsewhere")
    assert [each.ok for each in mailbox.check()] == [False]
