"""The journal's signed head: made each day, logged, published, in backups, and used to verify."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from daemon.core.errors import DiskFull
from daemon.monitoring.problems import find_all
from daemon.runtime.schedule import WakeEvent
from daemon.service import housekeeping_loop, room
from daemon.service.app import App
from daemon.service.journal_heads import JournalHeads
from daemon.store.journal.heads import fingerprint, head_of, sign
from tests.unit.memory import MemoryDestination
from tests.unit.service.conftest import NOT_NOW, Command, with_letters

PUBLISH = (
    '[routing]\nfile = "routing.toml"\n',
    ('[journal]\npublish_to = ["mail"]\n\n[routing]\nfile = "routing.toml"\n'),
)


def a_day(parts: App, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """One round of housekeeping, as when the clock is certain; what was logged."""
    monkeypatch.setattr(parts, "run_housekeeping", lambda _: True)
    stopping, wake = threading.Event(), WakeEvent()
    loop = threading.Thread(
        target=housekeeping_loop.run_housekeeping,
        args=(parts, room.Room(parts.problems), wake, stopping),
    )
    with capture_logs() as logged:
        loop.start()
        housekeeping_loop_waits(parts, logged)
        stopping.set()
        wake.wake_up()
        loop.join()
    return logged


def housekeeping_loop_waits(parts: App, logged: list[Any]) -> None:
    """Wait until the round is over."""
    ended = threading.Event()
    for _ in range(1000):
        if any("journal" in each["event"] for each in logged):
            break
        ended.wait(0.01)
    ended.wait(0.1)


def test_the_head_is_signed_logged_and_published(
    configure: Callable[[str, str], None],
    command: Command,
    configuration_file: Path,
    places: dict[str, MemoryDestination],
    mailbox: object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The service signs the journal, with a key that it makes, and each destination that is named
    gets the head as a file, which `journal verify` takes."""
    from daemon.service import app, stack

    configure(*PUBLISH)
    with app.open_app(stack.load(configuration_file)) as parts:
        parts.poll(threading.Event())
        logged = a_day(parts, monkeypatch)
    (signed,) = [each for each in logged if each["event"] == "journal signed"]
    files = list(places["mail"].kept.values())[-1]
    (name,) = [each for each in files if each.startswith("001-journal-head-")]
    head = head_of(files[name].decode())
    assert (head.sequence, head.hash) == (signed["sequence"], signed["hash"])
    assert not [each for each in places["erp"].kept.values() if name in each]
    kept = configuration_file.parent / "head.json"
    kept.write_bytes(files[name])
    verified = command("journal", "verify", "--head", str(kept))
    assert verified.code == 0
    assert "The journal and the tables are in order." in verified.out


