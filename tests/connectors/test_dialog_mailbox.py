"""The mailbox of Dialogporten: each letter once, its files as far as they can be had, no trace."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.sandbox.altinn3 import faults
from connectors.sandbox.altinn3.access import RECIPIENT_SCOPES
from connectors.sandbox.dialogs import DialogFile, PretendAddress, PretendTransmission
from connectors.sandbox.letters import PretendLetter
from connectors.sandbox.owner_doors import Door
from daemon.core.errors import AccessRefused, LetterGone, MailboxUnavailable, PartUnavailable
from daemon.core.model import LetterRef, Part, PartState
from tests.connectors.dialog_post import (
    OTHER,
    PARTY,
    SCOPE,
    DialogPost,
    new_post,  # noqa: F401  # a fixture
)


def test_a_dialog_and_each_of_its_letters(post: DialogPost) -> None:
    """The dialog itself, and each transmission that is not the party's own; mirrors of letters of
    Correspondence and the party's own forms are left out, and nobody is told of anything."""
    own = PretendTransmission(sender="PartyRepresentative")
    mirror = PretendTransmission(
        content_reference="https://platform.altinn.no/correspondence/api/v1/correspondence/1/content"
    )
    dialog = post.add(*(PretendTransmission(title=f"Vedtak {n}") for n in range(12)), own, mirror)
    plain = post.add(title="Varsel")
    post.add(resource="app_x", resource_type="AltinnApp")
    post.altinn.publish(PretendLetter(party=PARTY))
    refs = post.refs()
    assert {each.partition("/")[0] for each in refs} == {dialog, plain}
    assert len(refs) == 1 + 12 + 1
    for each in refs.values():
        post.mailbox.fetch(each)
    assert not post.altinn.dialogs.seen_log()
    assert post.altinn.count("dialog") == 0


def test_a_letter_says_what_it_is(post: DialogPost) -> None:
    """Title, sender, times and service come from the search; the service is the dialog's own."""
    post.open(owners={"nav": {"name": "Nav", "organisation": "889640782"}})
    due = post.altinn.clock.now() + timedelta(days=14)
    post.add(title="Varsel om sak", summary="Kort sagt", due_at=due, external_reference="2026/17")
    (letter,) = post.letters()
    sent = letter.envelope
    assert (sent.title, sent.summary, sent.service) == (
        "Varsel om sak",
        "Kort sagt",
        "nav_eksempel_dialog",
    )
    assert (sent.sender_name, sent.sender_org, sent.sender_reference) == (
        "Nav",
        "889640782",
        "2026/17",
    )
    assert sent.due_at == due
    assert sent.references[0]["referenceType"] == "DialogportenDialogId"


def test_titles_with_personal_data_are_hidden(post: DialogPost) -> None:
    """By the rule of their owner they are neither title nor text, which mails, logs and the search
    index show; the properties have them."""
    post.open(owners={})
    post.add(PretendTransmission(title="Vedtak for Kari 010190", summary="Kari"), title="Sak Kari")
    for letter in post.letters():
        sent = letter.envelope
        assert "Kari" not in f"{sent.title} {sent.summary} {sent.body} {sent.sender_name}"
        assert "Kari" in sent.properties["dialogTitle"]


def test_a_file_comes_from_its_owner(post: DialogPost) -> None:
    """With the owner's token, by an address that is asked for again just before."""
    dialog = post.add(PretendTransmission(files=(post.file(content=b"vedtak"),)))
    ref = next(each for key, each in post.refs().items() if key != dialog)
    (part,) = post.mailbox.fetch(ref).parts
    assert part.state is PartState.PRESENT
    before = post.altinn.count("transmissions")
    assert post.read(ref, part) == b"vedtak"
    assert post.altinn.count("transmissions") == before + 1
    assert len(post.owner.tokens) == 1


