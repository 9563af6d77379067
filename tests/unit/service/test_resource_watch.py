"""Which resources are read is found out every day, and no letter depends on the answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from structlog.testing import capture_logs

from daemon.core.bookkeeping import RESOURCES
from daemon.core.errors import DiskFull, MailboxUnavailable
from daemon.core.ports import Channel
from daemon.monitoring.problems import Problem
from daemon.monitoring.service_problems import ServiceProblems
from daemon.service import app, resource_watch, stack
from daemon.service.resource_watch import ResourceWatch
from daemon.service.supervisor import Supervisor
from daemon.store import Store
from tests.unit.conftest import NOW, PARTY
from tests.unit.memory import MemoryDestination, MemoryMailbox
from tests.unit.service.conftest import MAILBOXES, PLACES

TAX, PLAN = "4255/8", "4255/1"
DAY = timedelta(days=1)


@dataclass
class Box:
    """A mailbox that lists what it was told to, and a guess where it was told nothing."""

    answer: dict[str, list[str]] | Exception = field(default_factory=dict)
    finds_resources: bool = True
    name: str = "altinn"
    asked: int = 0
    using: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def find_resources(self) -> Mapping[str, Sequence[str]]:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def use_resources(self, resources: Mapping[str, Sequence[str]]) -> None:
        self.using = resources

    def channels(self) -> Sequence[Channel]:
        return [
            Channel(party=PARTY, service=service, resource=each)
            for service in (TAX, PLAN)
            for each in self.using.get(service, [f"guess-{service}"])
        ]


@dataclass
class Watched:
    """A watch over one mailbox, with a clock that the test moves; `restart` makes a new one."""

    store: Store
    file: Path
    mailbox: Box
    now: datetime = NOW
    problems: ServiceProblems = field(default_factory=ServiceProblems)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.problems = ServiceProblems()
        self.mailbox.using = {}
        boxes: Any = [self.mailbox]
        self.watch = ResourceWatch(boxes, self.store, self.file, self.problems, lambda: self.now)
        self.watch.recall("altinn")
        self.store.bookmarks.retire("altinn", self.mailbox.channels(), self.now)

    def refresh(self, after: timedelta = timedelta()) -> None:
        self.now += after
        self.watch._asked.clear()  # the hour between failed questions has passed
        self.watch.refresh("altinn")

    def read(self, service: str, resource: str, problem: str = "") -> None:
        """The channel is listed, successfully or not."""
        channel = Channel(party=PARTY, service=service, resource=resource)
        bookmark = self.store.bookmarks.of_channel("altinn", channel)
        bookmark.last_error = problem or None
        if not problem:
            bookmark.begun, bookmark.succeeded_at = True, self.now
        bookmark.retired_at = None
        self.store.bookmarks.save([bookmark])

    def retired(self) -> set[str]:
        return {each.resource for each in self.store.queries.bookmarks() if each.retired_at}

    def text(self) -> str:
        [problem] = self.problems.all() or [Problem(kind="", about="", text="")]
        assert problem.kind in {"", RESOURCES}
        assert not (problem.kind and problem.critical)
        return problem.text


@pytest.fixture
def watched(store: Store, tmp_path: Path) -> Watched:
    return Watched(store, tmp_path / "postmottak.resources.json", Box(answer={TAX: ["skatt"]}))


def test_they_are_asked_at_the_start_and_daily(watched: Watched) -> None:
    """What is found is used at once, and asked again after a day, not before; a restart does not
    ask either, and uses what is known."""
    watched.refresh()
    assert watched.mailbox.using == {TAX: ["skatt"]}
    watched.refresh(DAY / 2)
    watched.restart()
    assert watched.mailbox.using == {TAX: ["skatt"]}
    watched.refresh()
    assert watched.mailbox.asked == 1
    watched.refresh(DAY / 2)
    assert watched.mailbox.asked == 2
    assert watched.text() == ""


def test_without_an_answer_nothing_changes(watched: Watched) -> None:
    """An outage at the first start leaves the guesses, a later one what was known; both are in the
    log, and the question is repeated after an hour at the earliest."""
    found, watched.mailbox.answer = watched.mailbox.answer, MailboxUnavailable("it is down")
    with capture_logs() as logs:
        watched.refresh()
    assert [each["log_level"] for each in logs] == ["warning"]
    assert {each.resource for each in watched.mailbox.channels()} == {
        "guess-4255/8",
        "guess-4255/1",
    }
    watched.watch.refresh("altinn")
    assert watched.mailbox.asked == 1
    watched.mailbox.answer = found
    watched.refresh()
    watched.mailbox.answer = ValueError("a fault of the connector")
    watched.refresh(DAY)
    assert watched.mailbox.using == {TAX: ["skatt"]}


def test_a_resource_that_was_read_is_read_on(watched: Watched) -> None:
    """A resource that the registry leaves out for a day is still listed, which a problem tells; it
    ends when the registry has it again."""
    watched.refresh()
    watched.read(TAX, "skatt")
    watched.mailbox.answer = {TAX: ["ny"], PLAN: ["plan"]}
    watched.refresh(DAY)
    assert watched.mailbox.using == {TAX: ["ny", "skatt"], PLAN: ["plan"]}
    assert "new, and read from now on: plan (4255/1), ny (4255/8)" in watched.text()
    assert "not listed any more, but still read" in watched.text()
    assert "skatt (4255/8)" in watched.text()
    watched.restart()
    assert watched.mailbox.using == {TAX: ["ny", "skatt"], PLAN: ["plan"]}
    assert "skatt (4255/8)" in watched.text()
    watched.refresh(DAY)
    assert "new" not in watched.text()
    assert "skatt (4255/8)" in watched.text()
    watched.mailbox.answer = {TAX: ["ny", "skatt"], PLAN: ["plan"]}
    watched.refresh(DAY)
    assert "skatt (4255/8)" in watched.text()  # it is new again, for a day
    watched.refresh(DAY)
    assert watched.text() == ""


def test_an_answer_without_anything_takes_nothing_away(watched: Watched) -> None:
    """A registry that is suddenly empty stops no letter."""
    watched.refresh()
    watched.read(TAX, "skatt")
    watched.mailbox.answer = {}
    watched.refresh(DAY)
    assert watched.mailbox.using == {TAX: ["skatt"]}
    assert watched.retired() == set()


def test_what_was_never_read_leaves(watched: Watched) -> None:
    """A guess, or a resource that never could be read, is retired as soon as the registry knows
    better, and so leaves `status`."""
    watched.read(TAX, "guess-4255/8", problem="no right")
    watched.read(TAX, "skatt", problem="no right")
    watched.refresh()
    assert watched.retired() == {"guess-4255/8"}
    watched.mailbox.answer = {TAX: ["ny"]}
    watched.refresh(DAY)
    assert watched.mailbox.using == {TAX: ["ny"]}
    assert watched.retired() == {"guess-4255/8", "skatt"}


def test_what_has_been_unreadable_for_a_month_is_given_up(watched: Watched) -> None:
    """A resource that is neither listed nor readable for thirty days is retired, which the log
    tells; one that can be read is kept for ever."""
    watched.refresh()
    watched.read(TAX, "skatt")
    watched.mailbox.answer = {TAX: ["ny"]}
    watched.refresh(40 * DAY)
    assert watched.mailbox.using == {TAX: ["ny", "skatt"]}
    watched.read(TAX, "skatt", problem="refused")
    with capture_logs() as logs:
        watched.refresh(DAY)
    assert watched.mailbox.using == {TAX: ["ny"]}
    assert [each["resources"] for each in logs if "any more" in each["event"]] == ["skatt (4255/8)"]


def test_what_was_read_before_the_watch_existed_is_read_on(watched: Watched) -> None:
    """After an upgrade, a guess that was right is kept although nothing is known yet."""
    watched.read(TAX, "guess-4255/8")
    watched.restart()
    assert watched.mailbox.using == {TAX: ["guess-4255/8"]}
    watched.refresh()
    assert watched.mailbox.using == {TAX: ["guess-4255/8", "skatt"]}
    assert watched.text() == ""


def test_a_resource_belongs_to_one_service(watched: Watched) -> None:
    """If the registry moves a resource to another service, it is read under that one only."""
    watched.refresh()
    watched.read(TAX, "skatt")
    watched.mailbox.answer = {PLAN: ["skatt"]}
    watched.refresh(DAY)
    assert watched.mailbox.using == {PLAN: ["skatt"]}
    assert "still read" not in watched.text()
    assert "skatt (4255/1)" in watched.text()


def test_what_could_not_be_retired_is_retired_later(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk the answer is used and kept, and what it leaves out is retired at the next
    opportunity, without another question."""
    watched.read(TAX, f"guess-{TAX}", "404")
    watched.mailbox.answer = {TAX: ["skatt"]}

    def no_room(*_: object) -> int:
        raise DiskFull("no room")

    with monkeypatch.context() as patch:
        patch.setattr(watched.store.bookmarks, "retire", no_room)
        watched.refresh()
    assert json.loads(watched.file.read_text())["altinn"]["found"] == [[TAX, "skatt"]]
    asked = watched.mailbox.asked
    watched.watch.refresh("altinn")
    assert [each.retired_at for each in watched.store.queries.bookmarks()] == [NOW]
    assert watched.mailbox.asked == asked


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_text("{"),
        lambda file: file.write_text("[]"),
        lambda file: file.write_text('{"altinn": {"read_at": "2026"}}'),
        lambda file: file.write_text(
            json.dumps({"altinn": {"read_at": NOW.isoformat(), "found": 1}})
        ),
        lambda file: file.write_bytes(b"\xff"),
        lambda file: file.unlink(),
    ],
)
def test_a_damaged_file_is_made_again(watched: Watched, damage: Callable[[Path], None]) -> None:
    """The file only saves a question: without it, it is asked again, and what was read is known."""
    watched.refresh()
    watched.read(TAX, "skatt")
    damage(watched.file)
    watched.restart()
    assert watched.mailbox.using == {TAX: ["skatt"]}
    watched.refresh()
    assert watched.mailbox.asked == 2
    assert json.loads(watched.file.read_text())["altinn"]["found"] == [[TAX, "skatt"]]
    assert watched.file.stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_written_stops_nothing(watched: Watched) -> None:
    """The answer is used all the same, and the log says why it is not kept."""
    watched.file.mkdir()
    with capture_logs() as logs:
        watched.refresh()
    assert watched.mailbox.using == {TAX: ["skatt"]}
    assert "the resources could not be kept" in [each["event"] for each in logs]


