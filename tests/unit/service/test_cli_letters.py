"""The operator's commands for letters and deliveries: what they show, and what they do."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from daemon.core.model import message_id
from tests.unit.conftest import TABLE
from tests.unit.memory import MemoryMailbox
from tests.unit.service.conftest import DATE, MAILBOXES, Command, with_letters

DUE = "1 delivery due now, for the service or the next `postmottak poll`\n"


def test_letters_and_deliveries(command: Command, configure: Callable[[str, str], None]) -> None:
    """Letters and deliveries are listed and shown, with why they went where they went, for people
    and for programs."""
    with_letters(configure)
    command("poll")
    letters = command("messages", "list", "--json").json
    assert [each["deliveries"] for each in letters] == [{"erp": "delivered"}] * 2
    shown = command("messages", "show", letters[0]["id"][:8], "--json").json
    (decision,) = shown["decisions"]
    assert (decision["route"], decision["routing_version"], len(shown["attachments"])) == (
        "Alt annet",
        TABLE.version,
        1,
    )
    assert [each["outcome"] for each in shown["deliveries"][0]["tries"]] == ["delivered"]
    deliveries = command(
        "deliveries", "list", "--destination", "erp", "--state", "delivered", "--json"
    ).json
    assert {each["message_id"] for each in deliveries} == {each["id"] for each in letters}
    delivered = command("deliveries", "list").out.splitlines()[1:]
    assert all(DATE.search(line) for line in delivered)  # when it was delivered
    assert (
        command("deliveries", "show", deliveries[0]["id"], "--json")
        .json["evidence"]["reference"]
        .startswith("erp/")
    )
    for arguments in (
        ["messages", "list"],
        ["messages", "show", letters[0]["id"]],
        ["deliveries", "list"],
        ["deliveries", "show", deliveries[0]["id"]],
    ):
        ended = command(*arguments)
        assert (ended.code, ended.err) == (0, "")
        shown_id = 8 if arguments[1] == "list" else None
        assert any(each["id"][:shown_id] in ended.out for each in (letters[0], deliveries[0]))


def test_a_letter_is_exported(
    command: Command, configure: Callable[[str, str], None], tmp_path: Path
) -> None:
    """A letter is written to a zip file with its text, its attachments and all that is known of it;
    a file that is there stays."""
    with_letters(configure)
    command("poll")
    target = tmp_path / "letter.zip"
    assert command("messages", "export", "letter-0", "-o", str(target)).code == 0
    with zipfile.ZipFile(target) as archive:
        assert sorted(archive.namelist()) == ["001-vedlegg-1.pdf", "body.md", "message.json"]
        assert archive.read("001-vedlegg-1.pdf") == b"pdf"
        assert archive.read("body.md") == "Hei på deg".encode()
        assert json.loads(archive.read("message.json"))["id"] == str(
            message_id("altinn", "letter-0")
        )
    before = target.read_bytes()
    again = command("messages", "export", "letter-1", "-o", str(target))
    assert (again.code, target.read_bytes()) == (1, before)
    assert "already" in again.err


def test_an_export_that_fails_leaves_no_file(
    command: Command, configure: Callable[[str, str], None], tmp_path: Path
) -> None:
    """If an attachment's bytes are not there, no half file is left that looks like the letter."""
    with_letters(configure)
    command("poll")
    shutil.rmtree(tmp_path / "content")
    ended = command("messages", "export", "letter-0", "-o", str(tmp_path / "letter.zip"))
    assert ended.code == 4
    assert not (tmp_path / "letter.zip").exists()


