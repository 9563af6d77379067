"""The log of deliveries that fail: a warning for the first of a kind, and a count for the rest."""

from __future__ import annotations

import threading
from datetime import timedelta
from itertools import repeat
from typing import Any

import pytest

from daemon.core.errors import PermanentFailure, TemporaryFailure
from daemon.core.parcels import Receipt
from daemon.delivery.attempts import AttemptJudge
from daemon.delivery.dispatch import Dispatch
from daemon.delivery.failure_log import FailureLog
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from tests.unit.conftest import Clock, active_snapshot, stored_letter
from tests.unit.memory import MemoryDestination

pytestmark = pytest.mark.both_databases

CLOSED = TemporaryFailure("the drop folder /srv/drop is read-only; mount it for writing")
NO_ANSWER = TemporaryFailure("there was no answer in time")
REFUSED = TemporaryFailure("connection refused")


class Desk:
    """A destination, and what is logged of it."""

    def __init__(
        self, store: Store, content: ContentFolder, clock: Clock, logged: list[Any]
    ) -> None:
        self.store, self.clock, self.logged = store, clock, logged
        self.erp = MemoryDestination("erp")
        self.dispatch = Dispatch(
            store=store,
            content=content,
            active=active_snapshot({"erp": self.erp}),
            clock=clock,
            give_up_after=timedelta(days=5),
        )

    def deliver(self, **later: float) -> list[tuple[str, str]]:
        """Attempt what is due, later; the level and the event of each line that is printed."""
        self.clock.advance(**later)
        self.logged.clear()
        self.dispatch.deliver_due(threading.Event())
        return [
            (line["log_level"], line["event"])
            for line in self.logged
            if line["log_level"] != "debug"
        ]

    def letters(self, *names: str) -> None:
        """More letters."""
        self.store.letters.add([stored_letter(name, due_at=self.clock()) for name in names])


@pytest.fixture
def desk(store: Store, content: ContentFolder, clock: Clock, logged: list[Any]) -> Desk:
    """A destination."""
    content.put([b"pdf"])
    return Desk(store, content, clock, logged)


def test_one_warning_for_a_kind(desk: Desk) -> None:
    """Thirty failures for one reason are one line, and another kind is another; the next line is
    an hour later, with how many there were."""
    desk.erp.fails = repeat(CLOSED)
    desk.letters(*(str(number) for number in range(4)))
    assert desk.deliver() == [("warning", "delivery attempted")]
    assert desk.deliver(minutes=2) == []
    assert desk.deliver(minutes=10) == []
    assert desk.deliver(hours=2) == [("warning", "delivery attempted")]
    (line,) = [each for each in desk.logged if each["log_level"] == "warning"]
    assert line["repeats"] >= 3
    assert line["reason"] == str(CLOSED)


def test_what_may_pass_is_one_kind(desk: Desk) -> None:
    """A destination that fails now so and now so is logged once."""
    desk.erp.fails = iter([NO_ANSWER, REFUSED, NO_ANSWER])
    desk.letters("a")
    assert desk.deliver() == [("warning", "delivery attempted")]
    assert desk.deliver(minutes=2) == []
    assert desk.deliver(minutes=5) == []


def test_the_end_is_logged(desk: Desk) -> None:
    """When a destination takes deliveries again the log says so, and whoever shows the state hears
    of the beginning and of the end."""
    desk.erp.fails = iter([CLOSED])
    desk.letters("a")
    desk.deliver()
    assert desk.dispatch.changed.is_set()
    desk.dispatch.changed.clear()
    assert desk.deliver(minutes=2) == [
        ("info", "a destination takes deliveries again"),
        ("info", "delivery attempted"),
    ]
    assert desk.dispatch.changed.is_set()


def test_a_dead_letter_is_a_warning(desk: Desk) -> None:
    """Each letter that is not tried again has its own line."""
    desk.erp.fails = repeat(PermanentFailure("it is too large"))
    desk.letters("a", "b")
    assert desk.deliver() == [("warning", "delivery attempted")] * 2


def test_many_kinds_are_bounded(desk: Desk) -> None:
    """However many words a destination has for what is set up wrongly, the log has a limited number
    of lines and wakes others as seldom; all end together, and what is long over is forgotten."""
    desk.letters("a")
    (claim,) = desk.store.outbox.claim("me", desk.clock(), timedelta(hours=1), 1)
    woken: list[bool] = []
    log = FailureLog(lambda: woken.append(True))

    def note(*outcomes: Receipt | TemporaryFailure) -> list[str]:
        desk.logged.clear()
        now = desk.clock()
        judge = AttemptJudge(
            started_at=now, now=now, give_up_after=timedelta(days=5), awaiting_pickup=False
        )
        for each in outcomes:
            log.note(judge.of(claim, each), ours=True, now=now)
        return [line["event"] for line in desk.logged if line["log_level"] == "warning"]

    names = [f"{first}{second}" for first in "abcdefgh" for second in "abcdefgh"]
    every = [TemporaryFailure(f"/srv/{name} is not there; create it") for name in names]
    assert len(note(*every)) == len(woken) == 21
    assert note(*every) == []
    assert note(Receipt(reference="x", details={})) == []
    assert len(woken) == 22
    desk.clock.advance(hours=2)
    assert note(TemporaryFailure("/srv/new is not there")) == ["delivery attempted"]
    assert note(TemporaryFailure("/srv/newer is not there")) == ["delivery attempted"]
