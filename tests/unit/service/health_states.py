"""States of an installation, for the tests of its health."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from typing import Any

from daemon.core.errors import (
    AccessRefused,
    LetterGone,
    MailboxUnavailable,
    PermanentFailure,
    TemporaryFailure,
)
from daemon.core.model import PartState
from daemon.monitoring.health import Severity
from daemon.monitoring.service_problems import ServiceProblems, log_problems
from daemon.store.in_use import SERVICE
from daemon.store.lock import InstanceLock
from tests.unit.conftest import TAX
from tests.unit.memory import MemoryDestination, MemoryMailbox
from tests.unit.service.conftest import MAILBOXES, PLACES, Command

CLOSED = TemporaryFailure("the drop folder /srv/drop is read-only; mount it for writing")
NO_ROOM = TemporaryFailure("the drop folder /srv/drop has no space left; make room on its disk")
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


def held(world: World) -> None:
    """One delivery is held."""
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


def _quiet_for(minutes: int, longest: str = "30m") -> Callable[[World], None]:
    """Nothing was polled for so long, of an organisation whose interval is the longest by now."""

    def state(world: World) -> None:
        _well(world)
        both = f'poll_every = "5m"\npoll_every_min = "5m"\npoll_every_max = "{longest}"'
        world.configure('poll_every = "1h"', both)
        world.sql("UPDATE bookmarks SET position = datetime(position, '-9 days')")
        before = f"datetime(succeeded_at, '-{minutes} minutes')"
        world.sql(f"UPDATE bookmarks SET succeeded_at = {before}")

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
    "a drop is full": (lambda w: failing(w, NO_ROOM, 1), CRITICAL, "has no space left"),
    "30 of 30 fail, and may pass": (lambda w: failing(w, AWAY, 30), WARNING, "does not answer"),
    "one fails, and may pass": (lambda w: failing(w, AWAY, 1), OK, "1 is being tried again"),
    "one is dead": (
        lambda w: failing(w, PermanentFailure("too large"), 1),
        CRITICAL,
        "not tried again: 1",
    ),
    "one is held": (held, OK, "1 is held"),
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
    "a quiet organisation is not polled yet": (_quiet_for(80), OK, "all letters"),
    "a quiet organisation is not polled any more": (
        _quiet_for(50, "15m"),
        WARNING,
        "3 times the interval of each (5m to 15m)",
    ),
    "a quiet organisation was not polled for long": (
        _quiet_for(100),
        CRITICAL,
        "was last read",
    ),
    "an organisation was added": (
        _added_party,
        WARNING,
        "Not read yet in the mailbox altinn: 974761076",
    ),
    "an edit has errors": (_faulty_edit, CRITICAL, "An edit was ignored"),
    "the disk is nearly full": (_full_disk, CRITICAL, "are free at"),
    "the log is lost": (_lost_log, WARNING, "log cannot be written"),
}


@contextmanager
def running(world: World) -> Iterator[None]:
    """A service has the store, as far as its lock shows."""
    lock = InstanceLock(world.folder / "data" / "postmottak.db")
    lock.write_holder(SERVICE)
    yield
    lock.release()


def _service_stopped(world: World) -> None:
    _well(world)
    with running(world):
        pass


def many_wait(world: World) -> None:
    """Deliveries fail, and may pass."""
    failing(world, AWAY, 38)


NOT_RUNNING = "the service is not running"
WITHOUT_SERVICE: dict[str, tuple[Callable[[World], None], Severity, str]] = {
    "nothing waits for the next poll": (_well, OK, f"on their way; {NOT_RUNNING}"),
    "38 wait for the next poll": (
        many_wait,
        WARNING,
        "The service is not running: 38 deliveries wait (and 1 other problem)",
    ),
    "one waits for the next poll": (
        lambda w: failing(w, AWAY, 1),
        WARNING,
        "The service is not running: 1 delivery waits",
    ),
    "the held do not wait for it": (held, OK, f"1 is held and {NOT_RUNNING}"),
    "the service was stopped": (_service_stopped, WARNING, "The service is not running"),
    "something else is worse": (
        lambda w: failing(w, CLOSED, 2),
        CRITICAL,
        f"(and 1 other problem); {NOT_RUNNING}",
    ),
}
