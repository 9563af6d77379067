"""A store that is moved is the same in the other database, row by row, whatever its rows have."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon.core.errors import (
    NotStorable,
    OperatorError,
    StoreClosed,
    StoreError,
    StoreUnreachable,
)
from daemon.store import Database, Store
from daemon.store.content_folder import ContentFolder
from daemon.store.migrations import HEAD
from daemon.store.transfer import rows
from daemon.store.transfer.moving import MovedStore, move_store, reopen
from daemon.store.transfer.numbers import highest_numbers
from daemon.store.transfer.rows import moved_tables
from daemon.store.transfer.side import Side
from daemon.store.transfer.zero_characters import (
    replace_zero_characters,
    rows_with_zero_characters,
)
from tests.processes.postgresql import PostgresqlServer
from tests.unit.claiming import LEASE
from tests.unit.conftest import NOW, Clock, stored_letter
from tests.unit.odd_rows import dump, fill, plain
from tests.unit.test_journal_of_letters import live

OWN = {"alembic_version", "sqlite_sequence", "last_numbers", "journal_notes"}
"""Tables that are not moved as they are: the version, the last numbers, which go on, and notes of
transactions, of which none is open."""


@pytest.fixture
def new_url(postgresql: PostgresqlServer) -> Iterator[str]:
    """The URL of a database without tables."""
    name = f"test_{uuid4().hex}"
    postgresql.run(f"CREATE DATABASE {name}")
    yield postgresql.url(name)
    postgresql.run(f"DROP DATABASE {name} WITH (FORCE)")


def moved(source: str, target: str) -> MovedStore:
    """Move a store, as the command does."""
    with closing(Side(source)) as here, closing(Side(target)) as there:
        return move_store(here, there, lambda: NOW, lambda _: None)


def test_every_table_there_and_back(database: Path, new_url: str, tmp_path: Path) -> None:
    """Odd rows in every table, as SQLite keeps them, are the same after they were in PostgreSQL;
    no table is left out, and none is there that this module has not heard of."""
    fill(database)
    before = plain(database)
    assert {name for name, each in before.items() if not each} == set()
    assert before.keys() - OWN == {each.name for each in moved_tables()}
    there = moved(f"sqlite:///{database}", new_url)
    assert plain(database) == before
    assert set(there.rows) == before.keys() - OWN
    with closing(Side(new_url)) as side:
        assert set(side.tables()) - OWN == before.keys() - OWN
    again = tmp_path / "again.db"
    back = moved(new_url, f"sqlite:///{again}")
    assert back.rows == there.rows
    assert plain(again) == before
    assert dump(again)["alembic_version"] == [(HEAD,)]


@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 10**6))
def test_any_rows(new_database: Path, postgresql: PostgresqlServer, seed: int) -> None:
    """The same for whatever rows."""
    name = f"test_{uuid4().hex}"
    postgresql.run(f"CREATE DATABASE {name}")
    first, last = (new_database.with_name(f"{name}-{each}.db") for each in ("first", "last"))
    first.write_bytes(new_database.read_bytes())
    fill(first, seed)
    before = plain(first)
    moved(f"sqlite:///{first}", postgresql.url(name))
    moved(postgresql.url(name), f"sqlite:///{last}")
    assert plain(last) == before
    postgresql.run(f"DROP DATABASE {name} WITH (FORCE)")


def test_what_lived_lives_on(
    database: Path, new_url: str, content: ContentFolder, clock: Clock
) -> None:
    """Letters of all states, with their answers, deletions, rights and events: the journal holds in
    the other database, the numbers that triggers keep are right, nothing is due twice, and what
    comes then has new numbers."""
    with closing(Store(f"sqlite:///{database}")) as store:
        live(store, content, clock)
        due = {each.id for each in store.queries.deliveries() if each.state == "pending"}
    before = dump(database)
    moved(f"sqlite:///{database}", new_url)
    with closing(Store(new_url)) as store:
        assert store.queries.wrong_counts() == []
        assert store.events.verify() is None
        verified = store.journal.verify()
        assert not verified.faults
        assert len(before["journal"]) == verified.rows
        claimed = store.outbox.claim("me", NOW + timedelta(days=99), LEASE, 100)
        assert {each.id for each in claimed} == due
        store.letters.add([stored_letter("after the move")])
        store.retention.hold(stored_letter("after the move").message.id, "ola", "sak", NOW)
        assert not store.journal.verify().faults
        assert store.queries.wrong_counts() == []


def test_numbers_go_on(database: Path, new_url: str, tmp_path: Path) -> None:
    """The number of a row that is gone is not used again, in neither database."""
    fill(database)
    again = tmp_path / "again.db"
    numbers = []
    for source, target in (
        (f"sqlite:///{database}", new_url),
        (new_url, f"sqlite:///{again}"),
    ):
        moved(source, target)
        with closing(Side(target)) as side, side.reading() as connection:
            numbers.append(highest_numbers(connection))
    with closing(sqlite3.connect(database)) as connection:
        first = dict(connection.execute("SELECT name, seq FROM sqlite_sequence"))
    assert len(first) == 4
    assert {name: numbers[0][name] for name in first} == first
    assert numbers[1] == first


def test_pages_are_bounded(
    database: Path, new_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Rows come over in pages, each ended by the number of its rows or by the length of its
    texts."""
    with closing(Store(f"sqlite:///{database}")) as store:
        letters = [stored_letter(f"{number}", body="x" * 1000) for number in range(100)]
        store.letters.add(letters)
    monkeypatch.setattr(rows, "_ROWS", 30)
    monkeypatch.setattr(rows, "_BYTES", 10_000)
    messages = next(each for each in moved_tables() if each.name == "messages")
    before = plain(database)
    for source, target in (
        (f"sqlite:///{database}", new_url),
        (new_url, f"sqlite:///{tmp_path / 'again.db'}"),
    ):
        with closing(Side(source)) as side:
            sizes = [len(page) for page in rows.pages(side, messages)]
        assert sum(sizes) == 100
        assert max(sizes) <= 20
        moved(source, target)
    assert plain(tmp_path / "again.db") == before


