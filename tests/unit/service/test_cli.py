"""The operator's commands: what they print, where, and how they end."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from collections.abc import Callable
from itertools import repeat
from pathlib import Path

import pytest

from daemon.core.errors import LetterGone, MailboxUnavailable
from daemon.core.model import message_id
from daemon.store.lock import InstanceLock
from tests.unit.conftest import TABLE
from tests.unit.memory import MemoryMailbox
from tests.unit.service.conftest import MAILBOXES, Command, with_letters

_DATE = re.compile(r"\d{4}-\d\d-\d\d")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"],
        ["poll", "--nothing"],
        ["deliveries", "hold"],
        ["messages", "list", "--limit", "0"],
        ["-c"],
        [],
    ],
)
def test_wrong_usage(command: Command, arguments: list[str]) -> None:
    """A command that is written wrong ends with 2 and does nothing."""
    ended = command(*arguments)
    assert ended.code == 2
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    "name", ["poll", "run", "check", "status", "messages list", "deliveries list", "routes list"]
)
def test_a_wrong_configuration(command: Command, configuration_file: Path, name: str) -> None:
    """A configuration that is wrong is told with every fault and without a traceback, ends with 1,
    and nothing is made."""
    before = {path.name for path in configuration_file.parent.iterdir()}
    configuration_file.write_text('[store]\ndatabase = "x"\n\n[delivry]\n')
    ended = command(*name.split())
    assert (ended.code, ended.out) == (1, "")
    lines = ended.err.splitlines()
    fault = "delivry: 'delivry' is not a known section. Did you mean 'delivery'?"
    assert f"{configuration_file}:4: {fault}" in lines
    assert all(line.startswith(f"{configuration_file}") for line in lines)
    assert {path.name for path in configuration_file.parent.iterdir()} == before


def test_services_for_people(command: Command) -> None:
    """Without `--json` each service is a line, with its name in Norwegian and whether its resource
    is only presumed."""
    ended = command("services")
    assert ended.code == 0
    assert all(
        word in ended.out
        for word in ("Næringsutvikling", "5504/1", "eformidling-dpv-administrasjon", "(presumed)")
    )


def test_a_round(command: Command, configure: Callable[[str, str], None]) -> None:
    """`poll` ends with 0 when nothing is left, with its numbers as one JSON document; a second
    round has nothing to do."""
    with_letters(configure)
    ended = command("poll", "--json")
    assert ended.code == 0
    numbers = {"listed": 2, "fetched": 2, "stored": 2, "delivered": 2}
    nothing = dict.fromkeys(
        ("deferred", "dead", "errors", "gone", "duplicates", "waiting", "notices"), 0
    )
    assert ended.json == {**numbers, **nothing, "undone": {}, "problems": [], "remarks": []}
    again = command("poll", "--json")
    assert (again.code, again.json["fetched"], again.json["delivered"]) == (0, 0, 0)


def test_a_round_that_leaves_work(command: Command, configure: Callable[[str, str], None]) -> None:
    """`poll` ends with 3 while something waits, also when the next round did nothing about it; the
    list says when that is due."""
    with_letters(configure)
    configure(
        '[destination.erp]\ntype = "memory"', '[destination.erp]\ntype = "memory"\naway = true'
    )
    ended = command("poll", "--json")
    assert (ended.code, ended.json["deferred"], ended.json["undone"]) == (3, 2, {"pending": 2})
    assert command("poll", "--json").code == 3
    assert _DATE.search(command("deliveries", "list").out)


@pytest.mark.parametrize("how", ["mailbox", "database", "lock"])
def test_what_cannot_be_reached(
    command: Command, configure: Callable[[str, str], None], tmp_path: Path, how: str
) -> None:
    """A mailbox that does not answer, a database that cannot be used and one that another process
    has end with 4, and say why."""
    if how == "mailbox":
        configure('poll_every = "1h"', 'poll_every = "1h"\naway = true')
        ended, words = command("poll"), "nobody answers"
    elif how == "database":
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "postmottak.db").write_bytes(
            b"no database, but long enough to be taken for one at first " * 9
        )
        ended, words = command("poll"), "postmottak.db failed"
    else:
        lock = InstanceLock(tmp_path / "data" / "postmottak.db")
        ended, words = command("poll"), "another postmottak is using"
        lock.release()
    assert ended.code == 4
    assert words in ended.out + ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("options", [[], ["--offline"]])
def test_check(command: Command, tmp_path: Path, options: list[str]) -> None:
    """`check` reads the files, looks at the store, and asks each connector, unless it is offline;
    it changes nothing."""
    ended = command("check", "--json", *options)
    asked = (
        []
        if options
        else [
            {"subject": name, "ok": True, "text": "is in memory", "warning": False}
            for name in ("altinn", "erp", "mail")
        ]
    )
    document = ended.json
    store, connectors = document["findings"][:2], document.pop("findings")[2:]
    assert (ended.code, document) == (0, {"ok": True, "faults": [], "warnings": []})
    assert [(each["subject"], each["ok"]) for each in store] == [
        ("database", True),
        ("content", True),
    ]
    assert connectors == asked
    assert "are in order" in command("check", *options).out
    assert not (tmp_path / "data").exists()


def test_check_of_several_mailboxes(
    command: Command, configure: Callable[[str, str], None]
) -> None:
    """Where there are several mailboxes, each line about one says which."""
    configure(
        "[mailbox.altinn]",
        '[mailbox.old]\ntype = "memory"\nparties = ["974761076"]\npoll_every = '
        '"1h"\n\n[mailbox.altinn]',
    )
    ended = command("check", "--json")
    assert [each["subject"] for each in ended.json["findings"]] == [
        "database",
        "content",
        "mailbox old, old",
        "mailbox altinn, altinn",
        "erp",
        "mail",
    ]
    assert "mailbox old, old: is in memory" in command("check").out


def test_check_of_a_wrong_configuration(
    command: Command, configure: Callable[[str, str], None]
) -> None:
    """With `--json` the faults are the document, and it ends with 1."""
    configure("991825827", "991825828")
    ended = command("check", "--json")
    assert (ended.code, ended.json["ok"], ended.json["findings"]) == (1, False, [])
    fault = ended.json["faults"][0]
    assert (fault["key"], fault["line"]) == ("mailbox.altinn.parties[1]", 7)
    assert fault["problem"]
    assert fault["remedy"]


def test_status(command: Command, configure: Callable[[str, str], None]) -> None:
    """`status` says how many letters there are, how their deliveries stand, and when each channel
    was read."""
    with_letters(configure)
    command("poll")
    ended = command("status", "--json")
    assert (ended.code, ended.json["messages"], ended.json["marks_due"], ended.json["waiting"]) == (
        0,
        2,
        0,
        [],
    )
    assert ended.json["deliveries"] == {
        "pending": 0,
        "claimed": 0,
        "delivered": 2,
        "held": 0,
        "dead": 0,
        "withdrawn": 0,
    }
    assert ended.json["routing_version"] == TABLE.version
    assert [each["resource"] for each in ended.json["channels"]] == ["skatt"]
    assert re.match(
        r"OK: all letters are delivered or on their way\n\n"
        r"2 letters stored; last received \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\n",
        command("status").out,
    )


def test_status_of_what_is_not_stored(command: Command) -> None:
    """Letters that wait, that fail and that are gone are told apart, each with the reason, and a
    round with a problem prints it."""
    MAILBOXES["altinn"] = box = MemoryMailbox()
    for name in ("waits", "fails", "went"):
        box.publish(name, confidential=name == "waits")
    box.fails = {
        ("fetch", "fails"): repeat(MailboxUnavailable("it breaks off")),
        ("fetch", "went"): iter([LetterGone("it was removed")]),
    }
    ended = command("poll")
    assert ended.code == 3
    assert "letter fails: it breaks off" in ended.out
    document = command("status", "--json").json
    assert {
        name: [each["id"] for each in document[name]] for name in ("waiting", "failing", "gone")
    } == {
        "waiting": ["waits"],
        "failing": ["fails"],
        "gone": ["went"],
    }
    shown = command("status").out
    assert all(
        words in shown
        for words in (
            "1 confidential letter waits in Altinn",
            "1 letter could not be fetched",
            "1 letter was removed",
        )
    )


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
    assert not _DATE.search(
        command("deliveries", "list").out
    )  # when something was due means nothing once it is delivered
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
    assert command("deliveries", "release", ids[0][:8]).out == "1 delivery will be tried now\n"
    refused = command("deliveries", "retry", *ids)
    assert (refused.code, refused.out) == (1, "")
    assert "is held; this is for deliveries that are pending or dead" in refused.err
    assert command("deliveries", "retry", ids[0]).out == "1 delivery will be tried now\n"
    states = sorted(each["state"] for each in command("deliveries", "list", "--json").json)
    assert states == ["held", "pending"]


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


@pytest.mark.parametrize(
    "name",
    [
        "status",
        "messages list",
        "deliveries list",
        "deliveries hold abcdef",
        "messages route abcdef",
    ],
)
def test_looking_makes_no_database(command: Command, tmp_path: Path, name: str) -> None:
    """If the database does not exist yet, a command that only reads says so, ends with exit code 4
    and creates none: a wrong path must be noticed."""
    ended = command(*name.split())
    assert (ended.code, ended.out) == (4, "")
    assert ended.err.startswith(f"the database {tmp_path}/data/postmottak.db does not exist; ")
    assert not (tmp_path / "data").exists()


def test_an_unknown_state(command: Command) -> None:
    """A state that does not exist is wrong usage, and the right ones are named."""
    command("poll")
    ended = command("deliveries", "list", "--state", "lost")
    assert ended.code == 2
    assert "pending, claimed, delivered, held, dead" in ended.err


def test_routes(command: Command) -> None:
    """The routes in force are listed in their order, with the table's version."""
    ended = command("routes", "list", "--json")
    assert ended.json["version"] == TABLE.version
    assert [each["name"] for each in ended.json["route"]] == ["Skatt", "Alt annet"]
    assert "Alt annet" in command("routes", "list").out


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
