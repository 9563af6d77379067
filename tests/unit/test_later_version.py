"""A node that runs while one of a later version has upgraded the tables: it goes on."""

from __future__ import annotations

import threading
from contextlib import closing
from datetime import timedelta

import pytest
from sqlalchemy import Enum, text
from sqlmodel import SQLModel, select

from daemon.core.columns import unknown_member
from daemon.core.model import DeliveryState, delivery_id, message_id
from daemon.store import Store, results
from daemon.store.content_folder import ContentFolder
from daemon.store.journal.bindings import BINDINGS
from tests.unit.alerting import Desk, new_desk  # noqa: F401  # a fixture
from tests.unit.claiming import LEASE, RECEIPT
from tests.unit.conftest import NOW, Clock, stored_letter
from tests.unit.nodes_together import Nodes, new_nodes  # noqa: F401  # a fixture
from tests.unit.test_journal_of_letters import live
from tests.unit.test_retention import keeper
from tests.unit.test_upgrade import execute

_BOUND = (
    *("messages", "attachments", "decisions", "deliveries", "attempts", "marks"),
    *("acknowledgements", "deadlines", "deletions", "tombstones", "legal_holds", "events"),
    *("routing_versions", "routing_changes", "users", "grants"),
)
"""Those of version 0034 of the tables, by number."""


_UPGRADE = (
    "CREATE TABLE later (x INTEGER)",
    "ALTER TABLE messages ADD COLUMN later INTEGER DEFAULT 7 NOT NULL",
    "ALTER TABLE deliveries ADD COLUMN later VARCHAR",
    "UPDATE alembic_version SET version_num = '9999'",
)
"""What a later version does: more tables and columns."""
_VALUES = [
    f"UPDATE {table.name} SET {column.name} = 'of-later' "
    f"WHERE {column.name} = (SELECT min({column.name}) FROM {table.name})"
    for table in SQLModel.metadata.sorted_tables
    for column in table.columns
    if isinstance(column.type, Enum)
]
"""Values that this version does not know, in some rows of each table with an enum."""


@pytest.mark.both_databases
def test_values_of_a_later_version(
    desk: Desk, store: Store, database_url: str, content: ContentFolder, clock: Clock
) -> None:
    """Rows whose enums have values that this version does not know can be read, and end neither
    alerts nor housekeeping nor deliveries; what it knows is delivered."""
    live(store, content, clock)
    assert len(_VALUES) > 10
    execute(database_url, *_UPGRADE, *_VALUES)
    clock.advance(days=1)
    store.letters.add([stored_letter("after", due_at=NOW)])
    known = delivery_id(message_id("altinn", "after"), "erp", 1)
    claims = store.outbox.claim("me", clock(), LEASE, 99)
    assert known in {each.id for each in claims}
    later = clock() + timedelta(days=1)
    store.outbox.end([results.delivered(each, RECEIPT, later, later) for each in claims])
    for model in {each.class_ for each in SQLModel._sa_registry.mappers}:
        assert store._database.rows(select(model)) is not None
    assert any(each.state == "of-later" for each in store.queries.deliveries())
    store.queries.counts()
    desk.make().look()
    keeper(store, content, clock, body="1d").run("service", threading.Event())


def test_an_unknown_value_is_itself() -> None:
    """It can be shown and written back, and equals nothing that this version knows."""
    found = unknown_member(DeliveryState, "of-later")
    assert isinstance(found, DeliveryState)
    assert (f"{found}", found.value) == ("of-later", "of-later")
    assert found not in set(DeliveryState)


def test_notes_of_a_later_version(nodes: Nodes) -> None:
    """What its triggers note of tables that this version does not bind is left; the rest is in the
    journal. A binding keeps its number, which is its place."""
    assert tuple(each.table for each in BINDINGS)[: len(_BOUND)] == _BOUND
    with closing(Store(nodes.url)) as store:
        with store._database.write() as session:
            session.execute(
                text(
                    "INSERT INTO journal_notes (binding, what, row_number) VALUES (999, 'added', 1)"
                )
            )
        execute(nodes.url, *_UPGRADE)
        store.letters.add([stored_letter("after")])
        assert store.journal.verify().faults == []