def test_a_closed_store_is_refused(
    database: Path, new_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the move the old store can be opened by nothing, also not by an earlier version, and a
    process that had it open can change nothing in it; `reopen` ends that."""
    url = f"sqlite:///{database}"
    with closing(Store(url)) as had_it_open:
        moved(url, new_url)
        with pytest.raises(NotStorable, match="moved to another database"):
            had_it_open.letters.add([stored_letter("lost")])
        with pytest.raises(StoreClosed, match=r"was moved to postgresql.*store reopen"):
            Store(url)
    assert dump(database)["alembic_version"] == [(f"moved {HEAD}",)]
    with closing(Side(url)) as side:
        with monkeypatch.context() as before_this_rule:
            before_this_rule.setattr("daemon.store.upgrade.refuse_closed", lambda *_: None)
            with pytest.raises(StoreError, match="later version"):
                side.make_tables(lambda _: None)
        assert reopen(side).other == new_url
        with pytest.raises(OperatorError, match="is not closed"):
            reopen(side)
    with closing(Store(url)) as store:
        store.letters.add([stored_letter("kept")])


def test_a_closed_store_on_postgresql_is_refused(
    database: Path, new_url: str, tmp_path: Path
) -> None:
    """The same for one that was moved back; a node does not wait for it to come back."""
    moved(f"sqlite:///{database}", new_url)
    again = f"sqlite:///{tmp_path / 'again.db'}"
    with closing(Store(new_url)) as had_it_open:
        moved(new_url, again)
        with pytest.raises(StoreError, match="moved to another database") as refused:
            had_it_open.letters.add([stored_letter("lost")])
        assert not isinstance(refused.value, StoreUnreachable)
        with pytest.raises(StoreClosed, match="was moved to sqlite"):
            Store(new_url)
    with closing(Side(new_url)) as side:
        reopen(side)
    with closing(Store(new_url)) as store, closing(Store(again)) as other:
        for each in (store, other):
            each.letters.add([stored_letter("kept")])


def test_a_target_that_is_not_empty(
    database: Path, new_url: str, template: str, postgresql: PostgresqlServer, tmp_path: Path
) -> None:
    """A store, one of another version, another program's table, half of another move, and a store
    that was moved away are refused in words; neither side is changed."""
    url = f"sqlite:///{database}"
    before = dump(database)
    with psycopg.connect(new_url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("CREATE TABLE invoices (id int)")
        with pytest.raises(OperatorError, match="not empty: it has 1 tables, such as invoices"):
            moved(url, new_url)
        connection.execute("DROP TABLE invoices")
    file = tmp_path / "other.db"
    file.write_bytes(database.read_bytes())
    with closing(sqlite3.connect(file)) as old:
        old.execute("UPDATE alembic_version SET version_num = '0029'")
        old.commit()
    with pytest.raises(OperatorError, match="not empty"):
        moved(url, f"sqlite:///{file}")
    assert dump(database) == before
    moved(url, new_url)
    with closing(Side(url)) as side:
        reopen(side)
    with pytest.raises(OperatorError, match="not empty"):
        moved(url, new_url)
    moved(new_url, f"sqlite:///{tmp_path / 'third.db'}")
    with pytest.raises(OperatorError, match="not empty: it has a store that was moved to sqlite"):
        moved(url, new_url)
    assert dump(database) == before


def test_half_of_another_move(
    database: Path, new_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A target that is half filled is refused as a store, and by another move, also of the same
    store after it was used again; a service that opens it is told how to go on."""
    url = f"sqlite:///{database}"
    half_move(url, new_url, monkeypatch)
    with pytest.raises(StoreClosed, match=r"only a part .* store move --to"):
        Store(new_url)
    with pytest.raises(StoreClosed, match=r"is being moved.*store move --to.*store reopen"):
        Store(url)
    with pytest.raises(OperatorError, match=r"is being moved to postgresql.* and not to sqlite"):
        moved(url, f"sqlite:///{database}-other")
    with pytest.raises(OperatorError, match="only a part"), closing(Side(new_url)) as side:
        reopen(side)
    with closing(Side(url)) as side:
        reopen(side)
    with pytest.raises(OperatorError, match="a part of another move"):
        moved(url, new_url)
    Store(url).close()


def test_what_is_changed_meanwhile_is_found(
    database: Path, new_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison at the end sees one changed value, and the target stays closed."""
    url = f"sqlite:///{database}"
    with closing(Store(url)) as store:
        store.letters.add([stored_letter("a")])
    half_move(url, new_url, monkeypatch)
    with psycopg.connect(new_url.replace("+psycopg", "")) as connection:
        connection.execute("UPDATE messages SET title = title || ' '")
    with pytest.raises(StoreError, match="messages is not the same in both"):
        moved(url, new_url)
    with pytest.raises(StoreClosed):
        Store(new_url)


def half_move(url: str, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin a move, and end it before its numbers."""

    class Interrupted(Exception):
        pass

    def interrupt(*_: object) -> None:
        raise Interrupted

    with monkeypatch.context() as patched:
        patched.setattr("daemon.store.transfer.moving.go_on_after", interrupt)
        with pytest.raises(Interrupted):
            moved(url, target)


def test_ids_of_a_moved_letter(database: Path, new_url: str) -> None:
    """What the models read is equal, too: ids, times, JSON."""
    url = f"sqlite:///{database}"
    letter = stored_letter("a", properties={"æ": ["\ud7ff", 2**53, None, 0.1]})
    with closing(Store(url)) as store:
        store.letters.add([letter])
        before = store.queries.message("a").model_dump()
    moved(url, new_url)
    with closing(Store(new_url)) as store:
        after = store.queries.message("a").model_dump()
    assert after == before
    assert isinstance(after["id"], UUID)
    assert json.dumps(after["properties"]) == json.dumps(before["properties"])


def test_zero_characters(database: Path, new_url: str) -> None:
    """U+0000 in a text, which an early version may have stored, is named before anything is
    changed; it is replaced where that is asked for, and the journal has the change."""
    url = f"sqlite:///{database}"
    with closing(Store(url)) as store:
        store.letters.add([stored_letter("a"), stored_letter("b")])
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE messages SET title = 'a' || char(0) || 'b', body = char(0)")
    with closing(Side(url)) as side:
        assert rows_with_zero_characters(side) == {"messages": 2}
    with closing(Database(url)) as opened:
        replace_zero_characters(opened)
    with closing(Side(url)) as side:
        assert rows_with_zero_characters(side) == {}
    with closing(Store(url)) as store:
        assert store.queries.message("a").title == "a\ufffdb"
        assert not store.journal.verify().faults
    moved(url, new_url)
    with closing(Store(new_url)) as store:
        assert store.queries.message("b").body == "\ufffd"
        assert not store.journal.verify().faults
