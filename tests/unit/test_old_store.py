"""A store that an earlier version made: it opens, keeps what it has, and goes on."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from daemon.core.bookkeeping import LetterPart
from daemon.core.errors import StoreError
from daemon.core.model import DeliveryState, MarkKind, MarkState, SightingState, message_id
from daemon.core.parcels import Receipt
from daemon.store import Store, results
from daemon.store.migrations import HEAD
from tests.unit.conftest import NOW, TAX

DUMP = Path(__file__).parent / "data" / "store_0003.sql"
"""Six letters, one for each state that a delivery could have, and one that was routed elsewhere;
one more that retention deleted. Written by the code of commit b658003 through its `Store`, and by
`sqlite3.Connection.iterdump`.
"""
LEASE = timedelta(hours=1)
LATER = NOW + timedelta(days=1)


@pytest.fixture(name="path")
def an_old_database(tmp_path: Path) -> Path:
    """The database as the earlier version left it."""
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(DUMP.read_text("utf-8"))
    return path


@pytest.fixture(name="old")
def the_old_store(path: Path) -> Iterator[Store]:
    """The same, opened by this version."""
    store = Store(f"sqlite:///{path}")
    yield store
    store.close()


def rows(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, but Alembic's."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        tables = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'alembic_version'"
        ).fetchall()
        return {
            name: [dict(row) for row in connection.execute(f"SELECT * FROM {name} ORDER BY rowid")]
            for (name,) in tables
        }


def test_no_value_of_an_old_store_changes(path: Path) -> None:
    """The migrations add columns; every row and every value that was there is still there."""
    before = rows(path)
    assert all(before[table] for table in before if table != "threads")
    Store(f"sqlite:///{path}").close()
    after = rows(path)
    assert before == {
        table: [
            {name: value for name, value in row.items() if name in before[table][0]}
            for row in after[table]
        ]
        for table in before
    }
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(HEAD,)]


def test_what_an_old_store_has_can_be_shown(old: Store) -> None:
    """Letters, deliveries in each state, attempts, marks, sightings, a hold and what was
    deleted."""
    states = {each.destination: each.state for each in old.queries.deliveries()}
    assert states == {
        "pending": DeliveryState.PENDING,
        "claimed": DeliveryState.CLAIMED,
        "delivered": DeliveryState.DELIVERED,
        "held": DeliveryState.HELD,
        "dead": DeliveryState.DEAD,
        "erp": DeliveryState.PENDING,
    }
    (pending,) = old.queries.deliveries(destination="pending")
    assert [each.reason for each in old.queries.attempts(pending.id)] == [
        "no answer 1",
        "no answer 2",
        "no answer 3",
    ]
    counts = old.queries.counts()
    assert (counts.messages, counts.deliveries[DeliveryState.WITHDRAWN]) == (6, 0)
    assert [counts.sightings[state] for state in SightingState] == [1, 1, 1, 0, 0]
    assert [each.failing_since for each in old.queries.sightings(SightingState.FAILING)] == [NOW]
    delivered, deleted = message_id("altinn", "delivered"), message_id("altinn", "deleted")
    assert [each.reason for each in old.retention.holds(delivered)] == ["sak 12"]
    assert {each.part for each in old.retention.deletions(message_id=deleted)} == set(LetterPart)
    assert old.letters.stored_of([deleted]) == {deleted}
    assert old.bookmarks.of_channel("altinn", TAX).position == NOW


def test_what_an_earlier_version_withdrew_is_still_told(old: Store) -> None:
    """It deleted the delivery; what the decision says of it stays readable."""
    (_, decision) = old.queries.decisions(message_id("altinn", "moved"))
    assert decision.why["withdrawn"] == [
        {
            "destination": "mail",
            "generation": 1,
            "state": "pending",
            "attempts": 1,
            "error": "nobody is at home",
        }
    ]


def test_an_old_store_goes_on(old: Store) -> None:
    """What was claimed, held, dead or pending is delivered, and marks become due."""
    assert old.outbox.release_abandoned(LATER) == 1
    held, dead = (
        old.queries.deliveries(destination="held"),
        old.queries.deliveries(destination="dead"),
    )
    old.outbox.release([each.id for each in held], LATER)
    old.outbox.retry([each.id for each in dead], LATER)
    claims = old.outbox.claim("new", LATER, LEASE, 99)
    assert {each.delivery.destination for each in claims} == {
        "pending",
        "claimed",
        "held",
        "dead",
        "erp",
    }
    (tried,) = [each for each in claims if each.delivery.destination == "pending"]
    assert (tried.delivery.progress, tried.attachments[0].original_name) == ({"step": 3}, "Å.pdf")
    receipt = Receipt(reference="x", details={})
    assert len(
        old.outbox.end([results.delivered(each, receipt, LATER, LATER) for each in claims])
    ) == len(claims)
    assert old.queries.unfinished() == {}
    marks = [
        each
        for name in ("pending", "claimed", "held", "dead", "moved")
        for each in old.queries.marks(message_id("altinn", name))
    ]
    assert [(each.kind, each.state) for each in marks] == [(MarkKind.READ, MarkState.DUE)] * 5
    (waits,) = old.outbox.awaiting_pickup()
    assert old.outbox.picked_up(waits.id, LATER, None)


def test_a_later_store_is_refused(path: Path) -> None:
    """A database whose version this one does not know is left as it is, with a word on what to
    do."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"a later version of Postmottak \(it has the tables 9999"):
        Store(f"sqlite:///{path}")
    assert path.read_bytes() == before