def test_a_destination_that_fails_does_not_stop_it(
    configure: Callable[[str, str], None],
    configuration_file: Path,
    places: dict[str, MemoryDestination],
    mailbox: object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What cannot be published is a warning, and the journal is signed."""
    from daemon.service import app, stack

    configure(*PUBLISH)
    places["mail"].fails = iter([NOT_NOW])
    with app.open_app(stack.load(configuration_file)) as parts:
        logged = a_day(parts, monkeypatch)
    levels = {each["event"]: each["log_level"] for each in logged}
    assert levels["journal signed"] == "info"
    (warned,) = [each for each in logged if each["log_level"] == "warning"]
    assert (warned["destination"], "not published" in warned["event"]) == ("mail", True)


def test_a_key_that_is_none_is_said(
    parts: App, configuration_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is no key is left as it is, and the log says what to do."""
    key = configuration_file.parent / "data" / "postmottak.db.journal-key"
    key.write_text("not a key")
    logged = a_day(parts, monkeypatch)
    (said,) = [each for each in logged if each["log_level"] == "error"]
    assert "is not an Ed25519 key" in said["error"]
    assert key.read_text() == "not a key"


def wrong(parts: App, now: datetime | None = None) -> dict[str, str]:
    """What is wrong with the journal, by kind and about; once as the service has it, and as
    `status` has it from the store."""
    parts.alerter(lambda: ()).look()
    now = now or parts.clock()
    look = partial(find_all, parts.configuration(), parts.store, now)
    seen, stored = look(of_service=parts.problems.all()), look()
    of_journal = [
        {each.key: each.text for each in some if each.kind.startswith("journal-")}
        for some in (seen, stored)
    ]
    assert of_journal[0] == of_journal[1]
    return of_journal[0]


def test_a_key_that_cannot_be_used_is_a_problem(
    parts: App, configuration_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the head cannot be signed, `status` says since when and what to do; a restart forgets
    nothing; it is over with the next head, and letters go on."""
    key = configuration_file.parent / "data" / "postmottak.db.journal-key"
    key.mkdir()
    a_day(parts, monkeypatch)
    (text,) = wrong(parts).values()
    assert "The journal is not signed, since 20" in text
    assert f"{key}: is a directory; " in text
    assert parts.poll(threading.Event()).intake[0].stored == 1
    again = JournalHeads(parts.store, parts._active, parts.clock, parts.problems)
    assert wrong(parts) == {"journal-unsigned": text}
    key.rmdir()
    again.try_again()
    assert not wrong(parts)
    assert not again.is_behind


def test_what_cannot_be_published_is_a_problem(
    configure: Callable[[str, str], None],
    configuration_file: Path,
    places: dict[str, MemoryDestination],
    mailbox: object,
) -> None:
    """A head that a destination did not get is a problem of that destination until it gets one,
    and only it gets another; or until the configuration does not name it."""
    from daemon.service import app, stack

    configure(PUBLISH[0], PUBLISH[1].replace('"mail"', '"mail", "erp"'))
    places["mail"].fails = iter([NOT_NOW, NOT_NOW])
    with app.open_app(stack.load(configuration_file)) as parts:
        parts.heads.sign()
        (text,) = wrong(parts).values()
        assert "not published at mail, since 20" in text
        assert text.endswith("nobody is at home; `postmottak check` tests the destination")
        given = len(places["erp"].kept)
        parts.heads.try_again()
        assert wrong(parts) == {"journal-unpublished mail": text}
        configure('publish_to = ["mail", "erp"]', 'publish_to = ["erp"]')
        parts.swap(stack.load(configuration_file))
        assert not wrong(parts)
        configure('publish_to = ["erp"]', 'publish_to = ["mail"]')
        parts.swap(stack.load(configuration_file))
        assert wrong(parts)
        parts.heads.try_again()
        assert not wrong(parts)
        assert len(places["erp"].kept) == given


def test_a_head_is_published_though_the_disk_is_full_elsewhere(
    configure: Callable[[str, str], None],
    configuration_file: Path,
    places: dict[str, MemoryDestination],
    mailbox: object,
) -> None:
    """A destination without room keeps no other one from its head, and ends nothing."""
    from daemon.service import app, stack

    configure(PUBLISH[0], PUBLISH[1].replace('"mail"', '"mail", "erp"'))
    places["mail"].fails = iter([DiskFull("no room is left")])
    with app.open_app(stack.load(configuration_file)) as parts:
        parts.heads.sign()
        assert len(places["erp"].kept) == 1
        assert list(wrong(parts)) == ["journal-unpublished mail"]


def test_rows_that_stay_unsigned_are_a_problem(parts: App) -> None:
    """Two days after the first row that no head covers, and not before; a journal to which nothing
    was added since its head is in order at any age. `poll` signs once a day."""
    parts.heads.sign()
    later = parts.clock() + timedelta(days=30)
    assert not wrong(parts, later)
    parts.poll(threading.Event())  # stores a letter
    soon, late = (parts.clock() + timedelta(days=days) for days in (1, 3))
    assert not wrong(parts, soon)
    (text,) = wrong(parts, late).values()
    assert "are not signed, since 20" in text
    JournalHeads(parts.store, parts._active, lambda: soon, parts.problems).look()
    assert not wrong(parts, late)


def test_verify_names_what_was_changed(
    configure: Callable[[str, str], None], command: Command, configuration_file: Path
) -> None:
    """The command finds a change by hand, names the letter, and ends with 1; as JSON as well."""
    with_letters(configure)
    command("poll")
    assert command("journal", "verify").code == 0
    database = configuration_file.parent / "data" / "postmottak.db"
    with closing(sqlite3.connect(database)) as connection:
        (key,) = connection.execute("SELECT id FROM messages").fetchone()
        connection.execute("UPDATE messages SET title = 'X' WHERE id = ?", (key,))
        connection.commit()
    said = command("journal", "verify")
    assert (said.code, "FAIL row " in said.out) == (1, True)
    found = command("journal", "verify", "--json")
    assert (found.code, found.json["ok"], found.json["tables_compared"]) == (1, False, True)
    (fault,) = found.json["faults"]
    assert (fault["subject"], fault["text"]) == (key, "messages was changed: private_hash")
    since = command("journal", "verify", "--since", "2020-01-01", "--json")
    assert (since.code, since.json["ok"], since.json["tables_compared"]) == (0, True, False)


def test_a_head_by_hand_and_in_a_backup(
    configure: Callable[[str, str], None], command: Command, configuration_file: Path
) -> None:
    """`journal head` prints a head, with a key that it makes, and a backup has one; a file that is
    none, and a key that cannot be used, are said with what to do."""
    with_letters(configure)
    command("poll")
    folder = configuration_file.parent
    key = folder / "data" / "postmottak.db.journal-key"
    key.write_text("")
    refused = command("journal", "head")
    assert (refused.code != 0, "is not an Ed25519 key" in refused.err) == (True, True)
    key.unlink()
    printed = command("journal", "head")
    assert command("backup", str(folder / "backup")).code == 0
    in_backup = head_of((folder / "backup" / "journal-head.json").read_text())
    assert in_backup.hash == json.loads(printed.out)["hash"]
    (folder / "head.json").write_text("{}")
    refused = command("journal", "verify", "--head", str(folder / "head.json"))
    assert (refused.code, "is not a head of a journal" in refused.err) == (1, True)
    assert command("restore", str(folder / "backup"), "--replace").code == 0
    (folder / "head.json").write_text(printed.out)
    assert command("journal", "verify", "--head", str(folder / "head.json")).code == 0


def test_a_head_of_another_store(
    configure: Callable[[str, str], None], command: Command, configuration_file: Path
) -> None:
    """A head with another key is named as that, beside what it says of the rows."""
    with_letters(configure)
    command("poll")
    other = sign(b"k" * 32, 999, b"h" * 32, "2026-11-30T12:00:00+00:00")
    (configuration_file.parent / "other.json").write_text(other.text())
    command("journal", "head")
    said = command("journal", "verify", "--head", str(configuration_file.parent / "other.json"))
    assert said.code == 1
    assert "FAIL row 999: is missing" in said.out
    assert f"the key {fingerprint(other.key)}, and this store signs with " in said.out
    assert "it is of another store, or the key was replaced." in said.out


def test_a_journal_that_was_never_signed(
    configure: Callable[[str, str], None], command: Command
) -> None:
    """Without a key and a head it is said that there is none yet, and what makes them."""
    with_letters(configure)
    command("poll")
    said = command("journal", "verify")
    assert said.code == 0
    assert "the key of the journal is not there: " in said.out
    assert "No signed head in the journal covers any row yet; the service signs" in said.out


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE journal SET subject = x'ff' WHERE sequence = 2",
        "UPDATE journal SET kind = x'ff' WHERE sequence = 2",
        "UPDATE journal SET at = x'ff' WHERE sequence = 2",
        "UPDATE journal SET facts = x'ff' WHERE sequence = 2",
        "UPDATE journal SET facts = CAST(x'ff' AS TEXT) WHERE sequence = 2",
        "UPDATE journal SET salt = 'text', body_salt = 7 WHERE sequence = 2",
    ],
)
def test_a_value_of_another_type_is_found(
    configure: Callable[[str, str], None],
    command: Command,
    configuration_file: Path,
    edit: str,
) -> None:
    """Whatever somebody writes into the journal is named, and letters go on."""
    with_letters(configure)
    command("poll")
    database = configuration_file.parent / "data" / "postmottak.db"
    with closing(sqlite3.connect(database)) as connection:
        (key,) = connection.execute("SELECT id FROM messages").fetchone()
        connection.execute(edit.replace("sequence = 2", f"subject = '{key}'"))
        connection.commit()
    said = command("journal", "verify")
    assert (said.code, "FAIL row " in said.out) == (1, True)
    assert command("messages", "acknowledge", key, "--by", "Kari").code == 0
    assert command("journal", "verify").code == 1


def test_a_key_that_everybody_can_read(
    configure: Callable[[str, str], None], command: Command, configuration_file: Path
) -> None:
    """`check` warns of it, as of other secrets."""
    with_letters(configure)
    command("poll")
    command("journal", "head")
    key = configuration_file.parent / "data" / "postmottak.db.journal-key"
    assert "every user of this machine" not in command("check", "--offline").out
    key.chmod(0o644)
    said = command("check", "--offline")
    assert "every user of this machine can read this secret" in said.out + said.err
    assert f"chmod o-rwx {key}" in said.out + said.err


def test_publish_to_names_a_destination(
    configure: Callable[[str, str], None], command: Command
) -> None:
    """A name that no destination has is a fault of the configuration."""
    configure(PUBLISH[0], PUBLISH[1].replace('"mail"', '"post"'))
    said = command("check")
    assert said.code == 1
    assert "'post' is not a configured destination" in said.out + said.err


def test_init_makes_the_key_once(
    configure: Callable[[str, str], None], command: Command, configuration_file: Path
) -> None:
    """Where the store's folder exists, `init` makes the key, and leaves one that is there."""
    with_letters(configure)
    command("poll")
    folder = configuration_file.parent
    key = folder / "data" / "postmottak.db.journal-key"
    assert f"{key} written" in command("init", str(folder)).out
    first = key.read_bytes()
    assert key.stat().st_mode & 0o777 == 0o600
    assert f"{key} exists already; left unchanged" in command("init", str(folder)).out
    assert key.read_bytes() == first
