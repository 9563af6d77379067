"""A routing table with faults keeps nothing down that has a valid table in force; faults of the
configuration itself do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from daemon.core.errors import ConfigurationError
from daemon.service import app
from daemon.service.supervisor import Supervisor
from daemon.service.table_in_force import load_for_work
from tests.unit.conftest import TABLE, TABLE_TEXT
from tests.unit.memory import MemoryMailbox
from tests.unit.service.conftest import MAILBOXES, Command

SOON = 10.0  # seconds
BROKEN = TABLE_TEXT.replace('to = ["post"]', 'to = ["pst"]')


@pytest.fixture
def routing(tmp_path: Path) -> Path:
    """The routing table's file."""
    return tmp_path / "routing.toml"


@pytest.fixture
def polled(command: Command) -> MemoryMailbox:
    """The mailbox, polled once with a valid table."""
    MAILBOXES["altinn"] = box = MemoryMailbox()
    box.publish("a", title="Skatt")
    assert command("poll").code == 0
    return box


@pytest.mark.parametrize("text", [BROKEN, "nonsense", "", None])
def test_a_poll_goes_on_with_the_table_in_force(
    command: Command, polled: MemoryMailbox, routing: Path, text: str | None
) -> None:
    """Letters go where the table in force sends them; the edit is named, and work remains."""
    routing.unlink() if text is None else routing.write_text(text)
    polled.publish("b", title="Skatt")
    ended = command("poll", "--json")
    assert (ended.code, ended.json["delivered"]) == (3, 2)
    assert "an edit is not in force" in ended.err
    assert "routing.toml" in ended.err
    status = command("status", "--json")
    assert (status.code, status.json["routing"]["state"]) == (3, "faulty")
    assert status.json["routing"]["version"] == TABLE.version
    assert "edit" in {each["kind"] for each in status.json["troubles"]}
    assert {each["kind"] for each in status.json["alerts"]} >= {"edit"}
    routing.write_text(TABLE_TEXT)
    assert command("poll").code == 0


def test_a_service_starts_with_it_and_reports_the_edit(
    polled: MemoryMailbox, configuration_file: Path, routing: Path
) -> None:
    """A restarted service works, and its faults are those of an edit while it runs, until the file
    is mended."""
    routing.write_text(BROKEN)
    with app.open_app(load_for_work(configuration_file, lambda _: None)) as parts:
        service = Supervisor(parts)
        thread = threading.Thread(target=service.run)
        thread.start()
        try:
            assert _wait_for(lambda: bool(service._reload.current_faults()))
            assert parts.table.version == TABLE.version
            routing.write_text(TABLE_TEXT + "# mended\n")
            assert _wait_for(lambda: parts.table.version != TABLE.version)
            assert _wait_for(lambda: not service._reload.current_faults())
        finally:
            service.stop()
            thread.join(SOON)


def _wait_for(condition: Callable[[], bool]) -> bool:
    pause = threading.Event()
    return any(condition() or pause.wait(0.1) for _ in range(int(SOON * 10)))


def test_what_stays_refused(
    command: Command,
    polled: MemoryMailbox,
    configure: Callable[[str, str], None],
    routing: Path,
) -> None:
    """Faults of the configuration, and a table in force that is not valid with it, stop the start
    with all that is wrong; so does a faulty table where none was ever in force."""
    routing.write_text(BROKEN)
    configure('[destination.mail]\ntype = "memory"', "")
    refused = command("poll")
    assert (refused.code, refused.out) == (1, "")
    assert "pst" in refused.err
    configure("[routing]", "[routing]\nnonsense = 1")
    refused = command("poll")
    assert refused.code == 1
    assert "nonsense" in refused.err


def test_a_first_start_needs_a_valid_table(
    memory_connectors: object, configuration_file: Path, routing: Path
) -> None:
    """Without a store, or in one that never had a table in force, a faulty table is refused, and
    no store is made."""
    routing.write_text(BROKEN)
    with pytest.raises(ConfigurationError, match="pst"):
        load_for_work(configuration_file, lambda _: None)
    assert not (routing.parent / "data").exists()


def test_the_table_in_force_is_shown(command: Command, polled: object, routing: Path) -> None:
    """`routes list` and `routes explain` name the faults, say that they show the table in force,
    and do."""
    whole = command("routes", "list")
    described = ("routes", "explain", "--title", "Skatt")
    explained = command(*described)
    routing.write_text(BROKEN)
    for before, after in ((whole, command("routes", "list")), (explained, command(*described))):
        assert (before.code, after.code) == (0, 1)
        assert after.out == before.out
        assert "pst" in after.err
        assert f"this is the table in force, {TABLE.version[:12]}" in after.err
    assert command("routes", "list", "--json").json["version"] == TABLE.version
    assert command(*described, "--json").json["version"] == TABLE.version
