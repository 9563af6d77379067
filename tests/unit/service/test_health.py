"""Whether all is well is decided once: `status`, its line for monitors, the unit's status line and
the metrics say the same in every state, and none of them calls well what is not."""

from __future__ import annotations

import errno
import os
import re
import socket
from collections import Counter
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from daemon.config.loader import Configuration
from daemon.core.errors import (
    LetterGone,
)
from daemon.monitoring.alerts import AlertNotifier
from daemon.monitoring.health import Health, Severity
from daemon.runtime.heartbeat import Heartbeats
from daemon.runtime.systemd import SystemdNotifier
from daemon.service import stack
from daemon.service.standing import routing_standing
from daemon.service.status_line import StatusLine
from daemon.store import Store
from daemon.web.metrics import Monitoring
from tests.unit.conftest import APPOINTED, SECRET, TAX, active_snapshot
from tests.unit.service.conftest import Command
from tests.unit.service.health_states import (
    ALTINN_AWAY,
    CLOSED,
    CRITICAL,
    STATES,
    WITHOUT_SERVICE,
    World,
    failing,
    held,
    many_wait,
    running,
)


@pytest.fixture
def world(command: Command, tmp_path: Path) -> World:
    """An installation with nothing in its mailbox."""
    return World(command, tmp_path)


