"""The operator's commands for the service: what they print, where, and how they end."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import repeat
from pathlib import Path

import pytest

from daemon.core.errors import LetterGone, MailboxUnavailable
from daemon.store.lock import InstanceLock
from tests.unit.conftest import TABLE
from tests.unit.memory import MemoryMailbox
from tests.unit.service.conftest import DATE, MAILBOXES, Command, with_letters

LISTS = (["messages", "list"], ["deliveries", "list"], ["retention", "log"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"],
        ["poll", "--nothing"],
        ["deliveries", "hold"],
        ["messages", "list", "--limit", "0"],
        *([*words, "--limit", "9" * 20] for words in LISTS),
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
    assert DATE.search(command("deliveries", "list").out)


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


def test_check_says_that_nobody_could_approve(
    command: Command, configure: Callable[[str, str], None]
) -> None:
    """With an approval that is wanted and one user who may publish, `check` warns of it, offline
    too, and is still in order."""
    configure("[routing]", '[web]\nlisten = "127.0.0.1:8767"\n[routing]\napprovals = 1')
    assert "approvals" not in command("check", "--offline").out
    assert command("poll").code == 0
    added = command("web", "users", "add", "kari", "--role", "router", "--no-password")
    assert added.code == 0, added.err
    ended = command("check", "--offline")
    assert ended.code == 0
    assert "WARN [routing] approvals: only kari may publish" in ended.out


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
        r"OK: all letters are delivered or on their way; the service is not running\n"
        r"no alarm: .*\n\n"
        r"2 letters stored; last received \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \w+\n",
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


def test_routes(command: Command) -> None:
    """The routes in force are listed in their order, with the table's version."""
    ended = command("routes", "list", "--json")
    assert ended.json["version"] == TABLE.version
    assert [each["name"] for each in ended.json["route"]] == ["Skatt", "Alt annet"]
    assert "Alt annet" in command("routes", "list").out
