"""The database: its tables, its promises of durability, and what becomes of its errors."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, event, inspect, text
from sqlmodel import Session, SQLModel

from daemon.core.bookkeeping import RoutingVersion
from daemon.core.errors import DiskFull, NotStorable, StoreError
from daemon.core.model import SightingState
from daemon.store import Database, Store
from daemon.store.migrations import HEAD
from tests.unit.conftest import NOW


@pytest.fixture
def opened(database: Path) -> Iterator[Database]:
    """The database as the store opens it."""
    opened = Database(f"sqlite:///{database}")
    yield opened
    opened.close()


def add(session: Session, version: str) -> None:
    """Some row."""
    session.add(RoutingVersion(version=version, text="", in_force_since=NOW))
    session.flush()


def versions(database: Path) -> set[str]:
    """The rows of `add`, as another program sees them."""
    with sqlite3.connect(database) as connection:
        found = {
            row[0]
            for row in connection.execute("SELECT version FROM routing_versions")
            if len(row[0]) < 20
        }
    connection.close()
    return found


def shape(engine: Engine) -> dict[str, Any]:
    """Everything about the tables that a database tells."""
    found = inspect(engine)
    return {
        table: {
            "columns": [
                (column["name"], str(column["type"]), column["nullable"])
                for column in found.get_columns(table)
            ],
            "key": found.get_pk_constraint(table)["constrained_columns"],
            "references": sorted(
                (each["constrained_columns"], each["referred_table"])
                for each in found.get_foreign_keys(table)
            ),
            "unique": sorted(each["column_names"] for each in found.get_unique_constraints(table)),
            "checks": sorted(each["sqltext"] for each in found.get_check_constraints(table)),
            "indexes": sorted(
                (each["name"] or "", each["column_names"], each["unique"])
                for each in found.get_indexes(table)
            ),
        }
        for table in found.get_table_names()
        if table != "alembic_version"
    }


def test_the_migrations_make_the_tables_of_the_models(database: Path, tmp_path: Path) -> None:
    """A database that was migrated differs in nothing from what the models say."""
    migrated, declared = (
        create_engine(f"sqlite:///{database}"),
        create_engine(f"sqlite:///{tmp_path}/declared.db"),
    )
    SQLModel.metadata.create_all(declared)
    with migrated.connect() as connection:
        assert (
            compare_metadata(
                MigrationContext.configure(connection, opts={"compare_type": True}),
                SQLModel.metadata,
            )
            == []
        )
    assert shape(migrated) == shape(declared)
    migrated.dispose()
    declared.dispose()


def test_the_newest_version_is_known_without_alembic(database: Path) -> None:
    """The version that the store compares with is Alembic's newest, and a new database has it."""
    config = Config()
    config.set_main_option("script_location", "daemon.store:migrations")
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]
    with sqlite3.connect(database) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(HEAD,)]
    connection.close()


def test_opening_again_changes_nothing(database: Path) -> None:
    """A database that is up to date is opened as it is."""
    before = database.read_bytes()
    Store(f"sqlite:///{database}").close()
    assert database.read_bytes() == before


def test_two_that_open_a_new_database_at_once(tmp_path: Path) -> None:
    """When two make the same database at a time, its tables are made once, and both can use it."""
    failures: list[BaseException] = []
    together = threading.Barrier(2)

    def work() -> None:
        together.wait()
        try:
            Store(f"sqlite:///{tmp_path}/new/x.db").close()
        except BaseException as error:  # noqa: BLE001  # whatever it is, the test tells
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.parametrize(
    ("pragma", "value"),
    [
        ("journal_mode", "truncate"),
        ("synchronous", 3),
        ("foreign_keys", 1),
        ("busy_timeout", 0),
        ("trusted_schema", 0),
    ],
)
def test_every_connection_is_durable(opened: Database, pragma: str, value: object) -> None:
    """Each connection, for reading and for writing, syncs everything, checks references and leaves
    waiting for its turn to us."""
    with ExitStack() as stack:
        sessions = [
            stack.enter_context(opened.write()),
            *(stack.enter_context(opened.read()) for _ in range(3)),
        ]
        assert [session.execute(text(f"PRAGMA {pragma}")).scalar() for session in sessions] == [
            value
        ] * 4


def test_a_block_is_written_whole_or_not_at_all(opened: Database, database: Path) -> None:
    """What a block wrote is there when it ends, and nothing of it if the block raises, by whatever
    error."""
    with opened.write() as session:
        add(session, "kept")
    for then, error in ((stumble, KeyError), (add_again, NotStorable)):
        with pytest.raises(error), opened.write() as session:
            then(session)
    assert versions(database) == {"kept"}


def stumble(session: Session) -> None:
    """Write, and fail."""
    add(session, "lost")
    raise KeyError


def add_again(session: Session) -> None:
    """Write, and then what exists already."""
    add(session, "lost too")
    add(session, "kept")


