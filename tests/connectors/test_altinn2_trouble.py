"""The Altinn 2 mailbox when something goes wrong: every fault is reported in words, and no letter
is lost or taken half."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from connectors.altinn2.letters import Element
from connectors.altinn2.listing import find_all
from connectors.sandbox.altinn2.xml import altinn_fault
from connectors.sandbox.altinn3 import faults
from connectors.sandbox.letters import PretendAttachment
from daemon.core.errors import AccessRefused, MailboxError, MailboxUnavailable
from daemon.core.model import PartState
from tests.connectors.altinn2_post import (
    NOON,
    Box,
    new_box,  # noqa: F401  # a fixture
    read,
    refs,
)


def test_an_attachment_of_the_archive_that_fails_lets_the_letter_wait(box: Box) -> None:
    """The letter is not stored without an attachment that may be had at the next poll."""
    number = box.put(attachments=(PretendAttachment(content=b"x"),))
    box.altinn.archive(number)
    mailbox = box.mailbox()
    (ref,) = refs(mailbox)
    box.altinn.faults.inject(faults.status(503), "attachment")
    with pytest.raises(MailboxUnavailable):
        mailbox.fetch(ref)
    assert mailbox.fetch(ref).parts[0].state is PartState.PRESENT


@pytest.mark.parametrize("number", [0, 5, 989])
def test_a_refusal_of_the_password_is_not_repeated(box: Box, number: int) -> None:
    """A wrong password is told in words and then left alone, for the user would be locked; the
    fault's own words are not repeated."""
    box.altinn.faults.inject(
        faults.Fault(
            name="refused", instead=lambda: altinn_fault(number, "Ola Nordmann har feil passord")
        ),
        "list",
    )
    mailbox = box.mailbox()
    for _ in range(3):
        with pytest.raises(AccessRefused, match=rf"ErrorID {number}, ErrorGuid 7b0f4b1e") as caught:
            refs(mailbox)
        assert "Nordmann" not in str(caught.value)
    assert box.altinn.count("list") == 1
    assert [each.ok for each in mailbox.check()] == [False, True, True]


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (
            faults.Fault(name="x", instead=lambda: altinn_fault(14, "x")),
            AccessRefused,
            "lacks the right",
        ),
        (
            faults.Fault(name="x", instead=lambda: altinn_fault(21, "x")),
            AccessRefused,
            "higher security level",
        ),
        (
            faults.Fault(name="x", instead=lambda: altinn_fault(30001, "x")),
            AccessRefused,
            "may not act for the party",
        ),
        (
            faults.Fault(name="x", instead=lambda: altinn_fault(10000, "x")),
            MailboxUnavailable,
            "database refuses",
        ),
        (
            faults.Fault(name="x", instead=lambda: altinn_fault(4711, "x")),
            MailboxUnavailable,
            "no documented reason",
        ),
        (
            faults.html_page(),
            MailboxUnavailable,
            "a web page came instead of an answer, with status 200",
        ),
        (
            faults.status(503),
            MailboxUnavailable,
            "a web page came instead of an answer, with status 503",
        ),
        (faults.status(500), MailboxUnavailable, "something else came instead of an answer"),
        (faults.login_redirect(), MailboxUnavailable, "a redirect, which is not followed"),
        (faults.reset(), MailboxUnavailable, "did not return the list"),
        (faults.lost_answer(), MailboxUnavailable, "did not return the list"),
        (faults.cut_short(announced=False), MailboxUnavailable, "did not return the list"),
        (faults.wrong_bytes(), MailboxUnavailable, "not complete XML"),
        (faults.gzip_bomb(8), MailboxUnavailable, "compressed"),
    ],
    ids=lambda value: value.name if isinstance(value, faults.Fault) else None,
)
def test_every_fault_is_told_in_words(
    box: Box, fault: faults.Fault, kind: type[MailboxError], words: str
) -> None:
    """Whatever comes instead of an answer is one of the errors of the contract, and passes with its
    cause."""
    box.put()
    mailbox = box.mailbox()
    box.altinn.faults.inject(fault, "list")
    with pytest.raises(kind, match=words):
        refs(mailbox)
    assert len(refs(mailbox)) == 1


_ENVELOPE = b"<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'>%b</s:Envelope>"


