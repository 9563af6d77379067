"""What commands say is whole, said once, and in the words of the one who reads it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import repeat
from pathlib import Path

import pytest

from daemon.core.errors import AccessRefused, MailboxUnavailable, PermanentFailure, TemporaryFailure
from tests.unit.conftest import SECRET, TAX
from tests.unit.memory import MemoryDestination, MemoryMailbox
from tests.unit.service.conftest import DATE, MAILBOXES, PLACES, Command

CLOSED = TemporaryFailure(
    f"the drop folder /srv/drop is read-only; mount it for writing {'and again ' * 25}at last"
)


@pytest.fixture
def box(command: Command) -> MemoryMailbox:
    """The mailbox, with two letters."""
    MAILBOXES["altinn"] = box = MemoryMailbox()
    for name in ("a", "b"):
        box.publish(name, title=f"Brev {name}")
    return box


@pytest.fixture
def oslo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine's zone is Norway's."""
    monkeypatch.setenv("TZ", "Europe/Oslo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_a_headline_names_the_cause(command: Command, box: MemoryMailbox) -> None:
    """Of dead deliveries, the first line of `status` has what must be set right."""
    PLACES["erp"] = MemoryDestination(
        "erp", fails=repeat(PermanentFailure("the server refuses the log-in; renew it"))
    )
    command("poll")
    shown = command("status").out
    first, remedy, *_ = shown.splitlines()
    assert "Not delivered to erp and not tried again: 2: the server refuses the log-in" in first
    assert remedy.strip().startswith("renew it, and see `postmottak deliveries list --state")


def test_an_edit_with_errors_names_the_first(
    command: Command, box: MemoryMailbox, configuration_file: Path
) -> None:
    """An edit that is ignored is named with its place and key; what is wrong stands below."""
    command("poll")
    (configuration_file.parent / "routing.toml").write_text('[[route]]\nto = ["pst"]\n')
    first, *others = command("status").out.splitlines()
    assert "routing.toml:1 (route[1].name)" in first
    assert any("route[1].name: is required" in line for line in others)


def test_a_remedy_is_whole_in_a_pipe(command: Command, box: MemoryMailbox) -> None:
    """Another program gets every word."""
    PLACES["erp"] = MemoryDestination("erp", fails=repeat(CLOSED))
    command("poll")
    shown = command("status").out
    assert "at last" in shown
    assert "…" not in shown


def test_times_are_in_one_zone(command: Command, box: MemoryMailbox, oslo: None) -> None:
    """`status` has no UTC beside local times; a monitor gets UTC."""
    PLACES["erp"] = MemoryDestination("erp", fails=repeat(CLOSED))
    command("poll")
    assert " UTC" not in command("status").out
    assert " UTC" in command("status", "--monitor").out


def test_refused_channels_are_counted_as_what_they_are(
    command: Command, box: MemoryMailbox
) -> None:
    """Confidential post that may not be listed is not called presumed."""
    guesses = [replace(TAX, resource=name, presumed=True) for name in ("plan", "bygg")]
    box.boxes = [TAX, *guesses, replace(SECRET, presumed=True)]
    for each in box.boxes[1:]:
        box.fails["list", each.resource] = repeat(AccessRefused("no right"))
    command("poll")
    shown = command("status").out
    assert "2 presumed channels cannot be read" in shown
    assert "1 channel of confidential post cannot be read" in shown


def test_a_poll_says_a_cause_once(command: Command, box: MemoryMailbox) -> None:
    """What stops every channel is said once, with how often; `--json` has each."""
    box.boxes = [replace(TAX, resource=f"resource-{number}") for number in range(21)]
    for each in box.boxes:
        box.fails["list", each.resource] = repeat(MailboxUnavailable("the key is wrong; renew it"))
    shown = command("poll").out
    assert shown.count("the key is wrong") == 1
    assert "21 times, first: 991825827 4255/8 resource-0: the key is wrong" in shown
    assert len(command("poll", "--json").json["problems"]) == 21


def test_an_empty_list_is_one_line(command: Command, box: MemoryMailbox) -> None:
    """A list without anything says so; for programs it is an empty list."""
    box.letters.clear()
    command("poll")
    for words, line in (
        (("deliveries", "list"), "no deliveries\n"),
        (("messages", "list"), "no letters\n"),
    ):
        assert command(*words).out == line
        assert command(*words, "--json").json == []


def test_deliveries_are_listed_with_titles_and_times(command: Command, box: MemoryMailbox) -> None:
    """Each line has the letter's title and when it was delivered or is due; a reason that was just
    given is not repeated."""
    PLACES["mail"] = MemoryDestination("mail", fails=repeat(CLOSED))
    for name in ("c", "d"):
        box.publish(name, title="Skatt")
    command("poll")
    lines = command("deliveries", "list").out.splitlines()
    assert "title" in lines[0]
    assert "delivered or due" in lines[0]
    assert all(DATE.search(line) for line in lines[1:])
    assert sum("Skatt" in line for line in lines) == 4
    waiting = command("deliveries", "list", "--destination", "mail").out
    assert (waiting.count("read-only"), waiting.count("as above")) == (1, 1)


@pytest.mark.parametrize(
    ("verb", "offered", "refused"),
    [("retry", "pending or dead", "delivered"), ("release", "held", "pending")],
)
def test_help_offers_what_is_taken(command: Command, verb: str, offered: str, refused: str) -> None:
    """`--state` offers the states that the command takes, and no others."""
    shown = command("deliveries", verb, "-h").out
    assert f"Delivery state: {offered}." in " ".join(shown.split())
    assert refused not in shown.partition("--state")[2].partition("--destination")[0]


def test_a_confidential_letter_that_waits(command: Command, box: MemoryMailbox) -> None:
    """By the id that `status --all` shows, `messages show` says what is known, and why no more."""
    box.publish("secret", channel=replace(SECRET, list_only=True, fetch_confidential=False))
    box.boxes = [TAX, replace(SECRET, list_only=True, fetch_confidential=False)]
    command("poll")
    shown = command("messages", "show", "secret")
    assert shown.code == 0
    assert "not stored" in shown.out
    assert "confidential post" in shown.out
    assert command("messages", "show", "secret", "--json").json["state"] == "waiting"
    assert command("messages", "show", "other").code == 1