def test_a_reader_sees_one_state(opened: Database) -> None:
    """What is read in one block is of one moment, whatever is written meanwhile."""
    with opened.write() as session:
        add(session, "one")
    count = text("SELECT count(*) FROM routing_versions")
    with opened.read() as session:
        before = session.execute(count).scalar()
        writer = threading.Thread(target=_write_one, args=(opened, "two"))
        writer.start()
        assert session.execute(count).scalar() == before
    writer.join()
    with opened.read() as session:
        assert session.execute(count).scalar() == (before or 0) + 1


def _write_one(opened: Database, version: str) -> None:
    with opened.write() as session:
        add(session, version)


def test_writers_wait_for_each_other(opened: Database, database: Path) -> None:
    """Threads, and other programs, that write at a time all get their turn."""
    other = Database(f"sqlite:///{database}")

    def work(mine: Database, number: int) -> None:
        for turn in range(5):
            _write_one(mine, f"{number}.{turn}")

    threads = [
        threading.Thread(target=work, args=((opened, other)[number % 2], number))
        for number in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    assert versions(database) == {f"{n}.{k}" for n in range(6) for k in range(5)}


def test_times_come_back_aware_and_in_utc(opened: Database) -> None:
    """A time of any zone comes back as the same moment, in UTC; one without a zone is not taken."""
    moment = datetime(2026, 7, 1, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
    with opened.write() as session:
        session.add(RoutingVersion(version="x", text="", in_force_since=moment))
    with opened.read() as session:
        found = session.get_one(RoutingVersion, "x").in_force_since
    assert found == moment
    assert found.tzinfo is UTC
    with pytest.raises(NotStorable), opened.write() as session:
        session.add(
            RoutingVersion(version="y", text="", in_force_since=moment.replace(tzinfo=None))
        )


def test_folders_are_made_for_the_service_alone(tmp_path: Path) -> None:
    """A missing folder is made, and nobody else may look into it."""
    Store(f"sqlite:///{tmp_path}/new/x.db").close()
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("kind", ["no database", "a folder", "under a file", "of a later version"])
def test_a_database_that_cannot_be_used(database: Path, tmp_path: Path, kind: str) -> None:
    """A file that is not a database, or one of a newer program, is refused with its path, and left
    alone."""
    path = database
    if kind == "no database":
        path.write_bytes(
            b"this is something else, and long enough to be looked at as a header of a database\n"
            * 9
        )
    elif kind == "a folder":
        path = tmp_path
    elif kind == "under a file":
        path = database / "x.db"
    else:
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.close()
    before = database.read_bytes()
    with pytest.raises(StoreError, match=str(path)):
        Store(f"sqlite:///{path}")
    assert database.read_bytes() == before


def test_an_error_tells_nothing_of_the_letter(opened: Database) -> None:
    """What was to be written is in no error, since that is logged."""
    with pytest.raises(NotStorable) as caught, opened.write() as session:
        session.add_all(
            [
                RoutingVersion(version="x", text="Oppsigelse av Kari", in_force_since=NOW)
                for _ in range(2)
            ]
        )
    assert "Kari" not in str(caught.value)
    assert "Kari" not in str(caught.value.__cause__)


def test_a_full_disk_is_told_from_a_broken_one(opened: Database) -> None:
    """A database that cannot grow is full, so that fetching stops and delivering goes on."""

    def no_larger(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA max_page_count = 1")  # SQLite takes the present size instead

    opened.close()
    event.listen(opened._engine.reader, "connect", no_larger)
    with pytest.raises(DiskFull), opened.write() as session:
        session.add(RoutingVersion(version="x", text="x" * 1_000_000, in_force_since=NOW))


def test_closing_twice(opened: Database, database: Path) -> None:
    """A store may be closed twice, and leaves no file open."""
    with opened.write() as session:
        add(session, "a")
    opened.close()
    opened.close()
    files = [each.resolve() for each in Path("/proc/self/fd").iterdir()]
    assert not [each for each in files if each.parent == database.resolve().parent]


def test_what_failed_before_an_upgrade_fails_since_then(tmp_path: Path) -> None:
    """A store of the version before says after the upgrade since when its letters and marks fail,
    and nothing of those that do not."""
    path = tmp_path / "old.db"
    engine = create_engine(f"sqlite:///{path}")
    config = Config()
    config.set_main_option("script_location", "daemon.store:migrations")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
    engine.dispose()
    row = (
        "INSERT INTO sightings (message_id, mailbox, party, service, resource, external_id, "
        "state, first_seen_at, last_seen_at, attempts)"
    )
    with closing(sqlite3.connect(path)) as old, old:
        for key, state in ((1, "failing"), (2, "waiting")):
            values = (
                f"{key:032x}",
                "altinn",
                "1",
                "4255/8",
                "skatt",
                str(key),
                state,
                "2026-01-02 03:04:05.000000",
                "2026-11-24 09:00:00",
                1,
            )
            old.execute(f"{row} VALUES ({', '.join('?' * len(values))})", values)
    store = Store(f"sqlite:///{path}")
    (failing,), (waiting,) = (
        store.queries.sightings(SightingState.FAILING),
        store.queries.sightings(SightingState.WAITING),
    )
    assert (failing.failing_since, waiting.failing_since) == (
        datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        None,
    )
    store.close()
