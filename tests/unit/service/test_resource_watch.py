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

from daemon.core.bookkeeping import RESOURCES, Bookmark
from daemon.core.errors import MailboxUnavailable
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
    resource_question: tuple[str, ...] = ("https://altinn.example", TAX, PLAN)

    def find_resources(self) -> Mapping[str, Sequence[str]]:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def use_resources(self, resources: Mapping[str, Sequence[str]]) -> None:
        self.using = resources

    def earliest(
        self, _channel: Channel, position: datetime | None, now: datetime
    ) -> datetime | None:
        return position - 7 * DAY if position else now - 30 * DAY

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

    def read(
        self, service: str, resource: str, problem: str = "", *, refused: bool = False
    ) -> None:
        """The channel is listed, successfully or not."""
        bookmark = self.bookmark(service, resource)
        bookmark.last_error, bookmark.refused = problem or None, refused
        if not problem:
            bookmark.begun, bookmark.succeeded_at = True, self.now
        bookmark.retired_at = None
        self.store.bookmarks.save([bookmark])

    def bookmark(self, service: str, resource: str) -> Bookmark:
        channel = Channel(party=PARTY, service=service, resource=resource)
        return self.store.bookmarks.of_channel("altinn", channel)

    def begins_at(self, service: str, resource: str) -> datetime | None:
        return self.bookmark(service, resource).begins_at

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


def test_a_registry_that_never_answers_is_a_problem(watched: Watched) -> None:
    """At a first start nothing is known, so that its silence is told at once; later it is when the
    answer has been due for some hours. The next answer ends it, and no other problem does."""
    found, watched.mailbox.answer = watched.mailbox.answer, MailboxUnavailable("it is down")
    watched.refresh()
    assert "has not answered yet" in watched.text()
    assert "it is down" in watched.text()
    watched.restart()
    watched.refresh()
    assert "has not answered yet" in watched.text()
    watched.mailbox.answer = found
    watched.refresh()
    assert watched.text() == ""
    watched.mailbox.answer = MailboxUnavailable("it is down")
    watched.refresh(DAY)
    assert watched.text() == ""
    watched.refresh(timedelta(hours=7))
    assert "has not answered since 2" in watched.text()
    watched.mailbox.answer = {TAX: ["skatt"], PLAN: ["plan"]}
    watched.refresh()
    assert "new, and read from now on: plan" in watched.text()


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


def test_what_has_been_refused_for_a_month_is_given_up(watched: Watched) -> None:
    """A resource that is neither listed nor readable for thirty days, while the party reads another
    one, is retired, which the log and a problem tell; one that can be read is kept for ever."""
    watched.refresh()
    watched.read(TAX, "skatt")
    watched.mailbox.answer = {TAX: ["ny"]}
    watched.refresh(40 * DAY)
    assert watched.mailbox.using == {TAX: ["ny", "skatt"]}
    watched.read(TAX, "ny")
    watched.read(TAX, "skatt", problem="refused", refused=True)
    with capture_logs() as logs:
        watched.refresh(DAY)
    assert watched.mailbox.using == {TAX: ["ny"]}
    assert [each["resources"] for each in logs if "any more" in each["event"]] == ["skatt (4255/8)"]
    watched.refresh(DAY)
    watched.restart()
    assert "not read any more" in watched.text()
    assert "skatt (4255/8)" in watched.text()
    watched.refresh(40 * DAY)
    assert watched.text() == ""


@pytest.mark.parametrize("refused", [True, False], ids=["key expired", "down"])
def test_an_outage_of_a_month_gives_nothing_up(watched: Watched, refused: bool) -> None:
    """What stops every channel of a party says nothing about one resource: all of them are read on,
    before and after the registry answers again."""
    watched.refresh()
    watched.read(TAX, "skatt")
    watched.read(PLAN, "plan")
    watched.mailbox.answer = {TAX: ["ny"]}
    watched.refresh(DAY)
    for resource, service in (("skatt", TAX), ("plan", PLAN)):
        watched.now += 20 * DAY
        watched.read(service, resource, problem="no token", refused=refused)
    watched.restart()
    assert watched.mailbox.using == {TAX: ["ny", "skatt"], PLAN: ["plan"]}
    watched.refresh()
    assert watched.mailbox.using == {TAX: ["ny", "skatt"], PLAN: ["plan"]}
    assert watched.retired() == set()


def test_what_fails_without_a_refusal_is_never_given_up(watched: Watched) -> None:
    """A list that Altinn fails to answer for a month may still have letters."""
    watched.refresh()
    watched.read(TAX, "skatt")
    watched.mailbox.answer = {TAX: ["ny"]}
    watched.refresh(40 * DAY)
    watched.read(TAX, "ny")
    watched.read(TAX, "skatt", problem="answered 500")
    watched.refresh(DAY)
    assert watched.mailbox.using == {TAX: ["ny", "skatt"]}