@pytest.mark.parametrize(
    "inside",
    [
        _ENVELOPE % b"<s:Body><s:Fault><faultcode>s:Server</faultcode></s:Fault></s:Body>",
        _ENVELOPE % b"<s:Body/>",
        _ENVELOPE % b"<s:Body><other/></s:Body>",
        b"<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'>]><x>&a;</x>",
        b"<x><AttachmentData>***</AttachmentData></x>",
        b"",
    ],
    ids=["fault without words", "empty body", "another element", "DTD", "no base64", "nothing"],
)
def test_nonsense_is_no_empty_inbox(box: Box, inside: bytes) -> None:
    """XML that is not an answer is a failure, never an empty list."""
    from connectors.sandbox.http_server import Response

    answer = Response(status=200, body=inside, headers=(("Content-Type", "text/xml"),))
    box.altinn.faults.inject(faults.Fault(name="nonsense", instead=lambda: answer), "list")
    with pytest.raises(MailboxUnavailable):
        refs(box.mailbox())


def test_a_letter_that_is_too_large_stays_and_is_named(box: Box) -> None:
    """Above the limit the letter is refused with what to do; it stays listed, and the others
    come."""
    large = box.put(attachments=(PretendAttachment(size=2 << 20),))
    box.put(title="small")
    mailbox = box.mailbox(largest_letter=1)
    by_id = {ref.external_id: ref for ref in refs(mailbox)}
    with pytest.raises(
        MailboxUnavailable,
        match=rf"all of letter {large}: its answer is larger than 1,048,576 bytes; "
        "raise largest_letter",
    ):
        mailbox.fetch(by_id[str(large)])
    assert (
        len(refs(mailbox))
        == len([mailbox.fetch(ref) for key, ref in by_id.items() if key != str(large)]) + 1
    )


def test_no_room_for_attachments_is_told(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where attachments cannot be put aside, the letter waits, with the reason and what to do; and
    then comes."""
    box.put(attachments=(PretendAttachment(content=b"x"),))
    mailbox = box.mailbox()
    (ref,) = refs(mailbox)
    with monkeypatch.context() as patched:
        patched.setattr("tempfile.tempdir", str(box.base / "nowhere"))
        with pytest.raises(MailboxUnavailable, match=r"no such file or directory.*make room"):
            mailbox.fetch(ref)
    assert read(mailbox, ref, mailbox.fetch(ref).parts[0]) == b"x"


def test_a_minute_that_is_cut_is_told() -> None:
    """More letters of one minute than a list holds are found as far as can be, and that some may be
    missing is said."""
    letters = {str(each): NOON + timedelta(milliseconds=each) for each in range(900)}

    def ask(after: datetime | None, before: datetime) -> dict[str, Element]:
        there = [
            each for each, at in letters.items() if (after is None or at > after) and at < before
        ]
        return {
            each: Element(external_id=each, archive_id=None, changed_at=letters[each])
            for each in there[:100]
        }

    found = find_all(ask, None, NOON + timedelta(days=1))
    assert "there may be more" in found.shortfall


@pytest.mark.parametrize("archived", [False, True])
@pytest.mark.parametrize(
    "value",
    [
        "0001-01-01T00:00:00",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59.9999999",
        "9999-12-31T23:59:59-01:00",
        "",
        "0",
        None,
    ],
)
def test_a_time_that_stands_for_none(box: Box, value: str | None, *, archived: bool) -> None:
    """What .NET leaves in a time that was never set is none: the letter comes, beside others, from
    the inbox and from the archive."""
    mailbox, names = box.mailbox(), ("DateSent", "DueDate", "LastChangedDate")
    told = [
        name for name in names if not (name == "DateSent" and archived and value in {"", "0", None})
    ]  # an empty letter there is none
    odd = {str(box.put(title=name, overrides={name: value})) for name in told}
    if archived:
        for each in odd:
            box.altinn.archive(int(each))
    plain = str(box.put(title="plain"))
    found = {ref.external_id: mailbox.fetch(ref).envelope for ref in refs(mailbox)}
    assert set(found) == {*odd, plain}
    for each in odd:
        told_of = found[each]
        assert (told_of.due_at is None) == (told_of.title == "DueDate")
        assert (told_of.requested_at is None) == (told_of.title == "DateSent")
        assert 2025 < told_of.published_at.year < 9000


def test_characters_that_xml_does_not_have(box: Box) -> None:
    """What .NET writes as a reference to no character hides neither the letter nor those beside it
    in the list."""
    mailbox = box.mailbox()
    odd, plain = (
        str(box.put(title="a\0b\ud800c\x1f\ufffe", body="x\0")),
        str(box.put(title="æ &#x0; <b>")),
    )
    found = {ref.external_id: mailbox.fetch(ref).envelope for ref in refs(mailbox)}
    assert (found[odd].title, found[odd].body) == ("a\ufffdb\ufffdc\ufffd\ufffd", "x\ufffd")
    assert found[plain].title == "æ &#x0; <b>"
