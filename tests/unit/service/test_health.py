"""Whether all is well is decided once: `status`, its line for monitors, the unit's status line and
the metrics say the same in every state, and none of them calls well what is not."""

from __future__ import annotations

import errno
import os
import re
import socket
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from daemon.cli.status_facts import routing_standing
from daemon.config.loader import Configuration
from daemon.core.errors import (
    AccessRefused,
    LetterGone,
    MailboxUnavailable,
    PermanentFailure,
    TemporaryFailure,
)
from daemon.core.model import PartState
from daemon.monitoring.alerts import AlertNotifier
from daemon.monitoring.health import Health, Severity
from daemon.monitoring.service_problems import ServiceProblems, log_problems
from daemon.runtime.heartbeat import Heartbeats
from daemon.runtime.systemd import SystemdNotifier
from daemon.service import stack
from daemon.service.status_line import StatusLine
from daemon.store import Store
from daemon.store.in_use import SERVICE
from daemon.store.lock import InstanceLock
from daemon.web.metrics import Monitoring
from tests.unit.conftest import APPOINTED, SECRET, TAX, active_snapshot
from tests.unit.memory import MemoryDestination, MemoryMailbox
from tests.unit.service.conftest import MAILBOXES, PLACES, Command

CLOSED = TemporaryFailure("the drop folder /srv/drop is read-only; mount it for writing")
AWAY = TemporaryFailure("the receiver does not answer; it is tried again later")
NO_RIGHT = AccessRefused("the system user of 991825827 may not read skatt; grant it the right")
ALTINN_AWAY = MailboxUnavailable("Altinn does not answer; it is tried again at the next poll")


@dataclass
class World:
    """An installation, brought into a state, and its four renderings."""

    command: Command
    folder: Path
    mailbox: MemoryMailbox = field(default_factory=MemoryMailbox)
    problems: ServiceProblems = field(default_factory=ServiceProblems)

    def __post_init__(self) -> None:
        MAILBOXES["altinn"] = self.mailbox
        for name in ("erp", "mail"):
            PLACES[name] = MemoryDestination(name)

    def letters(self, count: int) -> None:
        """So many letters are in the mailbox."""
        for number in range(count):
            self.mailbox.publish(f"letter-{number}", b"pdf")

    def poll(self) -> None:
        """One round."""
        self.command("poll")

    def sql(self, statement: str) -> None:
        """Change the store behind everybody's back: time has passed."""
        with closing(sqlite3.connect(self.folder / "data" / "postmottak.db")) as base, base:
            base.execute(statement)

    @property
    def file(self) -> Path:
        """The configuration."""
        return self.folder / "postmottak.toml"

    def configure(self, old: str, new: str) -> None:
        """Change the configuration."""
        assert old in self.file.read_text()
        self.file.write_text(self.file.read_text().replace(old, new, 1))


def failing(world: World, error: Exception, letters: int, *, polls: int = 1) -> None:
    """So many deliveries fail."""
    PLACES["erp"].fails = repeat(error)
    world.letters(letters)
    for _ in range(polls):
        world.poll()


def lose_right(world: World, error: Exception, *, polls: int = 2) -> None:
    """One of two channels can no longer be read."""
    world.mailbox.boxes = [TAX, world_channel("plan")]
    for number in range(polls):
        if number == polls - 1:
            world.mailbox.fails["list", "plan"] = repeat(error)
        world.poll()


def world_channel(resource: str) -> Any:
    """Another channel of the same organisation."""
    return type(TAX)(party=TAX.party, service="4255/1", resource=resource)


def _well(world: World) -> None:
    world.letters(2)
    world.poll()


def _never_polled(world: World) -> None:
    world.mailbox.boxes = []
    world.poll()


def _held(world: World) -> None:
    failing(world, AWAY, 1)
    (delivery,) = world.command("deliveries", "list", "--json").json
    world.command("deliveries", "hold", delivery["id"])


def _gone(world: World) -> None:
    world.letters(1)
    world.mailbox.fails["fetch", "letter-0"] = repeat(LetterGone("it was removed"))
    world.poll()


def _confidential(world: World) -> None:
    world.mailbox.publish("secret", confidential=True)
    world.poll()


def _unfetched(count: int, error: Exception = ALTINN_AWAY) -> Callable[[World], None]:
    def state(world: World) -> None:
        world.letters(count)
        for number in range(count):
            world.mailbox.fails["fetch", f"letter-{number}"] = repeat(error)
        world.poll()

    return state


def _whole_mailbox(error: Exception, *, read_before: bool) -> Callable[[World], None]:
    def state(world: World) -> None:
        if read_before:
            world.poll()
        world.mailbox.fails["list", "skatt"] = repeat(error)
        world.poll()

    return state


def _incomplete(world: World) -> None:
    _well(world)
    world.sql(f"UPDATE attachments SET state = '{PartState.EXPIRED.value}'")


def _undelivered(world: World) -> None:
    failing(world, AWAY, 1)
    world.sql("UPDATE deliveries SET created_at = datetime(created_at, '-5 hours')")


def _stopped(hours: int) -> Callable[[World], None]:
    def state(world: World) -> None:
        _well(world)
        world.configure('poll_every = "1h"', 'poll_every = "5m"')
        minutes = f"-{60 * hours - 20} minutes"
        world.sql(f"UPDATE bookmarks SET succeeded_at = datetime(succeeded_at, '{minutes}')")

    return state