def part_of(post: DialogPost, file: DialogFile) -> tuple[LetterRef, Part]:
    """Return the only attachment of a new letter, which may be fetched as far as is known."""
    dialog = post.add(PretendTransmission(files=(file,)))
    (ref,) = (each for key, each in post.refs().items() if key.startswith(f"{dialog}/"))
    (part,) = post.mailbox.fetch(ref).parts
    assert part.state is PartState.PRESENT
    return ref, part


@pytest.mark.parametrize(
    ("door", "rule", "words"),
    [
        ("nav", {"scope": RECIPIENT_SCOPES[0]}, r"\(401\) with Maskinporten's token for the scope"),
        ("nav", {"token": "altinn"}, r"\(401\) with Altinn's token for the scope"),
        ("nav", {"token": "none"}, r"\(401\) without a token"),
        ("altinn", {}, r"\(403\) with Maskinporten's token"),
        ("altinn", {"token": "altinn", "scope": RECIPIENT_SCOPES[1]}, r"\(403\) with Altinn's"),
        ("altinn", {"token": "none"}, "redirect"),
        ("signed", {}, "400"),
    ],
)
def test_an_owner_takes_its_own_kind_of_token_only(
    post: DialogPost, door: Door, rule: dict[str, str], words: str
) -> None:
    """As real ones do: by issuer, scope and system user; the reason says what it was shown."""
    post.owner.doors.door = door
    post.open(owners={"nav": {"hosts": [post.owner.url], "scope": SCOPE} | rule})
    ref, part = part_of(post, post.file())
    with pytest.raises(PartUnavailable, match=words):
        post.read(ref, part)


@pytest.mark.parametrize(("door", "token"), [("nav", "maskinporten"), ("altinn", "altinn")])
def test_an_owner_asks_for_the_right_too(post: DialogPost, door: Door, token: str) -> None:
    """A system user without it is refused, which may be mended; with it the file comes."""
    post.owner.doors.door = door
    post.open(owners={"nav": {"hosts": [post.owner.url], "scope": SCOPE, "token": token}})
    ref, part = part_of(post, post.file(needs=(PARTY, "nav_sykepenger_pdf")))
    with pytest.raises(PartUnavailable, match="401") as caught:
        post.read(ref, part)
    assert caught.value.retry
    post.altinn.allow(post.client.client_id, PARTY, ["nav_sykepenger_pdf"])
    assert post.read(ref, part)


def test_a_token_that_was_revoked_is_replaced(post: DialogPost) -> None:
    """Altinn's tokens are kept for half an hour: one that an owner refuses is not shown again."""
    post.owner.doors.door = "altinn"
    post.open(owners={"nav": {"hosts": [post.owner.url], "scope": SCOPE, "token": "altinn"}})
    ref, part = part_of(post, post.file(content=b"vedtak"))
    assert post.read(ref, part) == b"vedtak"
    post.altinn.revoke_tokens()
    assert post.read(ref, part) == b"vedtak"


def test_a_signed_address_that_has_run_out_is_asked_for_anew(post: DialogPost) -> None:
    """It is refused, which a fresh address mends, from a new search."""
    post.owner.doors.door = "signed"
    post.open(owners={"nav": {"hosts": [post.owner.url], "token": "none"}})
    ends = post.altinn.clock.now() + timedelta(minutes=5)
    ref, part = part_of(post, post.file(ends_at=ends))
    assert post.read(ref, part)
    post.altinn.clock.advance(timedelta(minutes=6))
    with pytest.raises(PartUnavailable, match="run out") as caught:
        post.read(ref, part)
    assert caught.value.retry
    post.file(ends_at=ends + timedelta(hours=1))
    assert post.read(ref, part)
    assert post.owner.tokens == []