def test_an_operators_verbs(command: Command, configure: Callable[[str, str], None]) -> None:
    """Deliveries are held, released and retried by id; what cannot be done ends with 1 and says
    why."""
    with_letters(configure)
    configure(
        '[destination.erp]\ntype = "memory"', '[destination.erp]\ntype = "memory"\naway = true'
    )
    command("poll")
    ids = [each["id"] for each in command("deliveries", "list", "--json").json]
    assert (command("deliveries", "hold", *ids).out, command("deliveries", "hold", *ids).code) == (
        "2 deliveries held\n",
        1,
    )
    assert command("deliveries", "release", ids[0][:8]).out == DUE
    refused = command("deliveries", "retry", *ids)
    assert (refused.code, refused.out) == (1, "")
    assert "is held; this is for deliveries that are pending or dead" in refused.err
    assert command("deliveries", "retry", ids[0]).out == DUE
    states = sorted(each["state"] for each in command("deliveries", "list", "--json").json)
    assert states == ["held", "pending"]


@pytest.mark.parametrize("verb", ["retry", "hold", "release", "resend"])
@pytest.mark.parametrize("filters", [("--state", "dead"), ("--destination", "mail"), ("--state=",)])
def test_ids_together_with_a_filter(
    command: Command, configure: Callable[[str, str], None], verb: str, filters: tuple[str, ...]
) -> None:
    """Ids and a filter contradict each other: that is wrong usage, and changes nothing."""
    with_letters(configure)
    command("poll")
    before = command("deliveries", "list", "--json").json
    ended = command("deliveries", verb, before[0]["id"], *filters, "--yes")
    assert (ended.code, ended.out) == (2, "")
    assert "either name deliveries, or select them" in ended.err
    assert command("deliveries", "list", "--json").json == before


@pytest.mark.parametrize(
    ("verb", "state", "states"),
    [
        ("retry", "delivered", "pending or dead"),
        ("retry", "held", "pending or dead"),
        ("hold", "dead", "pending"),
        ("release", "pending", "held"),
        ("resend", "withdrawn", "delivered or dead"),
    ],
)
def test_a_state_that_a_verb_is_not_for(
    command: Command, verb: str, state: str, states: str
) -> None:
    """A state in which a verb can do nothing is wrong usage, and the right ones are named."""
    command("poll")
    ended = command("deliveries", verb, "--state", state, "--yes")
    assert (ended.code, ended.out) == (2, "")
    assert f"is for deliveries that are {states}" in " ".join(ended.err.replace("│", "").split())


@pytest.mark.parametrize(
    ("verb", "held", "reason"),
    [
        ("hold", False, "is delivered; this is for deliveries that are pending"),
        ("retry", False, "is delivered; this is for deliveries that are pending or dead"),
        ("release", False, "is delivered; this is for deliveries that are held"),
        ("resend", True, "is held; this is for deliveries that are delivered or dead"),
    ],
)
@pytest.mark.parametrize("option", ["--dry-run", "--json"])
def test_a_named_delivery_in_another_state(
    command: Command,
    configure: Callable[[str, str], None],
    verb: str,
    held: bool,
    reason: str,
    option: str,
) -> None:
    """What cannot be done to a named delivery is refused before a question, and in a dry run too,
    which would otherwise promise what does not happen."""
    with_letters(configure)
    if held:
        configure(
            '[destination.erp]\ntype = "memory"', '[destination.erp]\ntype = "memory"\naway = true'
        )
    command("poll")
    ids = [each["id"] for each in command("deliveries", "list", "--json").json]
    if held:
        command("deliveries", "hold", *ids)
    ended = command("deliveries", verb, ids[0], option)
    assert (ended.code, ended.out) == (1, "")
    assert reason in ended.err
    assert "add --yes" not in ended.err


def test_a_delivery_that_is_named_twice(
    command: Command, configure: Callable[[str, str], None]
) -> None:
    """A delivery that is named twice is one delivery, also in what is asked."""
    with_letters(configure, 1)
    command("poll")
    (found,) = command("deliveries", "list", "--json").json
    ended = command("deliveries", "resend", found["id"], found["id"][:8], "--dry-run")
    assert ended.out.startswith("1 delivery to erp would be delivered again")