def test_a_configured_table_is_left_alone(watched: Watched) -> None:
    """A mailbox whose resources are configured is neither asked nor told anything."""
    watched.mailbox.finds_resources = False
    watched.restart()
    watched.refresh()
    assert (watched.mailbox.asked, watched.mailbox.using) == (0, {})
    assert not watched.file.exists()


class SearchingMailbox(MemoryMailbox):
    """A mailbox in memory that finds out its resources by itself."""

    finds_resources = True
    found: ClassVar[dict[str, list[str]]] = {TAX: ["skatt"]}

    def find_resources(self) -> Mapping[str, Sequence[str]]:
        return dict(self.found)

    def use_resources(self, resources: Mapping[str, Sequence[str]]) -> None:
        self.boxes = [
            Channel(party=PARTY, service=service, resource=each)
            for service, ids in resources.items()
            for each in ids
        ]


def test_a_running_service_reads_a_new_resource(
    memory_connectors: Path, configuration_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resource that appears while the service runs is read without a restart, and the service's
    problems say so; a mailbox that has left the configuration leaves no channel behind."""
    monkeypatch.setattr(resource_watch, "_EVERY", timedelta())
    monkeypatch.setattr(resource_watch, "_RETRY", 0.0)
    MAILBOXES["altinn"] = box = SearchingMailbox()
    PLACES.update(erp=(erp := MemoryDestination("erp")), mail=MemoryDestination("mail"))
    came = threading.Semaphore(0)
    erp.during = lambda _: came.release()
    text = configuration_file.read_text().replace('"1h"', '"1s"')
    configuration_file.write_text(text)
    box.publish("a", title="Skatt")
    with app.open_app(stack.load(configuration_file)) as parts:
        service = Supervisor(parts)
        thread = threading.Thread(target=service.run)
        thread.start()
        try:
            assert came.acquire(timeout=20)
            new = Channel(party=PARTY, service=PLAN, resource="plan")
            box.publish("b", channel=new, title="Plan")
            box.found = {TAX: ["skatt"], PLAN: ["plan"]}  # type: ignore[misc]
            assert came.acquire(timeout=20)
        finally:
            service.stop()
            thread.join(20)
        assert {each.resource for each in parts.store.queries.bookmarks()} == {"skatt", "plan"}
    configuration_file.write_text(text.replace("[mailbox.altinn]", "[mailbox.other]"))
    MAILBOXES["other"] = SearchingMailbox("other")
    with app.open_app(stack.load(configuration_file)) as parts:
        left = parts.store.queries.bookmarks()
        assert [each.resource for each in left if not each.retired_at] == []