@pytest.mark.parametrize(
    ("file", "state", "words", "again"),
    [
        ({"media_type": "text/html"}, PartState.UNAVAILABLE, "log-in page", False),
        ({"status": 403}, PartState.UNAVAILABLE, "refuses", True),
        ({"status": 202}, PartState.UNAVAILABLE, "202", True),
        ({"status": 404}, PartState.UNAVAILABLE, "not yet", True),
        ({"status": 409}, PartState.UNAVAILABLE, "409", True),
        ({"status": 410}, PartState.PURGED, "does not have it", False),
        ({"status": 500}, PartState.UNAVAILABLE, "500", True),
        ({"status": 503}, PartState.UNAVAILABLE, "503", True),
        ({"status": 302, "headers": {"Location": "/x"}}, PartState.UNAVAILABLE, "redirect", True),
        ({"content": b"x" * 2_000_000}, PartState.UNAVAILABLE, "larger than 1 MiB", False),
    ],
    ids=lambda each: str(each)[:30],
)
def test_a_file_that_cannot_be_had_is_its_own_state(
    post: DialogPost, file: dict[str, Any], state: PartState, words: str, *, again: bool
) -> None:
    """The letter is there; the file says why not, and whether asking again may help."""
    rule = {"hosts": [post.owner.url], "scope": "nav:eksempel/dokumenter", "largest_file": 1}
    post.open(owners={"nav": rule})
    dialog = post.add(PretendTransmission(files=(post.file(**file),)))
    ref = next(each for key, each in post.refs().items() if key != dialog)
    (part,) = post.mailbox.fetch(ref).parts
    with pytest.raises(PartUnavailable, match=words) as caught:
        post.read(ref, part)
    assert (caught.value.state, caught.value.retry) == (state, again)


def test_what_is_known_beforehand_is_not_tried(post: DialogPost) -> None:
    """Expired and withheld files, those for people only and those on other servers, whatever they
    are called, are noted with their reason."""
    now = post.altinn.clock.now()
    url = f"{post.owner.url}/1.pdf"
    files = (
        DialogFile(addresses=(PretendAddress(url=url),), display_name="a", expires_at=now),
        DialogFile(addresses=(PretendAddress(url=url),), display_name="b", authorized=False),
        DialogFile(addresses=(PretendAddress(url=url, consumer="Gui"),), display_name="c"),
        DialogFile(addresses=(PretendAddress(url="https://expired.no/1"),), display_name="d"),
    )
    dialog = post.add(PretendTransmission(files=files))
    letter = next(each for each in post.letters() if each.envelope.external_id != dialog)
    assert [each.state for each in letter.parts] == [
        PartState.EXPIRED,
        PartState.UNAVAILABLE,
        PartState.UNAVAILABLE,
        PartState.UNAVAILABLE,
    ]
    assert set(letter.envelope.properties["notHad"]) == {"a", "b", "c", "d"}
    assert post.owner.asked == ()


def test_the_files_of_a_dialog_itself_need_a_mark(post: DialogPost) -> None:
    """By default the dialog is not opened, and the letter says so; if the owner's rule allows it,
    it is opened once, and its files are had."""
    url = post.file().addresses[0].url
    address = PretendAddress(url=url, consumer="Gui")
    post.add(files=(DialogFile(addresses=(address,), display_name="skattemelding"),))
    (letter,) = post.letters()
    assert letter.parts == ()
    assert "mark" in letter.envelope.properties["notHad"]["1 attachments"]
    assert not post.altinn.dialogs.seen_log()
    rule = {"hosts": [post.owner.url], "token": "none", "addresses": ["gui"], "seen": "allowed"}
    post.owner.doors.door = "signed"
    mailbox = post.open(owners={"nav": rule})
    (ref,) = post.refs().values()
    (part,) = mailbox.fetch(ref).parts
    assert post.read(ref, part).startswith(b"%PDF")
    assert len(post.altinn.dialogs.seen_log()) == 1
    assert post.owner.tokens == []


