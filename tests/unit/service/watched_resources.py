"""A watch over the resources of one mailbox, with a clock that the test moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from daemon.core.bookkeeping import RESOURCES, Bookmark
from daemon.core.ports import Channel
from daemon.monitoring.problems import Problem
from daemon.monitoring.service_problems import ServiceProblems
from daemon.service.resource_watch import ResourceWatch
from daemon.store import Store
from tests.unit.conftest import NOW, PARTY

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


@pytest.fixture(name="watched")
def new_watched(store: Store, tmp_path: Path) -> Watched:
    return Watched(store, tmp_path / "postmottak.resources.json", Box(answer={TAX: ["skatt"]}))