def unit_status(world: World, configuration: Configuration, store: Store) -> str:
    """What systemd is sent by the look that the service takes, from a real socket."""
    name = str(world.folder / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(name)
        listener.settimeout(5)
        line = StatusLine(SystemdNotifier({"NOTIFY_SOCKET": name}), lambda: "2 mailboxes")
        notifier = AlertNotifier(
            store=store,
            active=active_snapshot({}, configuration=configuration),
            faults=lambda: routing_standing(configuration, store).faults,
            clock=stack.utc_now,
            heartbeats=Heartbeats(),
            service_problems=world.problems,
        )
        notifier.on_health = line.show_health
        notifier.look()
        told = listener.recv(8192).decode()
    return told.removeprefix("STATUS=").removesuffix("; 2 mailboxes")


def metrics(
    world: World, configuration: Configuration, store: Store
) -> tuple[Severity, Counter[str]]:
    """The verdict and the kinds of problems, as Prometheus' own parser reads them."""
    text = Monitoring(
        store=store,
        configuration=lambda: configuration,
        attempts=dict,
        token_ends=dict,
        faults=lambda: routing_standing(configuration, store).faults,
        clock=stack.utc_now,
        service_problems=world.problems.all,
    ).text()
    samples = [each for read in text_string_to_metric_families(text) for each in read.samples]
    (verdict,) = [each.value for each in samples if each.name == "postmottak_health"]
    kinds = {
        each.labels["kind"]: int(each.value) for each in samples if each.name == "postmottak_alerts"
    }
    return Severity(int(verdict)), Counter(kinds)


def steady(text: str) -> str:
    """The text without what changes by itself between two commands: free space."""
    return re.sub(r"\d+ MB", "some MB", text)


@pytest.mark.parametrize("name", STATES)
def test_four_renderings_agree(world: World, name: str) -> None:
    """In each state of a running service the verdict, the sentence and the problems are the same
    everywhere."""
    bring_about, verdict, words = STATES[name]
    bring_about(world)
    configuration = stack.load_configuration(world.file)
    store = stack.open_store(configuration)
    unit = unit_status(world, configuration, store)
    numbers = metrics(world, configuration, store)
    store.close()
    with running(world):
        first, kinds = agreed(world, verdict)
    assert words in first
    assert "not running" not in first
    assert steady(first) == steady(unit)
    assert numbers == (verdict, kinds)


def agreed(world: World, verdict: Severity) -> tuple[str, Counter[str]]:
    """The first line of `status`, and its kinds of problems, which its other forms share."""
    shown, monitor = world.command("status"), world.command("status", "--monitor")
    document = world.command("status", "--json")
    first = shown.out.splitlines()[0]
    assert first.startswith(f"{verdict.name}: ")
    assert document.json["health"]["verdict"] == verdict.name.lower()
    assert steady(document.json["health"]["sentence"]) == steady(first.partition(": ")[2])
    assert monitor.code == verdict.value
    assert monitor.out.startswith(f"POSTMOTTAK {verdict.name} - ")
    assert shown.code == document.code == (3 if verdict else 0)
    kinds = Counter(each["kind"] for each in document.json["troubles"])
    assert f" problems={kinds.total()};" in monitor.out
    assert all(steady(each["text"]) in steady(monitor.out) for each in document.json["troubles"])
    return first, kinds


@pytest.mark.parametrize("name", WITHOUT_SERVICE)
def test_without_a_service_all_is_not_well(world: World, name: str) -> None:
    """Where no process works with the store, the headline says so, and what waits for one is a
    problem at once, in every form of `status`."""
    bring_about, verdict, words = WITHOUT_SERVICE[name]
    bring_about(world)
    first, kinds = agreed(world, verdict)
    assert words in first
    assert kinds["not-running"] == ("The service" in first or verdict is CRITICAL)


def test_it_is_not_invented_whether_a_service_runs(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user who may not open the lock file reads that it cannot be seen, and why."""
    many_wait(world)
    opened = os.open

    def refused(path: Any, *arguments: Any, **named: Any) -> int:
        if str(path).endswith(".lock"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return opened(path, *arguments, **named)

    monkeypatch.setattr("daemon.store.in_use.os.open", refused)
    shown = world.command("status").out
    assert "not running" not in shown
    assert "no alarm: It cannot be seen whether the service runs" in shown
    assert "postmottak.db.lock: Permission denied" in shown


def test_what_may_pass_is_shown(world: World) -> None:
    """What is no problem yet, and what an operator has put aside, is shown all the same."""
    held(world)
    assert "no alarm: erp: held by an operator: 1" in world.command("status").out
    world.mailbox.publish("new")
    world.poll()
    assert "no alarm: erp: 1 delivery fails" in world.command("status").out


def test_each_kind_of_a_cause_is_shown(world: World) -> None:
    """What one cause brings about at a place is shown once for each kind, not only the worst."""
    failing(world, CLOSED, 2)
    world.sql("UPDATE deliveries SET created_at = datetime(created_at, '-5 hours')")
    shown = world.command("status").out
    assert "erp: 2 deliveries fail" in shown
    assert shown.count("A letter has waited for erp") == 1


def test_listed_is_here_or_elsewhere_for_a_reason(world: World) -> None:
    """Each letter that was listed is counted once, as here or with the reason why not; our own
    notices are not letters that were listed."""
    (world.folder / "routing.toml").write_text(APPOINTED.text)
    world.letters(3)
    world.mailbox.publish(
        "secret", channel=replace(SECRET, list_only=True, fetch_confidential=False)
    )
    world.mailbox.boxes = [TAX, replace(SECRET, list_only=True, fetch_confidential=False)]
    world.mailbox.fails["fetch", "letter-0"] = repeat(LetterGone("it was removed"))
    world.mailbox.fails["fetch", "letter-1"] = repeat(ALTINN_AWAY)
    world.poll()
    document = world.command("status", "--json").json
    listed = document["listed"]
    assert document["messages"] == listed["stored"] + 1
    assert listed["total"] == len(world.mailbox.letters) == 4
    assert (listed["stored"], listed["gone"], listed["failing"], listed["waiting"]) == (1, 1, 1, 1)
    assert "together 4 that were listed = 1 + 1 + 1 + 1" in world.command("status").out


def test_the_status_line_keeps_the_last_poll_apart(tmp_path: Path) -> None:
    """A poll that went well does not hide what is wrong."""
    line = StatusLine(SystemdNotifier({}), lambda: "1 mailboxes, 2 destinations")
    assert str(line) == "1 mailboxes, 2 destinations"
    line.show_health(Health(problems=(), passing=()))
    line.show_poll("altinn", 30, stack.utc_now())
    assert re.fullmatch(
        r"OK: all letters are delivered or on their way; 1 mailboxes, 2 destinations; "
        r"altinn polled at \d\d:\d\d:\d\d UTC: 30 new letters",
        str(line),
    )
