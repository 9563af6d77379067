"""The Altinn 2 mailbox against the simulated Altinn 2: what it refuses, and how letters come."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.sandbox.letters import PretendAttachment
from connectors.sandbox.samples import sandbox_resource, sandbox_resources
from daemon.core.dpv import DPV_SERVICES
from daemon.core.errors import LetterGone, MailboxUnavailable
from daemon.core.model import PartState
from tests.connectors.altinn2_post import (
    NOON,
    PARTY,
    Box,
    new_box,  # noqa: F401  # a fixture
    read,
    refs,
)


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
    """Where the sender asks for no confirmation, confirming is not an error and nothing is left to
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
