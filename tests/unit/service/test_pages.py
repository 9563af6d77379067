"""What people read of letters and deliveries, and what they are asked before much is changed."""

from __future__ import annotations

import os
import pty
import re
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from daemon.cli import tables
from tests.unit.memory import MemoryMailbox
from tests.unit.service.conftest import MAILBOXES, Command, with_letters

_OF_PYTHON = re.compile(r"\b(None|True|False)\b|\[|\{|<\w+\.|[A-Z]\w+State\.")
_LOCAL_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)? CET")


@pytest.fixture(autouse=True)
def norwegian_machine(monkeypatch: pytest.MonkeyPatch) -> object:
    """A machine whose zone is Norway's, in winter."""
    import time

    with monkeypatch.context() as patch:
        patch.setenv("TZ", "CET-1")
        time.tzset()
        yield
    time.tzset()


def _polled(command: Command, configure: Callable[[str, str], None], count: int = 2) -> list[str]:
    """Poll some letters; returns the ids of their deliveries."""
    with_letters(configure, count)
    command("poll")
    return [each["id"] for each in command("deliveries", "list", "--json").json]


@pytest.mark.parametrize("noun", ["messages", "deliveries"])
def test_pages_are_for_people(
    command: Command, configure: Callable[[str, str], None], noun: str
) -> None:
    """A page has local times with their zone, and no values as Python writes them; with `--json`,
    times are UTC."""
    _polled(command, configure)
    (first, *_) = command(noun, "list", "--json").json
    page = command(noun, "show", first["id"]).out
    assert not _OF_PYTHON.search(page)
    assert _LOCAL_TIME.search(page)
    assert first["id"] in page
    facts = command(noun, "show", first["id"], "--json").json
    assert facts["fetched_at" if noun == "messages" else "created_at"].endswith("+00:00")


def test_a_letters_page_is_in_order(
    command: Command, configure: Callable[[str, str], None]
) -> None:
    """A letter's page begins with its title and its sender, then says where it went and how that
    is going."""
    _polled(command, configure)
    page = command("messages", "show", "letter-0").out
    found = [
        re.search(rf"^ *{name}", page, re.MULTILINE)
        for name in (
            "title:",
            "from:",
            "Attachments",
            "Routed",
            "Delivery ",
            "state: ",
            "attempt 1:",
        )
    ]
    places = [each.start() for each in found if each]
    assert (len(places), places) == (len(found), sorted(places))
    assert page.startswith("title: ")


def test_short_ids_are_taken(command: Command, configure: Callable[[str, str], None]) -> None:
    """What a list shows as an id names the letter or the delivery for another command; one that
    fits several, or none, is an error that says so."""
    _polled(command, configure)
    for noun in ("messages", "deliveries"):
        line = command(noun, "list").out.splitlines()[1]
        name = line.split()[0]
        assert len(name) == 8
        assert command(noun, "show", name, "--json").json["id"].startswith(name)


def test_an_ambiguous_id(
    command: Command, configure: Callable[[str, str], None], tmp_path: Path
) -> None:
    """A beginning that two ids share is refused; the list shows more of both."""
    _polled(command, configure)
    with closing(sqlite3.connect(tmp_path / "data" / "postmottak.db")) as database:
        for number, (key,) in enumerate(database.execute("SELECT id FROM deliveries").fetchall()):
            new = f"abcdabcd{number:04d}{key[12:]}"
            database.execute("UPDATE deliveries SET id = ? WHERE id = ?", (new, key))
            database.execute(
                "UPDATE attempts SET delivery_id = ? WHERE delivery_id = ?", (new, key)
            )
        database.commit()
    ended = command("deliveries", "show", "abcdabcd")
    assert (ended.code, ended.out) == (1, "")
    assert "more than one delivery 'abcdabcd'; write more of the id" in ended.err
    names = [line.split()[0] for line in command("deliveries", "list").out.splitlines()[1:]]
    assert sorted(names) == ["abcdabcd-0000", "abcdabcd-0001"]
    assert command("deliveries", "show", names[0]).code == 0


