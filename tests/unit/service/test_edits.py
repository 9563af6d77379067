"""Edits of a configuration that is in force: what changes at once, what waits for a restart, and
what changes nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from daemon.core.errors import TemporaryFailure
from daemon.core.model import DeliveryState
from daemon.service import app, stack
from daemon.service.app import App
from daemon.service.supervisor import Supervisor
from tests.machine import Machine
from tests.unit.conftest import TABLE, TABLE_TEXT, newest_decision
from tests.unit.memory import MemoryDestination, MemoryMailbox
from tests.unit.service.conftest import MAILBOXES, PLACES

SOON = 10  # seconds in which a thread must have done what it is waited for
TO_MAIL = TABLE_TEXT.replace(
    'name = "post"\ndeliver_to = ["erp"]', 'name = "post"\ndeliver_to = ["mail"]'
)


@pytest.fixture
def mailbox(memory_connectors: Path) -> MemoryMailbox:
    """The mailbox of the configuration."""
    MAILBOXES["altinn"] = box = MemoryMailbox()
    return box


@pytest.fixture
def parts(mailbox: MemoryMailbox, configuration_file: Path) -> Iterator[App]:
    """The app, opened."""
    with app.open_app(stack.load(configuration_file)) as parts:
        yield parts


@pytest.fixture
def edit(configuration_file: Path) -> Callable[[str, str], None]:
    """Changes the configuration."""

    def replace(old: str, new: str) -> None:
        text = configuration_file.read_text()
        assert old in text
        configuration_file.write_text(text.replace(old, new, 1))

    return replace


def test_a_swap_keeps_what_has_not_changed(
    parts: App, configuration_file: Path, edit: Callable[[str, str], None]
) -> None:
    """Destinations that were edited or removed are closed and replaced; the others go on, with
    their connections."""
    before = dict(parts.destinations)
    edit('[destination.mail]\ntype = "memory"', '[destination.archive]\ntype = "memory"')
    (configuration_file.parent / "routing.toml").write_text(
        TABLE_TEXT.replace('"erp", "mail"', '"erp", "archive"')
    )
    parts.swap(stack.load(configuration_file))
    assert set(parts.destinations) == {"erp", "archive"}
    assert parts.destinations["erp"] is before["erp"]
    assert (PLACES["erp"].closed, PLACES["mail"].closed) == (False, True)
    assert parts.store.queries.table(parts.table.version)
    assert parts.table.version != TABLE.version


@pytest.mark.parametrize(
    ("old", "new", "waits"),
    [
        ('poll_every = "1h"', 'poll_every = "2h"', True),
        ('content = "content"', 'content = "elsewhere"', True),
        ("[routing]", '[delivery]\ngive_up_after = "1d"\n\n[routing]', True),
        (
            '[destination.mail]\ntype = "memory"',
            '[destination.mail]\ntype = "memory"\naway = true',
            False,
        ),
    ],
    ids=["mailbox", "store", "delivery", "destination"],
)
def test_what_waits_for_a_restart_is_told(
    parts: App,
    configuration_file: Path,
    edit: Callable[[str, str], None],
    logged: list[Any],
    old: str,
    new: str,
    *,
    waits: bool,
) -> None:
    """An edit that is in force only after a restart says so; one of a destination is in force at
    once."""
    edit(old, new)
    parts.swap(stack.load(configuration_file))
    assert any("after a restart" in line["event"] for line in logged) is waits


def test_what_waits_follows_an_edit(
    parts: App, mailbox: MemoryMailbox, configuration_file: Path, stopping: threading.Event
) -> None:
    """When a recipient is reached elsewhere from now on, letters that wait for it go there too."""
    mailbox.publish("a")
    parts.intake.poll(mailbox, parts.polled_mailboxes[0].policies, stopping)
    (configuration_file.parent / "routing.toml").write_text(TO_MAIL)
    parts.swap(stack.load(configuration_file))
    parts.deliver_due(stopping)
    assert [(each.destination, each.state) for each in parts.store.queries.deliveries()] == [
        ("erp", DeliveryState.WITHDRAWN),
        ("mail", DeliveryState.DELIVERED),
    ]


def test_covers_are_followed_once_a_day(
    mailbox: MemoryMailbox, configuration_file: Path, stopping: threading.Event
) -> None:
    """A cover begins at midnight in Norway for letters that wait since before, without any edit."""
    cover = (
        '[[delegation]]\nfrom = "post"\nto = "regnskap"\nstarts = 2026-12-21\nends = 2026-12-21\n'
    )
    (configuration_file.parent / "routing.toml").write_text(TABLE_TEXT + cover)
    mailbox.publish("a")
    machine = Machine(datetime(2026, 12, 20, 22, 30, tzinfo=UTC))
    with app.open_app(stack.load(configuration_file), machine.new_clock) as parts:
        PLACES["erp"].fails = iter([TemporaryFailure("nobody is at home")] * 2)
        parts.poll(stopping)
        machine.passes(120)
        parts.deliver_due(stopping)
        assert {each.destination for each in parts.store.queries.deliveries()} == {"erp"}
        machine.passes(3600)
        parts.deliver_due(stopping)
        delivered = {each.destination: each.recipients for each in parts.store.queries.deliveries()}
        assert delivered == {"erp": ["regnskap"], "mail": ["regnskap"]}
        assert newest_decision(parts.store, "a").chosen == ["post"]


def running(parts: App) -> tuple[Supervisor, threading.Thread]:
    """A service in a thread of its own."""
    service = Supervisor(parts)
    thread = threading.Thread(target=service.run)
    thread.start()
    return service, thread


def test_a_running_service_follows_an_edit(
    parts: App, mailbox: MemoryMailbox, configuration_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edit of the routing table is in force soon, without a restart; a broken one changes
    nothing."""
    swapped, delivered = threading.Event(), threading.Event()
    swap = parts.swap

    def note(checked: stack.LoadedConfig) -> None:
        swap(checked)
        swapped.set()

    monkeypatch.setattr(parts, "swap", note)
    PLACES.setdefault("mail", MemoryDestination("mail")).during = lambda _: delivered.set()
    service, thread = running(parts)
    try:
        service.reload()
        assert swapped.wait(SOON)
        swapped.clear()
        routing = configuration_file.parent / "routing.toml"
        routing.write_text("[[route]]\n")
        assert not swapped.wait(2)
        assert parts.table.version == TABLE.version
        routing.write_text(TO_MAIL)
        assert swapped.wait(SOON)
        mailbox.publish("a")
        parts.intake.poll(mailbox, parts.polled_mailboxes[0].policies, threading.Event())
        service._outbox_wake.wake_up()
        assert delivered.wait(SOON)
    finally:
        service.stop()
        thread.join(SOON)
    assert not thread.is_alive()
