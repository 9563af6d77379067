"""The journal's signed head: made each day, logged, published, in backups, and used to verify."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from daemon.runtime.schedule import WakeEvent
from daemon.service import housekeeping_loop, room
from daemon.service.app import App
from daemon.store.journal.heads import head_of
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