def _added_party(world: World) -> None:
    _well(world)
    world.configure('parties = ["991825827"]', 'parties = ["991825827", "974761076"]')


def _faulty_edit(world: World) -> None:
    _well(world)
    (world.folder / "routing.toml").write_text("[[route]]\nto = 3\n")


def _full_disk(world: World) -> None:
    _well(world)
    world.file.write_text(world.file.read_text() + "[alerts]\nfree_bytes = 900000000000000\n")


def _lost_log(world: World) -> None:
    _well(world)
    world.problems.follow("log", lambda: log_problems("no space"))


def _presumed(world: World) -> None:
    guess = type(TAX)(party=TAX.party, service="4255/2", resource="bygg", presumed=True)
    world.mailbox.boxes = [TAX, guess]
    world.mailbox.fails["list", "bygg"] = repeat(NO_RIGHT)
    world.poll()


OK, WARNING, CRITICAL = Severity.OK, Severity.WARNING, Severity.CRITICAL
STATES: dict[str, tuple[Callable[[World], None], Severity, str]] = {
    "all is well": (_well, OK, "all letters are delivered"),
    "nothing was ever polled": (_never_polled, WARNING, "has not been read yet"),
    "30 of 30 fail, set up wrongly": (lambda w: failing(w, CLOSED, 30), CRITICAL, "read-only"),
    "one fails, set up wrongly": (lambda w: failing(w, CLOSED, 1), CRITICAL, "1 delivery fails"),
    "30 of 30 fail, and may pass": (lambda w: failing(w, AWAY, 30), WARNING, "does not answer"),
    "one fails, and may pass": (lambda w: failing(w, AWAY, 1), OK, "1 is being tried again"),
    "one is dead": (
        lambda w: failing(w, PermanentFailure("too large"), 1),
        CRITICAL,
        "not tried again: 1",
    ),
    "one is held": (_held, OK, "1 is held"),
    "one waits for too long": (_undelivered, CRITICAL, "longer than 4h"),
    "a letter was removed": (_gone, OK, "all letters"),
    "a confidential letter waits": (_confidential, OK, "all letters"),
    "one letter cannot be fetched": (_unfetched(1), OK, "1 is being tried again"),
    "ten letters cannot be fetched": (_unfetched(10), WARNING, "cannot be fetched: 10"),
    "no right to a letter": (_unfetched(1, NO_RIGHT), WARNING, "cannot be fetched: 1"),
    "the mailbox fails": (
        _whole_mailbox(ALTINN_AWAY, read_before=True),
        WARNING,
        "does not answer",
    ),
    "the mailbox was never read": (
        _whole_mailbox(ALTINN_AWAY, read_before=False),
        CRITICAL,
        "was never read",
    ),
    "the mailbox is refused": (_whole_mailbox(NO_RIGHT, read_before=False), CRITICAL, "may not"),
    "a service fails": (lambda w: lose_right(w, ALTINN_AWAY), OK, "all letters"),
    "a right is lost": (lambda w: lose_right(w, NO_RIGHT), CRITICAL, "Access lost"),
    "a right was never given": (lambda w: lose_right(w, NO_RIGHT, polls=1), WARNING, "may not"),
    "a presumed resource is refused": (_presumed, OK, "all letters"),
    "an attachment is missing": (_incomplete, WARNING, "missing or damaged"),
    "nothing is polled any more": (_stopped(1), WARNING, "was not read for more than 3 times"),
    "nothing was polled for long": (_stopped(2), CRITICAL, "was last read"),
    "an organisation was added": (
        _added_party,
        WARNING,
        "Not read yet in the mailbox altinn: 974761076",
    ),
    "an edit has errors": (_faulty_edit, CRITICAL, "An edit was ignored"),
    "the disk is nearly full": (_full_disk, CRITICAL, "are free at"),
    "the log is lost": (_lost_log, WARNING, "log cannot be written"),
}


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


@contextmanager
def running(world: World) -> Iterator[None]:
    """A service has the store, as far as its lock shows."""
    lock = InstanceLock(world.folder / "data" / "postmottak.db")
    lock.write_holder(SERVICE)
    yield
    lock.release()


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


def _service_stopped(world: World) -> None:
    _well(world)
    with running(world):
        pass


def _many_wait(world: World) -> None:
    failing(world, AWAY, 38)


NOT_RUNNING = "the service is not running"
WITHOUT_SERVICE: dict[str, tuple[Callable[[World], None], Severity, str]] = {
    "nothing waits for the next poll": (_well, OK, f"on their way; {NOT_RUNNING}"),
    "38 wait for the next poll": (
        _many_wait,
        WARNING,
        "The service is not running: 38 deliveries wait (and 1 other problem)",
    ),
    "one waits for the next poll": (
        lambda w: failing(w, AWAY, 1),
        WARNING,
        "The service is not running: 1 delivery waits",
    ),
    "the held do not wait for it": (_held, OK, f"1 is held and {NOT_RUNNING}"),
    "the service was stopped": (_service_stopped, WARNING, "The service is not running"),
    "something else is worse": (
        lambda w: failing(w, CLOSED, 2),
        CRITICAL,
        f"(and 1 other problem); {NOT_RUNNING}",
    ),
}


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
    _many_wait(world)
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
    _held(world)
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
