"""What only a store on PostgreSQL promises: order, waits, errors, and the same journal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import inspect
from sqlmodel import SQLModel

from daemon.core.errors import (
    NotStorable,
    StoreBusy,
    StoreError,
    StoreRefused,
    StoreUnreachable,
)
from daemon.core.model import Attachment, Message
from daemon.store import BusyWait, Database, Store
from daemon.store.content_folder import ContentFolder
from daemon.store.database import table_of
from daemon.store.migrations import HEAD
from daemon.store.postgresql_engine import without_password
from daemon.store.postgresql_server import server_facts
from tests.processes.postgresql import PostgresqlServer
from tests.unit.conftest import NOW, Clock, stored_letter
from tests.unit.test_journal_of_letters import live

HOLDER = """
import sys, time
from daemon.store import Database
database = Database(sys.argv[1])
with database.write() as session:
    session.connection()
    print("holds", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def url(postgresql: PostgresqlServer, template: str) -> Iterator[str]:
    """The URL of a database of this test's own."""
    with postgresql.like(template) as url:
        yield url


@contextmanager
def holder(url: str) -> Iterator[subprocess.Popen[str]]:
    """Another process, in the middle of a transaction that writes."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, url], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "holds\n"
        try:
            yield process
        finally:
            process.kill()


def by_hand(url: str, statement: str) -> list[Any]:
    """The result of what another program does to the database."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def test_it_has_the_tables_of_the_models(url: str) -> None:
    """Every column of the models is there, texts in the order of their bytes, integers of 64 bits;
    a new row of the journal's tables has a number."""
    with closing(Database(url)) as database, database.read() as session:
        found = inspect(session.connection())
        for table in SQLModel.metadata.sorted_tables:
            there = {each["name"]: each["type"] for each in found.get_columns(table.name)}
            assert there.keys() - {"rowid"} == set(table.columns.keys()), table.name
            kinds = {str(each) for each in there.values()}
            assert kinds <= {
                *('VARCHAR(32) COLLATE "C"', 'VARCHAR(20) COLLATE "C"', 'VARCHAR COLLATE "C"'),
                *('TEXT COLLATE "C"', "BIGINT", "TIMESTAMP", "BOOLEAN", "BYTEA", "DATE"),
                "DOUBLE PRECISION",
            }, (table.name, kinds)


def test_four_that_open_a_new_database_at_once(postgresql: PostgresqlServer) -> None:
    """The tables are made once, whoever comes first, and each can use them."""
    name = f"test_{uuid4().hex}"
    postgresql.run(f"CREATE DATABASE {name}")
    opens = "import sys; from daemon.store import Store; Store(sys.argv[1]).close()"
    command = [sys.executable, "-c", opens, postgresql.url(name)]
    started = [subprocess.Popen(command) for _ in range(4)]
    assert [each.wait() for each in started] == [0, 0, 0, 0]
    postgresql.run(f"DROP DATABASE {name} WITH (FORCE)")


def test_writers_wait_for_each_other(url: str) -> None:
    """Two processes' transactions are one after the other, so none reads what another is about to
    change; who waits is told so, and gives up after its time."""
    waits: list[float] = []
    impatient = BusyWait(limit=0.3, step=0.1, on_wait=lambda _step, since: waits.append(since))
    with closing(Store(url, impatient)) as store, holder(url):
        assert store.queries.table_in_force()  # readers do not wait
        with pytest.raises(StoreBusy, match="is busy"):
            store.letters.add([stored_letter("new")])
    assert waits


def test_a_process_that_stands_still_lets_go(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server ends the transaction of a process that was stopped in the middle of it, and others
    write; when it goes on, it finds out before it writes."""
    monkeypatch.setattr("daemon.store.postgresql_engine._STILL", "500ms")

    def stand_still(frozen: Database, store: Store) -> None:
        with frozen.write() as session:
            session.connection()
            store.letters.add([stored_letter("new")])  # waits for the lock meanwhile
            session.connection().exec_driver_sql("SELECT 1")

    with closing(Database(url)) as frozen, closing(Store(url)) as store:
        with pytest.raises(StoreUnreachable):
            stand_still(frozen, store)
        assert store.letters.stored_of([stored_letter("new").message.id])


def test_a_killed_process_lets_go_at_once(url: str) -> None:
    """Its transaction is undone, and the next one begins."""
    with closing(Store(url)) as store, holder(url) as process:
        os.kill(process.pid, signal.SIGKILL)
        store.letters.add([stored_letter("new")])
        assert store.letters.stored_of([stored_letter("new").message.id])


def test_a_database_of_norwegian_collation(url: str) -> None:
    """Hashes that begin with "aa", which Norwegian sorts after "z", are found by their prefix, so
    no needed file is removed."""
    prefixes = [f"{number:02x}" for number in range(256)]
    ((sorts_otherwise,),) = by_hand(url, "SELECT 'aa' > 'ab'")
    if not sorts_otherwise:
        pytest.skip("this PostgreSQL has no Norwegian collation as a database's own")
    with closing(Database(url)) as database, database.write() as session:
        letter = stored_letter("new")
        session.add_all([_row(letter.message)])
        session.flush()
        session.connection().execute(
            table_of(Attachment).insert(),
            [
                _attachment(letter.message.id, place, prefix * 32)
                for place, prefix in enumerate(prefixes)
            ],
        )
    with closing(Store(url)) as store:
        found = {prefix: store.retention.needed(prefix) for prefix in prefixes}
        assert found == {prefix: {prefix * 32: 1} for prefix in prefixes}
        assert [sha256 for sha256, _ in store.retention.all_needed()] == [p * 32 for p in prefixes]


def _row(values: Any) -> Any:
    return Message(**values.model_dump())


def _attachment(message: Any, position: int, sha256: str) -> dict[str, Any]:
    return Attachment(
        message_id=message,
        position=position,
        external_id=str(position),
        original_name="a.pdf",
        safe_name="a.pdf",
        size=1,
        sha256=sha256,
    ).model_dump()


def test_no_row_is_in_an_error(url: str) -> None:
    """What the server says of a rejected row holds the whole row: neither the message nor a
    traceback has any of it."""
    one = stored_letter("new").message.model_copy(update={"title": "Taushetsbelagt"})

    def insert() -> None:
        with closing(Database(url)) as database, database.write() as session:
            session.connection().execute(table_of(Message).insert(), one.model_dump())

    insert()
    with pytest.raises(NotStorable) as failed:
        insert()
    shown = "".join(_traceback(failed.value))
    assert "duplicate key value" in str(failed.value)
    assert "Taushetsbelagt" not in shown
    assert "DETAIL" not in shown


def _traceback(error: BaseException) -> list[str]:
    return traceback.format_exception(error)


def test_a_text_with_a_nul_is_not_storable(url: str) -> None:
    """PostgreSQL keeps none; what comes from outside has it replaced before. What is only looked
    for is not found, as with SQLite."""
    with closing(Store(url)) as store:
        with pytest.raises(NotStorable, match="NUL"):
            store.letters.note_table("v" * 64, "a\0b", NOW)
        assert store.queries.table("a\0b") is None
        assert not store.search.has_destination("a\0b")


def test_a_server_that_is_away(tmp_path: Path, postgresql: PostgresqlServer) -> None:
    """That is told from a fault of the database, and from a server that does not let the user in,
    with the reason, and without the password."""
    away = f"postgresql+psycopg://postgres@/x?host={tmp_path}"
    with pytest.raises(StoreUnreachable, match="No such file or directory") as unreachable:
        Store(away, password="tRee-7")
    assert not isinstance(unreachable.value, StoreRefused)
    with pytest.raises(StoreRefused, match='database "nowhere" does not exist') as failed:
        Store(postgresql.url("nowhere"), password="tRee-7")
    assert "tRee-7" not in str(failed.value)
    with pytest.raises(StoreRefused, match='role "ghost" does not exist'):
        Store(postgresql.url("postgres").replace("//postgres@", "//ghost@"))


def test_the_roles_own_limits(url: str) -> None:
    """A short statement_timeout of the role, or of the database, ends nothing here."""
    name = url.partition("postgres@/")[2].partition("?")[0]
    by_hand(url, f"ALTER DATABASE {name} SET statement_timeout = '200ms'")
    with pytest.raises(psycopg.errors.QueryCanceled):
        by_hand(url, "SELECT pg_sleep(1)")
    with closing(Database(url)) as database:
        with database.write() as session:
            session.connection().exec_driver_sql("SELECT pg_sleep(0.4)")
        with database.read() as session:
            session.connection().exec_driver_sql("SELECT pg_sleep(0.4)")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (
            "postgresql+psycopg://a:tRee-7@db1,db2:6432/x?sslmode=require&password=tRee-7",
            "postgresql+psycopg://a@db1,db2:6432/x?sslmode=require",
        ),
        ("postgresql+psycopg:///?service=post", "postgresql+psycopg:///?service=post"),
        ("postgresql+psycopg://a@b/x?sslpassword=tRee-7", "postgresql+psycopg://a@b/x"),
    ],
)
def test_what_messages_have_of_a_url(url: str, shown: str) -> None:
    """All of it but for secrets."""
    assert without_password(url) == shown


def test_a_connection_that_was_closed(url: str) -> None:
    """After a restart of the server the next statement has a new connection; one in the middle of a
    transaction fails, and the transaction is undone."""
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"

    def end_all() -> None:
        while by_hand(url, f"SELECT pg_terminate_backend(pid) {others}"):
            time.sleep(0.05)

    def cut_in_the_middle(database: Database) -> None:
        with database.write() as session:
            session.connection()
            end_all()
            session.connection().exec_driver_sql("SELECT 1")

    with closing(Store(url)) as store, closing(Database(url)) as database:
        store.letters.add([stored_letter("one")])
        end_all()
        store.letters.add([stored_letter("two")])
        with pytest.raises(StoreUnreachable):
            cut_in_the_middle(database)
        assert store.journal.verify().faults == []


def test_a_standby_is_not_written_to(url: str) -> None:
    """A database that takes no writes is one that may pass, not a fault."""
    name = url.partition("postgres@/")[2].partition("?")[0]
    with closing(Database(url)) as database:
        by_hand(url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        with suppress(StoreError), closing(Store(url)):
            pytest.fail("it was opened")
        with pytest.raises(StoreUnreachable):
            Database(url)
        assert database


def test_without_psycopg(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install."""
    monkeypatch.setitem(sys.modules, "daemon.store.postgresql_engine", None)
    with pytest.raises(StoreError, match=r"pip install 'postmottak\[postgresql\]'"):
        Store("postgresql+psycopg://db/x")


def test_what_another_program_changes_is_found(url: str) -> None:
    """Its changes are in no row of the journal, so the journal reveals them."""
    with closing(Store(url)) as store:
        store.letters.add([stored_letter("new")])
        assert store.journal.verify().faults == []
        by_hand(url, "UPDATE messages SET party = '1'")
        assert "party" in str(store.journal.verify().faults[0])


def test_nothing_is_left_of_the_notes(url: str) -> None:
    """What triggers note lives until the commit."""
    with closing(Store(url)) as store:
        store.letters.add([stored_letter("new")])
    assert by_hand(url, "SELECT count(*) FROM journal_notes") == [(0,)]


def test_triggers_of_another_version_are_replaced(url: str) -> None:
    """What a version makes otherwise, without a migration, it makes at its start; later ones find
    that it is as it should be, and change nothing."""
    made = "SELECT xmin::text FROM pg_trigger WHERE tgname = 'messages_note_insert'"
    with closing(Database(url)):
        kept = by_hand(url, made)
    with closing(Database(url)):
        assert by_hand(url, made) == kept
    by_hand(url, "DROP TRIGGER messages_note_insert ON messages")
    by_hand(url, "COMMENT ON TABLE journal_notes IS 'of another version'")
    with closing(Store(url)) as store:
        assert by_hand(url, made) not in ([], kept)
        store.letters.add([stored_letter("new")])
        assert store.journal.verify().faults == []


def test_what_check_says(url: str) -> None:
    """It names the version, the user and what is not as it should be."""
    found = server_facts(url, "")
    assert (found.user, found.tables, found.can_create) == ("postgres", HEAD, True)
    assert not found.is_durable  # the tests' server syncs nothing
    assert int(found.version.split(".")[0]) >= 13


def test_many_threads(url: str) -> None:
    """Threads that store letters at once all succeed, and the chain has each once."""
    with closing(Store(url)) as store:
        threads = [
            threading.Thread(target=store.letters.add, args=([stored_letter(f"{number}")],))
            for number in range(12)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert store.queries.counts().messages == 12
        assert store.journal.verify().faults == []
        assert store.queries.wrong_counts() == []


def test_both_databases_have_the_same_journal(
    url: str, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What happens to letters, users and tables gives the same rows of the journal, word for word,
    whatever the database; which of several gets which number is the database's own affair."""
    monkeypatch.setattr("daemon.store.journal.writing.os.urandom", lambda size: b"s" * size)
    written = []
    for number, each in enumerate((f"sqlite:///{database}", url)):
        with closing(Store(each)) as store:
            live(store, ContentFolder(tmp_path / f"content {number}"), Clock())
            with store.events._database.read_one() as connection:
                rows = connection.exec_driver_sql("SELECT kind, subject, facts FROM journal")
                written.append(
                    sorted(
                        (*row, _without_numbers(facts))
                        for *row, facts in rows
                        if not row[0].startswith("table")  # they were there before
                    )
                )
    assert len(written[0]) > 40
    assert written[0] == written[1]


def _without_numbers(facts: str) -> str:
    """Facts without the numbers that a database gives, of which SQLite uses some again."""
    found = json.loads(facts)
    for table, entries in found.items():
        for each in entries:
            if table in {"attempts", "grants", "legal_holds"}:
                del each["id"]
        found[table] = sorted(json.dumps(each) for each in entries if each != {"gone": True})
    return json.dumps(found)