def test_a_start_gives_nothing_up(watched: Watched) -> None:
    """Before the registry has answered, what was read is read, however long it was refused."""
    watched.refresh()
    watched.read(TAX, "skatt")
    watched.mailbox.answer = {TAX: ["ny"]}
    watched.refresh(40 * DAY)
    watched.read(TAX, "ny")
    watched.read(TAX, "skatt", problem="refused", refused=True)
    watched.restart()
    assert watched.mailbox.using == {TAX: ["ny", "skatt"]}


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


def test_confidential_post_is_not_read_on_as_ordinary(watched: Watched) -> None:
    """A resource that turns out to be confidential leaves its ordinary service, although it has
    been read there, and is not called new where confidential post is off."""
    watched.refresh()
    watched.read(TAX, "skatt")
    watched.mailbox.answer = {"5504/1": ["skatt"]}
    watched.refresh(DAY)
    assert TAX not in watched.mailbox.using
    assert watched.retired() == {"skatt"}
    assert "new" not in watched.text()
    assert "confidential post now: skatt (4255/8)" in watched.text()


def test_a_new_resource_is_listed_from_the_last_answer(watched: Watched) -> None:
    """Letters that came while the registry did not answer, or while the service was down, are not
    passed over because they are older than a first listing usually goes back."""
    watched.refresh()
    watched.read(TAX, "skatt")
    watched.mailbox.answer = {TAX: ["skatt", "ny"]}
    watched.refresh(60 * DAY)
    assert watched.begins_at(TAX, "ny") == NOW - 7 * DAY
    watched.mailbox.answer = {TAX: ["skatt", "ny"], PLAN: ["plan"]}
    watched.refresh(DAY)
    assert watched.begins_at(PLAN, "plan") is None
    assert watched.begins_at(TAX, "ny") == NOW - 7 * DAY


def test_a_late_first_answer_counts_from_the_first_start(watched: Watched) -> None:
    """If the registry has never answered, its resources are listed from when the first attempts to
    read anything went back to; on another platform, the first start is today's."""
    watched.mailbox.answer = MailboxUnavailable("it is down")
    watched.refresh()
    watched.read(PLAN, "guess-4255/1", problem="refused", refused=True)
    bookmark = watched.bookmark(PLAN, "guess-4255/1")
    bookmark.begins_at = NOW - 30 * DAY
    watched.store.bookmarks.save([bookmark])
    watched.mailbox.answer = {TAX: ["skatt"]}
    watched.refresh(90 * DAY)
    assert watched.begins_at(TAX, "skatt") == NOW - 30 * DAY
    watched.mailbox.resource_question = ("https://other.example", TAX)
    watched.mailbox.answer = {TAX: ["annet"]}
    watched.restart()
    watched.refresh()
    assert watched.begins_at(TAX, "annet") is None


def test_another_configuration_is_asked_at_once(watched: Watched) -> None:
    """An answer for other services is used until the new one comes, which is asked for at once; so
    is one that does not say what was asked. While Altinn is away, nothing is taken away."""
    watched.refresh()
    watched.mailbox.resource_question = ("https://altinn.example", TAX, PLAN, "4255/2")
    watched.restart()
    assert watched.mailbox.using == {TAX: ["skatt"]}
    answer, watched.mailbox.answer = watched.mailbox.answer, MailboxUnavailable("it is down")
    watched.refresh()
    assert (watched.mailbox.asked, watched.mailbox.using) == (2, {TAX: ["skatt"]})
    watched.mailbox.answer = answer
    watched.refresh()
    watched.restart()
    watched.refresh()
    assert watched.mailbox.asked == 3
    kept = json.loads(watched.file.read_text())
    del kept["altinn"]["question"]
    watched.file.write_text(json.dumps(kept))
    watched.restart()
    watched.refresh()
    assert (watched.mailbox.asked, watched.mailbox.using) == (4, {TAX: ["skatt"]})


def test_another_platform_has_other_resources(watched: Watched) -> None:
    """What the test environment answered is not used in production, under the same name."""
    watched.refresh()
    watched.mailbox.resource_question = ("https://other.example", TAX, PLAN)
    watched.restart()
    assert watched.mailbox.using == {}
    watched.mailbox.answer = {TAX: ["ny"]}
    watched.refresh()
    assert watched.mailbox.using == {TAX: ["ny"]}
    assert watched.text() == ""


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
    resource_question = ("https://altinn.example", TAX, PLAN)
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
