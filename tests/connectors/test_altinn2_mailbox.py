"""The Altinn 2 mailbox against the pretend Altinn 2: what it refuses, what it makes of faults, and
that no letter is lost."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.altinn2.letters import Element
from connectors.altinn2.listing import find_all
from connectors.mailboxes import altinn2
from connectors.sandbox.altinn2.server import PretendAltinn2
from connectors.sandbox.altinn2.xml import altinn_fault
from connectors.sandbox.altinn3 import faults
from connectors.sandbox.letters import PretendAttachment, PretendLetter
from connectors.sandbox.samples import sandbox_resource, sandbox_resources
from connectors.sandbox.setup import altinn2_section
from daemon.core.dpv import DPV_SERVICES
from daemon.core.errors import AccessRefused, LetterGone, MailboxError, MailboxUnavailable
from daemon.core.model import LetterRef, Part, PartState

PARTY = "991825827"
NOON = datetime(2026, 3, 12, 12, tzinfo=UTC)


@dataclass
class Box:
    """A mailbox, and the pretend Altinn 2 at its other side."""

    altinn: PretendAltinn2
    base: Path
    opened: list[altinn2.Altinn2] = field(default_factory=list)

    def settings(self, **more: Any) -> altinn2.Settings:
        told = {**altinn2_section(self.base, self.altinn, PARTY), **more}
        return altinn2.Settings.model_validate(told, context={"base": self.base})

    def mailbox(self, **more: Any) -> altinn2.Altinn2:
        self.opened.append(altinn2.connect("box", self.settings(**more)))
        return self.opened[-1]

    def put(self, **fields: Any) -> int:
        told: dict[str, Any] = {"party": PARTY, "requested_at": NOON, **fields}
        return self.altinn.publish(PretendLetter(**told))


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    with PretendAltinn2() as altinn:
        box = Box(altinn, tmp_path)
        yield box
        for each in box.opened:
            each.close()


def refs(mailbox: altinn2.Altinn2) -> list[LetterRef]:
    return list(mailbox.list(mailbox.channels()[0], None).refs)


def read(mailbox: altinn2.Altinn2, ref: LetterRef, part: Part) -> bytes:
    with mailbox.open_part(ref, part) as chunks:
        return b"".join(chunks)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (
            {"mark_read": "never"},
            "is not possible: Altinn 2 marks a letter as read when it is opened",
        ),
        ({"mark_read": "stored"}, 'can only be "fetched"'),
        ({"confidential": "fetch"}, "is not possible: Altinn 2 marks a letter as read"),
        ({"url": "https://www.altinn.no"}, "switched off in June 2026"),
        ({"url": "https://tt02.altinn.no/ServiceEngineExternal"}, "switched off in June 2026"),
        ({"url": "https://ALTINN.no."}, 'use type = "altinn3"'),
        ({"url": "http://altinn2.example.no"}, "not an https address"),
        ({"url": "https://user:hemmelig@altinn2.example.no"}, "not an https address"),
        ({"system_name": " "}, "is empty"),
        ({"user_pin_file": "nowhere"}, "create the file"),
    ],
)
def test_what_would_mislead_is_refused(box: Box, told: dict[str, Any], words: str) -> None:
    """A configuration that cannot be kept, or that leads to the service that is gone, is refused
    with the reason."""
    with pytest.raises(ValidationError, match=re.escape(words)):
        box.settings(**told)


def test_it_says_what_to_install(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra a configuration that needs it is refused, and says what to install."""
    box.settings()
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ValidationError, match=re.escape("pip install '<the wheel>[soap]'")):
        box.settings()


def test_without_the_extra_the_module_still_loads() -> None:
    """Neither zeep nor lxml is imported before a mailbox is used, so everything else works where
    they are missing."""
    code = """
import sys
sys.modules["zeep"] = sys.modules["lxml"] = None
import connectors.mailboxes.altinn2, connectors.altinn2.client, connectors.altinn2.unpack
"""
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_each_service_is_known_by_the_name_that_the_letter_bears(box: Box) -> None:
    """All ten come with code and edition; a letter is in no other field different from what was
    sent."""
    mailbox = box.mailbox()
    numbers = {
        str(box.put(resource=sandbox_resource(each.code))): each.code for each in DPV_SERVICES
    }
    found = {ref.external_id: mailbox.fetch(ref).envelope.service for ref in refs(mailbox)}
    assert found == numbers