def test_an_id_of_a_stored_and_a_deleted_letter(
    command: Command, configure: Callable[[str, str], None], tmp_path: Path
) -> None:
    """A beginning that a stored letter shares with a deleted one is refused, and both are named."""
    _polled(command, configure, 1)
    (letter,) = command("messages", "list", "--json").json
    deleted = f"{letter['id'][:8]}{'0' * 24}"
    with closing(sqlite3.connect(tmp_path / "data" / "postmottak.db")) as database:
        database.execute(
            "INSERT INTO tombstones (message_id, kind, mailbox, party, service, resource, "
            "external_id, deleted_at) VALUES (?, 'letter', 'altinn', '991825827', '4255/8', "
            "'skatt', 'old', '2026-01-01 00:00:00.000000')",
            (deleted,),
        )
        database.commit()
    ended = command("messages", "show", letter["id"][:8])
    assert (ended.code, ended.out) == (1, "")
    assert "more than one message" in ended.err
    assert letter["id"] in ended.err
    assert command("messages", "show", letter["id"]).code == 0
    page = command("messages", "show", deleted).out
    assert page.startswith("Retention has deleted this letter.")
    assert not _OF_PYTHON.search(page)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("deliveries", "list", "--destination", "epr"), "did you mean 'erp'?"),
        (("deliveries", "list", "--state", "pendng"), "did you mean 'pending'?"),
        (("deliveries", "retry", "--destination", "epr", "--yes"), "did you mean 'erp'?"),
        (("messages", "list", "--state", "ded"), "did you mean 'dead'?"),
        (("messages", "list", "--service", "4255/11"), "is not a known service"),
        (("messages", "list", "--party", "99182582"), "not a valid organisation number"),
        (("messages", "list", "--since", "yesterday"), "write a day such as"),
    ],
)
def test_a_word_that_is_not_known(
    command: Command, configure: Callable[[str, str], None], arguments: tuple[str, ...], words: str
) -> None:
    """A destination, a state, a service or a time that there is not is wrong usage, with a hint; it
    is not an empty answer."""
    _polled(command, configure)
    ended = command(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert words in " ".join(ended.err.split())


def test_a_recipient_that_is_not_known(
    command: Command, configure: Callable[[str, str], None]
) -> None:
    """A recipient that the table does not have is an error with a hint; one without letters is an
    empty list."""
    _polled(command, configure)
    ended = command("messages", "list", "--recipient", "pst")
    assert (ended.code, "did you mean 'post'?" in ended.err) == (1, True)
    assert len(command("messages", "list", "--recipient", "post", "--json").json) == 2
    assert command("messages", "list", "--recipient", "regnskap", "--json").json == []


def test_local_times_of_the_status(command: Command, configure: Callable[[str, str], None]) -> None:
    """Every time in `status` is in the machine's zone, which is named, as in the lists."""
    _polled(command, configure)
    shown = command("status", "--all").out
    times = re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d.*", shown)
    assert len(times) >= 3
    for each in times:
        assert _LOCAL_TIME.match(each), each
    assert "UTC" not in shown


@pytest.mark.parametrize("row", ['to = ["post"]', 'deliver_to = ["erp"]'])
def test_an_explanation_says_when_and_whereto(
    command: Command, configure: Callable[[str, str], None], configuration_file: Path, row: str
) -> None:
    """The stored decision is shown with its time in the machine's zone, and with the recipients or
    the destinations that the route named."""
    configuration_file.with_name("routing.toml").write_text(
        '[[recipient]]\nname = "post"\ndeliver_to = ["erp"]\n\n'
        f'[[route]]\nname = "Alt annet"\n{row}\n'
    )
    _polled(command, configure, 1)
    last = command("routes", "explain", "letter-0").out.splitlines()[-1]
    to = re.findall(r'"(\w+)"', row)[0]
    assert re.fullmatch(rf"decided {_LOCAL_TIME.pattern} by table \w{{12}}, Alt annet: {to}", last)


def test_times_of_letters(command: Command, configure: Callable[[str, str], None]) -> None:
    """Letters are chosen by a day, a time, or how long ago they came."""
    _polled(command, configure)
    for option, count in (
        (("--since", "1h"), 2),
        (("--until", "1h"), 0),
        (("--since", "2020-01-01"), 2),
        (("--until", "2020-01-01"), 0),
        (("--until", "9999-12-31"), 2),
        (("--since", "0001-01-01"), 2),
        (("--since", "2020-01-01T08:30", "--until", "2999-01-01T00:00+01:00"), 2),
    ):
        assert len(command("messages", "list", *option, "--json").json) == count, option


ASKED = [
    ("deliveries", "resend", "ID"),
    ("deliveries", "resend", "--state", "delivered"),
    ("deliveries", "retry", "--destination", "erp"),
    ("deliveries", "hold", "--state", "pending"),
    ("deliveries", "release", "--state", "held"),
]


def _prepared(
    command: Command, configure: Callable[[str, str], None], words: tuple[str, ...]
) -> list[str]:
    """Let there be deliveries that the command changes."""
    if "resend" not in words:
        configure(
            '[destination.erp]\ntype = "memory"', '[destination.erp]\ntype = "memory"\naway = true'
        )
    ids = _polled(command, configure)
    if "release" in words:
        command("deliveries", "hold", *ids)
    return [ids[0] if word == "ID" else word for word in words]


def _dump(tmp_path: Path) -> list[str]:
    with closing(sqlite3.connect(tmp_path / "data" / "postmottak.db")) as database:
        return list(database.iterdump())


@pytest.mark.parametrize("words", ASKED, ids=" ".join)
def test_what_changes_much_must_be_confirmed(
    command: Command, configure: Callable[[str, str], None], tmp_path: Path, words: tuple[str, ...]
) -> None:
    """Without a terminal and without `--yes`, and with `--dry-run`, nothing is changed, and a line
    says what would be; with `--yes` it is done."""
    arguments = _prepared(command, configure, words)
    before = _dump(tmp_path)
    refused = command(*arguments)
    assert (refused.code, refused.out) == (2, "")
    assert "add --yes to do it" in refused.err
    dry = command(*arguments, "--dry-run")
    assert (dry.code, "would be" in dry.out) == (0, True)
    assert _dump(tmp_path) == before
    done = command(*arguments, "--yes")
    assert (done.code, done.err) == (0, "")
    assert _dump(tmp_path) != before


@pytest.mark.parametrize(("reply", "code"), [("y", 0), ("Ja", 0), ("n", 1), ("", 1)])
def test_the_question(
    command: Command,
    configure: Callable[[str, str], None],
    monkeypatch: pytest.MonkeyPatch,
    reply: str,
    code: int,
) -> None:
    """On a terminal the operator is asked, on stderr; anything but a yes changes nothing."""
    ids = _polled(command, configure)
    ours, theirs = pty.openpty()
    with os.fdopen(theirs) as stdin, os.fdopen(ours, "w") as keyboard:
        monkeypatch.setattr(sys, "stdin", stdin)
        keyboard.write(f"{reply}\n")
        keyboard.flush()
        ended = command("deliveries", "resend", *ids, "--json")
    assert ended.code == code
    assert "2 deliveries to erp would be delivered again" in ended.err
    assert len(command("deliveries", "list", "--json").json) == (4 if code == 0 else 2)


def test_named_deliveries_need_no_question(
    command: Command, configure: Callable[[str, str], None]
) -> None:
    """Who names deliveries to hold or release is not asked: it can be undone."""
    ids = _prepared(command, configure, ("hold",)) and [
        each["id"] for each in command("deliveries", "list", "--json").json
    ]
    assert command("deliveries", "hold", *ids).code == 0
    assert command("deliveries", "release", *ids).code == 0


def test_the_title_is_what_is_cut(
    command: Command, configure: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a narrow terminal each letter is one line that fits, whose title is cut; in a pipe the
    title is whole. There is no line between cells."""
    MAILBOXES["altinn"] = MemoryMailbox()
    title = "Vedtak om " + "merverdiavgift " * 12
    MAILBOXES["altinn"].publish("x", title=title)
    command("poll")
    assert title.strip() in command("messages", "list").out
    monkeypatch.setattr(tables, "is_terminal", lambda _: True)
    for columns in (100, 80):
        monkeypatch.setenv("COLUMNS", str(columns))
        lines = command("messages", "list").out.splitlines()
        assert len(lines) == 2
        assert max(map(len, lines)) <= columns
        assert re.search(r"  Vedtak om.*…  post +delivered$", lines[1]), lines[1]
    assert not set("│┃━┏─|") & set("".join(lines))


def test_a_table_is_applied_after_a_question(
    command: Command,
    configure: Callable[[str, str], None],
    configuration_file: Path,
    tmp_path: Path,
) -> None:
    """`routes apply` shows who gets letters instead of whom, changes nothing without a yes, and
    does not ask where nothing would change."""
    _polled(command, configure)
    assert command("routes", "apply", "--since", "7d").code == 0
    routing = configuration_file.with_name("routing.toml")
    routing.write_text(
        routing.read_text().replace(
            'name = "Alt annet"\nto = ["post"]', 'name = "Alt annet"\nto = ["regnskap"]'
        )
    )
    before = _dump(tmp_path)
    dry = command("routes", "apply", "--since", "7d", "--dry-run")
    assert (dry.code, dry.out) == (
        0,
        "2 letters: 2 would be routed again\n  2 from post to regnskap\n",
    )
    document = command("routes", "apply", "--since", "7d", "--dry-run", "--json").json
    assert (document["letters"], list(document["would_change"].values())) == (
        2,
        [{"before": ["post"], "after": ["regnskap"]}] * 2,
    )
    refused = command("routes", "apply", "--since", "7d")
    assert (refused.code, refused.out) == (2, "")
    assert "2 from post to regnskap" in refused.err
    assert "add --yes to do it" in refused.err
    assert _dump(tmp_path) == before
    assert command("routes", "apply", "--since", "7d", "--yes").out == "2 letters: 2 routed again\n"