@pytest.mark.parametrize(
    "arguments",
    [
        ["messages", "show", "abcdef"],
        ["deliveries", "show", "abcdef"],
        ["deliveries", "retry", "abcdef"],
    ],
)
def test_what_is_not_there(command: Command, arguments: list[str]) -> None:
    """A name that fits nothing ends with 1, and says where to look."""
    command("poll")
    ended = command(*arguments)
    assert (ended.code, ended.out) == (1, "")
    assert "'abcdef' does not exist; list them with `postmottak" in ended.err


def test_an_unknown_state(command: Command) -> None:
    """A state that does not exist is wrong usage, and the right ones are named."""
    command("poll")
    ended = command("deliveries", "list", "--state", "lost")
    assert ended.code == 2
    assert "pending, claimed, delivered, held, dead" in ended.err


def test_a_letter_cannot_write_on_the_operators_screen(
    command: Command, configure: Callable[[str, str], None]
) -> None:
    """What a sender wrote is shown without the control characters that would move the cursor or
    forge a line."""
    MAILBOXES["altinn"] = MemoryMailbox()
    MAILBOXES["altinn"].publish("x", title="ny\x1b[2J\x1b]0;tittel\x07")
    command("poll")
    shown = (
        command("messages", "list").out
        + command("messages", "show", str(message_id("altinn", "x"))).out
    )
    assert "tittel" in shown
    assert "\x1b" not in shown
    assert "\x07" not in shown


def test_a_letter_is_acknowledged(
    command: Command, configure: Callable[[str, str], None], tmp_path: Path
) -> None:
    """`--by` and a note are recorded and shown, for people, as JSON and in an export; twice is
    once, and a letter that nobody has acknowledged says so by an empty list."""
    with_letters(configure)
    command("poll")
    first, second = (each["id"] for each in command("messages", "list", "--json").json)
    done = command("messages", "acknowledge", first[:8], "--by", "Kari \x1b[2J", "--note", "i dag")
    assert (done.code, done.err) == (0, "")
    assert f"message {first} is acknowledged by Kari" in done.out
    assert DATE.search(done.out)
    again = command("messages", "acknowledge", first, "--by", "ola", "--note", "nei")
    said = done.out.replace(" is acknowledged", " was already acknowledged")
    assert (again.code, again.out) == (0, said)
    holds = command("messages", "acknowledge", first, "--by", "ola", "--json").json
    (answer,) = command("messages", "show", first, "--json").json["acknowledgements"]
    assert (answer["state"], answer["by"], answer["note"]) == (
        "acknowledged",
        "Kari \x1b[2J",
        "i dag",
    )
    assert holds == {"message": first, **answer}
    text = command("messages", "show", first).out
    assert "acknowledged by Kari" in text
    assert "i dag" in text
    assert "\x1b" not in done.out + text
    assert command("messages", "show", second, "--json").json["acknowledgements"] == []
    assert "Acknowledgement" not in command("messages", "show", second).out
    command("messages", "export", first, "-o", str(tmp_path / "letter.zip"))
    with zipfile.ZipFile(tmp_path / "letter.zip") as packed:
        (name,) = [each for each in packed.namelist() if each.endswith("message.json")]
        assert json.loads(packed.read(name))["acknowledgements"] == [answer]


def test_who_acknowledges_is_named(command: Command, configure: Callable[[str, str], None]) -> None:
    """Without `--by` it is wrong usage; with an empty name, or for a letter that is not there,
    nothing is recorded and the reason is said."""
    with_letters(configure)
    command("poll")
    key = command("messages", "list", "--json").json[0]["id"]
    assert command("messages", "acknowledge", key).code == 2
    for name, by, said in ((key, " ", "name"), ("abcdef", "kari", "does not exist")):
        ended = command("messages", "acknowledge", name, "--by", by)
        assert (ended.code, ended.out) == (1, "")
        assert said in ended.err
    assert command("messages", "show", key, "--json").json["acknowledgements"] == []
