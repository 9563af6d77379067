"""A full disk while the service runs: one alert for as long as it lasts, and no thread ends."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from typing import Any

import pytest
from structlog.testing import capture_logs

from daemon.core.bookkeeping import FULL
from daemon.core.errors import DiskFull
from daemon.core.model import Outcome
from daemon.core.ports import Channel
from daemon.runtime.schedule import WakeEvent
from daemon.service import housekeeping_loop, room
from daemon.service.app import App
from daemon.service.poll_loop import PollLoop
from daemon.service.resource_watch import ResourceWatch
from daemon.service.supervisor import Supervisor
from daemon.store.bookmarks import Bookmarks
from tests.unit.conftest import TAX
from tests.unit.memory import MemoryMailbox
from tests.unit.service.conftest import AWAY

OTHER = Channel(party="910000001", service="4255/8", resource="skatt")
SOON = 10  # seconds


def full(parts: App) -> list[str]:
    """What is not done because the disk is full."""
    return [each.about for each in parts.problems.all() if each.kind == FULL]


def once_full(then: Any) -> Callable[..., Any]:
    """Fails the first time for want of room."""
    answers: Iterator[Any] = chain([DiskFull("no room")], repeat(then))

    def answer(*_: object, **__: object) -> Any:
        found = next(answers)
        if isinstance(found, Exception):
            raise found
        return found

    return answer


def _polls(service: Supervisor) -> PollLoop:
    """The loop of the only mailbox."""
    return service._polls(service._app.polled_mailboxes[0], service._wakes[0])


def test_room_for_others_is_no_room(
    parts: App, mailbox: MemoryMailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one group's large attachment cannot be written, the polls of another group, and polls
    that reach nothing, leave the alert; it ends when that group's letter is stored."""
    polls = _polls(Supervisor(parts))
    stage = parts.content.stage
    monkeypatch.setattr(parts.intake.fetcher.content, "stage", once_full(None))
    polls._poll([TAX])
    assert full(parts) == ["fetched"]
    polls._poll([OTHER])
    assert full(parts) == ["fetched"]
    mailbox.fails["list", "skatt"] = iter([AWAY])
    polls._poll([TAX])
    assert full(parts) == ["fetched"]
    monkeypatch.setattr(parts.intake.fetcher.content, "stage", stage)
    polls._poll([TAX])
    assert full(parts) == []


def test_a_comparison_is_repeated(parts: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """A comparison that found no room is due again, not a day later, and its success ends the
    alert."""
    polls = _polls(Supervisor(parts))
    monkeypatch.setattr(parts, "reconcile", once_full([]))
    polls.reconcile()
    assert (full(parts), polls.reconcile_due.is_set()) == (["fetched"], True)
    polls.reconcile()
    assert full(parts) == []


def test_a_round_without_deliveries_proves_no_room(
    parts: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A delivery whose outcome could not be kept is not due for a while, so a round without any
    leaves the alert; one with an outcome ends it, and so does a long time without a failure."""
    service, none, some = Supervisor(parts), Counter[Outcome](), Counter([Outcome.DELIVERED])
    for ends in (some, none):
        monkeypatch.setattr(parts, "deliver_due", once_full((none, 0)))
        service._deliver()
        service._deliver()
        assert full(parts) == ["delivered"]
        if ends is none:
            monkeypatch.setattr(room, "_QUIET", 0.0)
        monkeypatch.setattr(parts, "deliver_due", lambda _, ends=ends: (ends, 0))
        service._deliver()
        assert full(parts) == []


def test_housekeeping_is_tried_again_soon(parts: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """Housekeeping, which makes room, is tried again after minutes, and not after a day."""
    monkeypatch.setattr(housekeeping_loop, "_UNTIL_ROOM", 0.01)
    looks, ended = once_full(True), threading.Event()
    stopping, wake = threading.Event(), WakeEvent()

    def run(_: object) -> Any:
        looks()
        ended.set()
        return True

    monkeypatch.setattr(parts, "run_housekeeping", run)
    parts_of_it = parts, room.Room(parts.problems), wake, stopping
    thread = threading.Thread(
        target=housekeeping_loop.run_housekeeping, args=parts_of_it, daemon=True
    )
    thread.start()
    assert ended.wait(SOON)
    stopping.set()
    wake.wake_up()
    thread.join(SOON)
    assert full(parts) == []


@pytest.mark.parametrize(("kind", "name"), [(ResourceWatch, "refresh"), (App, "is_comparison_due")])
def test_a_poll_needs_no_more_than_room_for_letters(
    parts: App, monkeypatch: pytest.MonkeyPatch, kind: type, name: str
) -> None:
    """Where what comes before a poll finds the disk full, the letters are polled for all the
    same."""
    monkeypatch.setattr(kind, name, once_full(None))
    service, polled = Supervisor(parts), threading.Event()

    def poll(*_: object) -> None:
        polled.set()
        service._stopping.set()

    monkeypatch.setattr(PollLoop, "_poll", poll)
    _polls(service).run()
    assert polled.is_set()


def test_the_start_needs_no_room(parts: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a start cannot retire stays listed, which the log says, and the service starts: the
    table is in force; the next start retires it."""
    unread = parts.store.bookmarks.of_channel("altinn", OTHER)
    unread.begun = True
    parts.store.bookmarks.save([unread])
    with monkeypatch.context() as at_this_start, capture_logs() as logged:
        at_this_start.setattr(Bookmarks, "retire", once_full(0))
        parts._recover()
    (said,) = [each for each in logged if each["log_level"] == "error"]
    assert said["event"] == "channels that are not read any more stay listed until there is room"
    assert parts.store.bookmarks.of_channel("altinn", OTHER).retired_at is None
    current = parts.store.queries.table_in_force()
    assert current is not None
    assert current.version == parts.table.version
    parts._recover()
    assert parts.store.bookmarks.of_channel("altinn", OTHER).retired_at is not None


def test_a_group_without_channels(parts: App) -> None:
    """A mailbox that has no channel at the moment is polled like any other."""
    _polls(Supervisor(parts))._poll([])
    assert full(parts) == []
