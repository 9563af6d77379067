"""The commands about deadlines: what they record, what they print, and what they refuse."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from daemon.service import stack
from daemon.service.stack import utc_now
from daemon.store import Store
from daemon.store.users import Actor
from tests.unit.conftest import stored_letter
from tests.unit.service.conftest import Command

NOW = utc_now()


@pytest.fixture(name="opened")
def opened_store(command: Command, configuration_file: Path) -> Iterator[Store]:
    """The store that the commands use, with a routing table in force."""
    command("poll")
    store = stack.open_store(stack.load_configuration(configuration_file))
    yield store
    store.close()


@pytest.fixture(name="letters")
def some_letters(opened: Store) -> dict[str, UUID]:
    """Three letters with deadlines, of which one is confidential, and one without."""
    found = {}
    version = opened.queries.table_in_force()
    assert version
    for name, days in (("later", 30), ("soon", 2), ("secret", 9), ("none", None)):
        letter = stored_letter(name, title=f"Sak {name}", confidential=name == "secret")
        letter.message.due_at = None if days is None else NOW + timedelta(days=days)
        letter.decision.routing_version = version.version
        opened.letters.add([letter])
        found[name] = letter.message.id
    return found


def listed(command: Command, *options: str) -> list[dict[str, object]]:
    document = command("deadlines", "list", "--json", *options).json
    assert isinstance(document, list)
    return document


def test_the_list_is_by_date(command: Command, letters: dict[str, UUID]) -> None:
    """The earliest comes first, with its source and working days; a confidential letter has no
    title; --limit and --recipient choose."""
    rows = listed(command)
    assert [each["message"] for each in rows] == [
        str(letters[name]) for name in ("soon", "secret", "later")
    ]
    assert [each["title"] for each in rows] == ["Sak soon", "", "Sak later"]
    assert {each["source"] for each in rows} == {"sender"}
    assert set(rows[0]) >= {"due_at", "workdays", "group", "confirmed_by", "recipients", "reason"}
    assert len(listed(command, "--limit", "1")) == 1
    assert len(listed(command, "--recipient", "post")) == 3
    assert command("deadlines", "list", "--recipient", "pots").code == 1
    text = command("deadlines", "list").out
    assert "(confidential)" in text
    assert "secret" not in text


def test_a_person_confirms_and_drops(
    command: Command, letters: dict[str, UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who and when are recorded and shown, with the day in Norway wherever the machine is; dropped,
    it is on no list, and confirmed again it is."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    key = str(letters["soon"])
    ended = command("deadlines", "confirm", key[:8], "2031-12-24", "--by", "Kari Nordmann")
    day = "2031-12-24"
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == f"message {key} is due {day}, confirmed by Kari Nordmann\n"
    row = next(each for each in listed(command) if each["message"] == key)
    assert (row["source"], row["confirmed_by"]) == ("confirmed", "Kari Nordmann")
    assert str(row["due_at"]) == "2031-12-24T22:59:59+00:00"
    dropped = command("deadlines", "drop", key, "--reason", "til orientering", "--json")
    assert dropped.json == {"message": key, "deadline": None}
    assert key not in [each["message"] for each in listed(command)]
    shown = command("messages", "show", key, "--json").json
    assert isinstance(shown, dict)
    assert shown["deadline"] is None
    assert [each["state"] for each in shown["deadline_answers"]] == ["confirmed", "dropped"]
    text = command("messages", "show", key).out
    assert "\n  2031-12-24 confirmed by Kari Nordmann, " in text
    assert re.search("\n  dropped by .*: til orientering\n", text)
    again = command("deadlines", "confirm", key, "--json").json
    assert isinstance(again, dict)
    assert again["deadline"]["source"] == "confirmed"
    assert "2031-12-24, confirmed by" in command("messages", "show", key).out
    monkeypatch.undo()
    time.tzset()


def test_a_day_as_norwegians_write_it(command: Command, letters: dict[str, UUID]) -> None:
    """The command line reads the same days as the page."""
    key = str(letters["soon"])
    for day in ("24.12.2031", "2031-12-24"):
        ended = command("deadlines", "confirm", key, day, "--by", "kari")
        assert ended.out == f"message {key} is due 2031-12-24, confirmed by kari\n", ended.err
    again = command("deadlines", "confirm", key, "--by", "ola").out
    assert again == f"message {key} is due 2031-12-24, already confirmed by kari\n"
    noted = command("deadlines", "confirm", key, "--by", "ola", "--note", "klagefrist").out
    assert noted == f"message {key} is due 2031-12-24, confirmed by ola\n"


def test_what_is_refused(command: Command, letters: dict[str, UUID]) -> None:
    """What is no day, no letter, or not there to confirm is refused in a sentence with a remedy."""
    key = str(letters["none"])
    for arguments, code, said in (
        (("confirm", key, "24.12"), 2, "is not a day"),
        (("confirm", key), 1, "no deadline to confirm; say when it is due"),
        (("handled", key), 1, "acknowledge it first"),
        (("drop", "0123"), 1, "does not exist"),
        (("calendars", "add"), 2, "use --user, --recipient or both"),
        (("calendars", "add", "--user", "nobody"), 1, "nobody"),
        (("calendars", "revoke", "0123"), 1, "The calendar '0123' does not exist"),
    ):
        ended = command("deadlines", *arguments)
        assert (ended.code, ended.out) == (code, ""), arguments
        assert said in " ".join(ended.err.replace("│", " ").split()), ended.err
        assert "Traceback" not in ended.err


def test_handled_letters_leave_the_list(command: Command, letters: dict[str, UUID]) -> None:
    """A letter that was acknowledged and handled is listed with --all only."""
    key = str(letters["soon"])
    command("messages", "acknowledge", key, "--by", "kari")
    assert command("deadlines", "handled", key).out == f"message {key} is handled\n"
    assert key not in [each["message"] for each in listed(command)]
    row = next(each for each in listed(command, "--all") if each["message"] == key)
    assert (row["acknowledged_by"], bool(row["handled_by"])) == ("kari", True)
    shown = command("deadlines", "list", "--all").out.splitlines()
    assert shown[0].rstrip().endswith("handled by")
    (line,) = [each for each in shown if each.startswith(key[:4])]
    assert line.rstrip().endswith(str(row["handled_by"]))
    assert "handled by" not in command("deadlines", "list").out


def test_calendars(command: Command, opened: Store, letters: dict[str, UUID]) -> None:
    """The address is printed once, and works until the calendar is revoked by its short id."""
    opened.users.add("anna", NOW, Actor(name="test"))
    for options in (("--recipient", "post", "--titles"), ("--user", "Anna")):
        made = command("deadlines", "calendars", "add", *options)
        address = made.out.strip()
        assert address.startswith("http://127.0.0.1:8770/deadlines/")
        assert address.endswith(".ics")
        assert opened.calendars.find(address.split("/")[-1].removesuffix(".ics"), NOW)
    rows = command("deadlines", "calendars", "list", "--json").json
    assert [(each["user"], each["recipient"], each["titles"]) for each in rows] == [
        (None, "post", True),
        ("anna", "", False),
    ]
    assert "anna" in command("deadlines", "calendars", "list").out
    for each in rows:
        ended = command("deadlines", "calendars", "revoke", each["id"][:8])
        assert ended.out == f"calendar {each['id'][:8]} is revoked\n"
    assert opened.calendars.all() == []
