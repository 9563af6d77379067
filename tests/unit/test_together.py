"""Group commit: the changes of many threads in few commits, and each caller answers for its own change only."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlmodel import Session, select

from daemon.errors import NotStorable
from daemon.model import RoutingVersion
from daemon.store import Database
from tests.unit.conftest import NOW

THREADS = 8


@pytest.fixture
def opened(database: Path) -> Iterator[Database]:
    """The database as the store opens it."""
    opened = Database(f"sqlite:///{database}")
    yield opened
    opened.close()


REFUSED = "\ud800"
"""Half of a surrogate pair, which no database holds."""


def adding(version: str) -> Callable[[Session], str]:
    """A change that adds a row, and returns its name."""

    def add(session: Session) -> str:
        session.add(RoutingVersion(version=version, text="", in_force_since=NOW))
        session.flush()
        return version

    return add


def versions(database: Database) -> set[str]:
    """What is durable of this test's rows."""
    with database.read() as session:
        return {version for version in session.exec(select(RoutingVersion.version)) if len(version) < 10}


def while_another_writes(database: Database, changes: list[Callable[[Session], str]]) -> list[str | NotStorable]:
    """What comes of changes that all wait while another transaction holds the database."""

    def outcome(change: Callable[[Session], str]) -> str | NotStorable:
        try:
            return database.write_together(change)
        except NotStorable as error:
            return error

    with ThreadPoolExecutor(len(changes)) as pool:
        with database.write():
            futures = [pool.submit(outcome, change) for change in changes]
            while len(database._together._waiting) < len(changes):
                threading.Event().wait(0.001)
        return [future.result() for future in futures]


def test_changes_that_wait_together_share_commits(opened: Database) -> None:
    """Every change is durable and returns its own value, and one commit is enough for all that waited."""
    commits: list[object] = []
    event.listen(opened._reader, "commit", lambda connection: commits.append(connection))  # noqa: PLW0108  # SQLAlchemy looks at the signature
    found = while_another_writes(opened, [adding(f"v{number}") for number in range(THREADS)])
    assert found == [f"v{number}" for number in range(THREADS)]
    assert versions(opened) == {f"v{number}" for number in range(THREADS)}
    assert len(commits) == 1


def test_a_change_that_fails_fails_alone(opened: Database) -> None:
    """A change that the database refuses is told to its own caller, and the others are durable."""
    changes = [adding(f"v{number}" if number != 3 else REFUSED) for number in range(THREADS)]
    found = while_another_writes(opened, changes)
    assert isinstance(found[3], NotStorable)
    assert versions(opened) == {f"v{number}" for number in range(THREADS) if number != 3}


def test_what_follows_a_failure_is_carried_out(opened: Database) -> None:
    """A change that fails leaves nobody waiting: the next one is made."""
    with pytest.raises(NotStorable):
        opened.write_together(adding(REFUSED))
    assert opened.write_together(adding("next")) == "next"
    assert versions(opened) == {"next"}
