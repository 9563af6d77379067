"""Which resources are read is found out every day, and no letter depends on the answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

import pytest
from structlog.testing import capture_logs

from daemon.core.errors import DiskFull, MailboxUnavailable
from daemon.core.ports import Channel
from daemon.service import app, resource_watch, stack
from daemon.service.supervisor import Supervisor
from tests.unit.conftest import NOW, PARTY
from tests.unit.memory import MemoryDestination, MemoryMailbox
from tests.unit.service.conftest import MAILBOXES, PLACES
from tests.unit.service.watched_resources import (
    DAY,
    PLAN,
    TAX,
    Watched,
    new_watched,  # noqa: F401  # a fixture
)


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