def test_a_letter_with_another_name_keeps_the_code(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be told apart is not guessed: the letter is kept under the code alone."""
    box.put()
    monkeypatch.setattr(
        "connectors.sandbox.altinn2.server.Correspondence.service_name", "Post fra kommunen"
    )
    mailbox = box.mailbox()
    assert mailbox.fetch(refs(mailbox)[0]).envelope.service == "4255"


def test_confidential_post_is_listed_and_never_opened(box: Box) -> None:
    """A confidential letter is in the list of its own channel, which nobody fetches from, and in no
    other."""
    box.put(resource=sandbox_resources()["5504/1"])
    mailbox = box.mailbox()
    ordinary, confidential = mailbox.channels()
    assert (len(mailbox.list(ordinary, None).refs), len(mailbox.list(confidential, None).refs)) == (
        0,
        1,
    )
    assert (confidential.list_only, ordinary.list_only) == (True, False)
    assert len(box.mailbox(confidential="off").channels()) == 1


def test_an_empty_inbox_is_no_trouble(box: Box) -> None:
    """A list of nothing, which the interface answers with an empty element, is an empty list."""
    assert refs(box.mailbox()) == []


def test_a_letter_of_the_archive_keeps_its_name_and_comes_whole(box: Box) -> None:
    """A letter that somebody archived before it was fetched has the id that it had, and its
    attachments, and nothing marks it."""
    number = box.put(
        title="Gammelt brev",
        attachments=(
            PretendAttachment(name="a.pdf", content=b"%PDF arkiv"),
            PretendAttachment(name="b"),
        ),
    )
    mailbox = box.mailbox()
    before = refs(mailbox)
    box.altinn.archive(number)
    assert refs(mailbox) == before
    letter = mailbox.fetch(before[0])
    assert (letter.envelope.title, letter.envelope.altinn2_id) == ("Gammelt brev", number)
    assert [(each.state, read(mailbox, before[0], each)) for each in letter.parts] == [
        (PartState.PRESENT, b"%PDF arkiv"),
        (PartState.PRESENT, b""),
    ]
    assert box.altinn.record(number).read_at is None


def test_a_letter_that_moves_to_the_archive_meanwhile_is_not_gone(box: Box) -> None:
    """Archived between list and fetch, a letter is tried again and then comes; only one that no
    list has any more is gone."""
    number = box.put(title="Flyttet")
    mailbox = box.mailbox()
    (ref,) = refs(mailbox)
    box.altinn.archive(number)
    with pytest.raises(MailboxUnavailable, match="may have been moved"):
        mailbox.fetch(ref)
    assert mailbox.fetch(ref).envelope.title == "Flyttet"
    box.altinn.withdraw(number)
    with pytest.raises(LetterGone):
        mailbox.fetch(ref)


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
    """XML that is no answer is trouble, never a list of nothing."""
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


def test_thirty_megabytes_take_less_than_three_hundred(box: Box) -> None:
    """A letter with an attachment of 30 MB is fetched and read in less than 300 MB of memory, all
    of the process counted."""
    box.put(attachments=(PretendAttachment(size=30_000_000),))
    code = """
import sys
from pathlib import Path
from connectors.mailboxes import altinn2
settings = {"url": sys.argv[2], "system_name": "4255", "parties": [sys.argv[3]]}
for key in ("system_password", "user_ssn", "user_password", "user_pin"):
    settings[f"{key}_file"] = f"altinn2-{key.replace('_', '-')}"
context = {"base": Path(sys.argv[1])}
mailbox = altinn2.connect("box", altinn2.Settings.model_validate(settings, context=context))
(ref,) = mailbox.list(mailbox.channels()[0], None).refs
with mailbox.open_part(ref, mailbox.fetch(ref).parts[0]) as chunks:
    size = sum(map(len, chunks))
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
# getrusage would count what the parent had before this process began
print(size, int(status["VmHWM"].split()[0]))
"""
    box.settings()
    command = [sys.executable, "-c", code, str(box.base), box.altinn.url, PARTY]
    size, peak = map(
        int, subprocess.check_output(command, cwd=Path(__file__).parents[2], text=True).split()
    )
    assert size == 30_000_000
    assert peak < 300_000, f"{peak} kB"


def test_nothing_secret_is_logged(box: Box, caplog: pytest.LogCaptureFixture) -> None:
    """Not even at the finest level do credentials, titles or contents reach the log, nor a
    setting's repr."""
    number = box.put(title="Hemmelig tittel", body="Hemmelig tekst")
    mailbox = box.mailbox(confirm="stored")
    with caplog.at_level(logging.DEBUG):
        (ref,) = refs(mailbox)
        mailbox.fetch(ref)
        mailbox.confirm(ref)
        box.altinn.withdraw(number)
        with pytest.raises(LetterGone) as gone:
            mailbox.fetch(ref)
    shown = caplog.text + repr(box.settings()) + repr(vars(mailbox)) + str(gone.value)
    for secret in (
        *(
            box.altinn.credentials[each]
            for each in ("systemPassword", "userSSN", "userPassword", "userPinCode")
        ),
        "Hemmelig",
    ):
        assert secret not in shown


def test_a_letter_that_is_not_to_be_confirmed_is_left_alone(box: Box) -> None:
    """Where the sender asks for no confirmation, confirming is no error and there is nothing to
    wait for."""
    box.put(confirmation_needed=False)
    mailbox = box.mailbox()
    (ref,) = refs(mailbox)
    mailbox.confirm(ref)
    assert mailbox.confirmed(ref)
    assert box.altinn.count("confirm") == 0


def test_a_list_that_is_cut_is_read_whole(box: Box) -> None:
    """Behind a list that is cut without a word, every letter is found; times with summer and winter
    in between."""
    box.altinn.list_limit = 100
    numbers = {str(box.put(requested_at=NOON + timedelta(hours=5 * each))) for each in range(350)}
    mailbox = box.mailbox()
    listing = mailbox.list(mailbox.channels()[0], NOON - timedelta(days=1))
    assert ({ref.external_id for ref in listing.refs}, listing.shortfall) == (numbers, "")


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