def test_a_dialog_is_opened_when_its_letter_is_stored(post: DialogPost) -> None:
    """With `seen = "stored"` fetching opens nothing; only then its files are known and had. Where
    the rule is taken back, nothing is opened any more, and nothing is called gone."""
    post.owner.doors.door = "signed"
    address = PretendAddress(url=post.file().addresses[0].url, consumer="Gui")
    post.add(files=(DialogFile(addresses=(address,), display_name="skattemelding"),))
    rule = {"hosts": [post.owner.url], "token": "none", "addresses": ["gui"], "seen": "stored"}
    mailbox = post.open(owners={"nav": rule})
    (ref,) = post.refs().values()
    letter = mailbox.fetch(ref)
    assert (letter.parts, post.altinn.dialogs.seen_log()) == ((), [])
    assert letter.opening
    assert not letter.opening.done
    assert PARTY in letter.opening.by
    assert "seen = stored for the owner nav" in letter.opening.why
    assert "once its letter is stored" in letter.envelope.properties["notHad"]["1 attachments"]
    (part,) = mailbox.open_stored(ref).parts
    assert len(post.altinn.dialogs.seen_log()) == 1
    assert post.read(ref, part).startswith(b"%PDF")
    mailbox = post.open(owners={"nav": rule | {"seen": "never"}})
    before = post.altinn.count("dialog")
    with pytest.raises(AccessRefused, match="cannot be taken back"):
        mailbox.open_stored(ref)
    with pytest.raises(PartUnavailable, match="cannot be taken back") as caught:
        post.read(ref, part)
    assert caught.value.state == PartState.UNAVAILABLE
    assert post.altinn.count("dialog") == before


def test_withheld_letters_are_noted(post: DialogPost) -> None:
    """A transmission that the owner keeps back is not in the list; the dialog's letter says so."""
    dialog = post.add(PretendTransmission(), PretendTransmission(withheld=True))
    letters = {each.envelope.external_id: each for each in post.letters()}
    assert len(letters) == 2
    assert "1 letters of the dialog" in letters[dialog].envelope.properties["notHad"]


def test_a_letter_is_added_silently(post: DialogPost) -> None:
    """It moves no time, but the count of letters, so that a walk finds it."""
    dialog = post.add(PretendTransmission())
    assert len(post.refs()) == 2
    post.altinn.dialogs.add_transmission(dialog, PretendTransmission(), silent=True)
    assert len(post.refs()) == 3


def test_few_calls(post: DialogPost) -> None:
    """A list costs one search, and one call for each dialog with letters that has changed."""
    dialogs = [post.add(PretendTransmission()) for _ in range(5)]
    post.refs()
    post.altinn.forget_calls()
    post.refs()
    assert post.altinn.count() == 1
    post.altinn.dialogs.add_transmission(dialogs[0], PretendTransmission())
    post.refs()
    assert (post.altinn.count("transmissions"), post.altinn.count("dialogsearch")) == (1, 2)


def test_a_dialog_that_cannot_be_listed_stops_no_other(post: DialogPost) -> None:
    """The listing is incomplete then, and says why."""
    post.add(PretendTransmission())
    post.add()
    post.altinn.faults.inject(faults.status(404), "transmissions", times=None)
    listing = post.mailbox.list(post.mailbox.channels()[0], None)
    assert len(listing.refs) == 2
    assert "1 dialogs" in listing.shortfall
    post.altinn.faults.clear()
    assert len(post.refs()) == 3


def test_a_letter_that_is_gone_and_one_that_is_hidden(post: DialogPost) -> None:
    """Only a dialog that is deleted is gone; a right that is missing may come back."""
    gone, hidden = post.add(), post.add()
    refs = post.refs()
    post.altinn.dialogs.delete(gone)
    mailbox = post.open()
    post.altinn.faults.inject(faults.status(404), "dialoglookup")
    with pytest.raises(MailboxUnavailable):
        mailbox.fetch(refs[gone])  # a gateway says so
    with pytest.raises(LetterGone):
        mailbox.fetch(refs[gone])
    post.altinn.revoke(post.client.client_id, PARTY, ["nav_eksempel_dialog"])
    post.altinn.clock.advance(timedelta(minutes=16))
    mailbox = post.open()
    with pytest.raises(MailboxUnavailable):
        mailbox.fetch(refs[hidden])


