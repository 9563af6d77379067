"""The parts put together: loading, opening, and one round."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from itertools import repeat
from pathlib import Path

import pytest

from daemon.core.errors import ConfigurationError, StoreError
from daemon.core.model import DeliveryState, Outcome
from daemon.routing.table import Table
from daemon.service import app, stack
from daemon.service.app import App
from tests.unit.conftest import APPOINTED, TABLE, TABLE_TEXT, newest_messages
from tests.unit.memory import MemoryDestination, MemoryMailbox
from tests.unit.service.conftest import AWAY, NOT_NOW


def test_loading_tells_every_fault_of_both_files(
    memory_connectors: Path, configuration_file: Path
) -> None:
    """Faults of the configuration and of the routing table come together, and nothing is made."""
    configuration_file.write_text(
        configuration_file.read_text().replace('poll_every = "1h"', 'poll_every = "often"')
    )
    (configuration_file.parent / "routing.toml").write_text(
        TABLE_TEXT.replace('"erp", "mail"', '"erp", "mial"')
    )
    with pytest.raises(ConfigurationError) as caught:
        stack.load(configuration_file)
    assert [(Path(each.file).name, each.line) for each in caught.value.faults] == [
        ("postmottak.toml", 8),
        ("routing.toml", 4),
    ]
    assert not (configuration_file.parent / "data").exists()


def test_a_routing_table_that_is_missing(memory_connectors: Path, configuration_file: Path) -> None:
    """A routing table that is not where the configuration says is a fault that names the file."""
    (configuration_file.parent / "routing.toml").unlink()
    with pytest.raises(
        ConfigurationError, match=r"routing\.toml: the file cannot be read: no such file"
    ):
        stack.load(configuration_file)


def test_one_round(
    parts: App,
    mailbox: MemoryMailbox,
    places: dict[str, MemoryDestination],
    stopping: threading.Event,
) -> None:
    """One round fetches, routes and delivers everything, and the next one finds nothing to do."""
    summary = parts.poll(stopping)
    assert (summary.total(lambda each: each.stored), summary.outcomes, summary.problems) == (
        1,
        {Outcome.DELIVERED: 2},
        [],
    )
    assert (summary.unfinished, summary.unreachable, summary.marks_failed) == ({}, False, 0)
    assert [len(place.kept) for place in places.values()] == [1, 1]
    assert mailbox.told_read == []
    again = parts.poll(stopping)
    assert (again.total(lambda each: each.fetched), again.outcomes) == (0, {})


def test_a_round_in_which_much_goes_wrong(
    parts: App,
    mailbox: MemoryMailbox,
    places: dict[str, MemoryDestination],
    stopping: threading.Event,
) -> None:
    """What is left undone is told, by state, with the mailboxes' problems."""
    mailbox.publish("b")
    mailbox.fails["fetch", "b"] = repeat(AWAY)
    places["mail"].fails = repeat(NOT_NOW)
    summary = parts.poll(stopping)
    assert summary.outcomes == {Outcome.DELIVERED: 1, Outcome.DEFERRED: 1}
    assert summary.unfinished == {DeliveryState.PENDING: 1}
    assert summary.problems == ["letter b: Altinn does not answer"]


def test_a_round_without_a_mailbox(
    parts: App, mailbox: MemoryMailbox, stopping: threading.Event
) -> None:
    """If no mailbox can be reached, that is told, and what is stored is delivered all the same."""
    parts.intake.poll(mailbox, parts.polled_mailboxes[0].policies, stopping)
    mailbox.fails["list", "skatt"] = repeat(AWAY)
    summary = parts.poll(stopping)
    assert (summary.unreachable, summary.outcomes) == (True, {Outcome.DELIVERED: 2})


def test_the_policy_of_the_mailbox(
    mailbox: MemoryMailbox, places: object, configuration_file: Path, stopping: threading.Event
) -> None:
    """Senders are told by the policy that stands with their mailbox."""
    configuration_file.write_text(
        configuration_file.read_text().replace(
            'poll_every = "1h"', 'poll_every = "1h"\nmark_read = "delivered"'
        )
    )
    with app.open_app(stack.load(configuration_file)) as parts:
        parts.poll(stopping)
    assert (mailbox.told_read, mailbox.told_confirmed) == (["a"], [])


def test_one_process_for_each_store(parts: App, configuration_file: Path) -> None:
    """While the parts are open nobody else opens them; looking at the database is allowed."""
    with (
        pytest.raises(StoreError, match="another postmottak"),
        app.open_app(stack.load(configuration_file)),
    ):
        pass
    store = stack.open_store(stack.load(configuration_file).configuration)
    assert store.queries.counts().messages == 0
    store.close()


def test_everything_is_closed(
    mailbox: MemoryMailbox, places: dict[str, MemoryDestination], configuration_file: Path
) -> None:
    """In the end, and after an error, all connections are closed and the store is free."""
    checked = stack.load(configuration_file)
    for _ in range(2):
        with pytest.raises(KeyError), app.open_app(checked):
            raise KeyError
        assert mailbox.closed
        assert all(place.closed for place in places.values())


def test_a_start_that_fails_releases_the_store(
    mailbox: MemoryMailbox, places: object, configuration_file: Path
) -> None:
    """If the parts cannot be put together, the store is free again for the next try."""
    content = configuration_file.parent / "content"
    content.write_text("")
    checked = stack.load(configuration_file)
    with pytest.raises(StoreError, match="content"), app.open_app(checked):
        pass
    content.unlink()
    with app.open_app(checked):
        pass


def test_a_start_clears_up_after_a_crash(
    mailbox: MemoryMailbox, places: object, configuration_file: Path, stopping: threading.Event
) -> None:
    """Half-written files are removed, what was claimed is due again, and the routing table in force
    is kept."""
    checked = stack.load(configuration_file)
    with app.open_app(checked) as parts:
        parts.intake.poll(mailbox, parts.polled_mailboxes[0].policies, stopping)
        parts.store.outbox.claim("gone", parts.clock(), timedelta(hours=1), 2)
        half = configuration_file.parent / "content" / "tmp" / "half"
        half.write_text("ha")
    with app.open_app(checked) as parts:
        assert not half.exists()
        assert parts.store.queries.unfinished() == {DeliveryState.PENDING: 2}
        assert parts.store.queries.table(TABLE.version)
        assert parts.poll(stopping).outcomes == {Outcome.DELIVERED: 2}


def test_the_table_may_change(
    parts: App, mailbox: MemoryMailbox, stopping: threading.Event
) -> None:
    """A table that comes into force while the service runs decides on the next letter."""

    def put_into_force(table: Table) -> None:
        parts.store.letters.note_table(table.version, table.text, parts.clock())
        parts._active.replace(replace(parts._active.snapshot(), table=table))

    parts.poll(stopping)
    put_into_force(APPOINTED)
    mailbox.publish("b")
    parts.poll(stopping)
    versions = {
        message.external_id: decision.routing_version
        for message, decision in newest_messages(parts.store, 9)
    }
    assert versions == {"a": TABLE.version, "b": APPOINTED.version}