def test_all_parties_need_the_bell(post: DialogPost) -> None:
    """`bell = "off"` is not ignored where Dialogporten is asked which organisations there are."""
    with pytest.raises(ValidationError, match='bell = "off"'):
        post.open(system_user=PARTY, parties="all", bell="off")


def test_a_dialog_that_is_deleted_while_its_letter_is_fetched(post: DialogPost) -> None:
    """What is remembered of a dialog is forgotten when its letters cannot be asked for, so that the
    next poll finds out that it is gone, and does not try for ever."""
    dialog = post.add(PretendTransmission(files=(post.file(),)))
    ref = next(each for key, each in post.refs().items() if key != dialog)
    (part,) = post.mailbox.fetch(ref).parts
    post.altinn.dialogs.delete(dialog)
    with pytest.raises(MailboxUnavailable):
        post.read(ref, part)
    with pytest.raises(LetterGone):
        post.mailbox.fetch(ref)


def test_files_that_are_withheld_without_a_trace_are_noted(post: DialogPost) -> None:
    """A file of which only a stub is shown is a part that is missing, in a transmission and in a
    dialog that is opened: no letter is called complete that is not."""
    rule = {"hosts": [post.owner.url], "scope": SCOPE, "seen": "allowed", "addresses": ["gui"]}
    post.open(owners={"nav": rule})
    address = PretendAddress(url=post.file().addresses[0].url, consumer="Gui")
    files = (
        DialogFile(addresses=(address,), display_name="a"),
        DialogFile(addresses=(address,), display_name="b", withheld=True),
    )
    post.add(PretendTransmission(files=files), files=files)
    for letter in post.letters():
        assert [each.state for each in letter.parts] == [PartState.PRESENT, PartState.UNAVAILABLE]
        assert letter.envelope.properties["notHad"] == {
            "vedlegg-2": "the owner withholds it from this system user"
        }


def test_a_check_searches_as_each_system_user(post: DialogPost) -> None:
    """An organisation whose system user is missing is found, whatever its place in the list; an
    agent system user is checked once for all."""
    assert all(each.ok for each in post.mailbox.check())
    post.altinn.revoke(post.client.client_id, OTHER)
    missing = [each for each in post.open().check() if not each.ok]
    assert [each.subject for each in missing] == [f"{OTHER} dialogs"]
    agent = post.open(system_user=PARTY, parties=[OTHER, PARTY])
    assert [each.subject for each in agent.check() if "dialogs" in each.subject] == [
        f"{PARTY} dialogs"
    ]


def test_a_check_says_what_the_owner_table_allows(post: DialogPost) -> None:
    """A mark that cannot be taken back is announced before it is made, and why no file can come."""
    rule = {"hosts": [post.owner.url], "seen": "allowed"}
    signed = {"hosts": ["fil.no"], "token": "none", "seen": "stored"}
    mailbox = post.open(owners={"nav": rule, "skd": {}, "brg": signed})
    findings = {each.subject: each for each in mailbox.check()}
    assert findings[f"{PARTY} dialogs"].ok
    assert "cannot be taken back" in findings["owner nav"].text
    assert "no files: `scope` is not set" in findings["owner nav"].text
    assert "no files: `hosts` is empty" in findings["owner skd"].text
    assert "from fil.no only" in findings["owner brg"].text
    assert "as soon as their letters are stored (`seen`)" in findings["owner brg"].text
    assert [findings[f"owner {each}"].warning for each in ("nav", "skd", "brg")] == [
        True,
        False,
        True,
    ]
    assert not post.altinn.dialogs.seen_log()
