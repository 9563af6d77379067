"""Upgrades: who may make them, when they must wait, and what another version is told."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import psycopg
import pytest

from daemon.config.store import StoreSettings
from daemon.core.errors import NodeFenced, StoreError
from daemon.core.nodes import Member
from daemon.service.store_access import check_store
from daemon.service.store_upgrade import upgrade_store, url_as
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from daemon.store.lock import InstanceLock
from daemon.store.migrations import HEAD
from tests.processes.postgresql import PostgresqlServer
from tests.unit.conftest import APPOINTED, NOW, TABLE, Clock, stored_letter
from tests.unit.nodes_together import Nodes, new_nodes, node  # noqa: F401  # a fixture
from tests.unit.test_journal_of_letters import live

_BEFORE = "0033"
_REMEDY = "`postmottak db upgrade --user NAME`"
_BACK = (
    "DROP TABLE upgrades",
    "ALTER TABLE nodes DROP COLUMN backend",
    f"UPDATE alembic_version SET version_num = '{_BEFORE}'",
)
"""What makes the tables those of the version before."""


def execute(url: str, *statements: str) -> None:
    """Change the database as its administrator."""
    if url.startswith("sqlite:///"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file, file:
            for each in statements:
                file.execute(each)
        return
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as server:
        for each in statements:
            server.execute(each.encode())


def settings(url: str, folder: Path) -> StoreSettings:
    """`[store]` with this database."""
    return StoreSettings(database=url, content=folder / "content")


@pytest.fixture
def contracts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every migration says that it takes something away."""
    monkeypatch.setattr("daemon.store.upgrade._expands", lambda _: False)


@pytest.mark.both_databases
def test_a_later_store_is_refused_by_name(database_url: str) -> None:
    """The message names the version that made the tables, whichever nodes worked with them since,
    and the numbers of both."""
    execute(
        database_url,
        "INSERT INTO upgrades (tables, version) VALUES ('9999', '47.11')",
        "UPDATE alembic_version SET version_num = '9999'",
    )
    said = rf"later version of Postmottak, 47\.11 \(it has the tables 9999, .* knows {HEAD}\)"
    with pytest.raises(StoreError, match=said):
        Store(database_url)


@pytest.mark.both_databases
def test_an_upgrade_says_from_what_to_what(database_url: str, tmp_path: Path) -> None:
    """The first one brings the tables up to date; the second finds nothing to do."""
    execute(database_url, *_BACK)
    done = [upgrade_store(settings(database_url, tmp_path)) for _ in range(2)]
    assert [(each.before, each.after) for each in done] == [(_BEFORE, HEAD), (HEAD, HEAD)]
    Store(database_url).close()


def test_a_file_in_use_is_left_alone(database: Path, tmp_path: Path) -> None:
    """While a service has a store on SQLite, `db upgrade` refuses; where there is none, too."""
    lock = InstanceLock(database)
    with pytest.raises(StoreError, match="another postmottak is using"):
        upgrade_store(settings(f"sqlite:///{database}", tmp_path))
    lock.release()
    with pytest.raises(StoreError, match="does not exist"):
        upgrade_store(settings(f"sqlite:///{tmp_path}/none.db", tmp_path))


@pytest.mark.both_databases
def test_no_command_takes_away(database_url: str, contracts: None, tmp_path: Path) -> None:
    """A contraction is left to the service's start and to `db upgrade`: beside a command the
    version before may be running."""
    execute(database_url, *_BACK)
    with pytest.raises(StoreError, match="postmottak db upgrade"):
        Store(database_url)
    assert upgrade_store(settings(database_url, tmp_path)).before == _BEFORE
    Store(database_url).close()


def test_a_contraction_waits_for_living_nodes(
    nodes: Nodes, contracts: None, tmp_path: Path
) -> None:
    """It is refused while a node of an earlier version is alive, and says which to stop; one that
    is silent is fenced off, so that it cannot come back to tables that it does not know."""
    _, stopped, silent = (nodes.start(name) for name in "abc")
    stopped.nodes.leave(Member(node="b", incarnation="1"))
    nodes.silence("c", timedelta(seconds=26))
    execute(nodes.url, *_BACK)
    with pytest.raises(StoreError, match=r"stop them: a on host-a \(1\)$"):
        Store(nodes.url, alone=True)
    with pytest.raises(StoreError, match=r"stop them: a on host-a \(1\)$"):
        upgrade_store(settings(nodes.url, tmp_path))
    execute(nodes.url, "UPDATE nodes SET stopped_at = clock_timestamp() WHERE name = 'a'")
    assert upgrade_store(settings(nodes.url, tmp_path)).before == _BEFORE
    with pytest.raises(NodeFenced):
        silent.letters.add([stored_letter("late")])


@pytest.fixture
def roles(postgresql: PostgresqlServer) -> Iterator[tuple[str, str]]:
    """URLs of an empty database for its owner, and for a user who may do nothing there."""
    name = f"r{uuid4().hex}"
    owner, service = f'"{name} Owner"', f'"{name} Service"'
    for each in (owner, service):
        postgresql.run(f"CREATE ROLE {each} LOGIN")
    postgresql.run(f"CREATE DATABASE {name} OWNER {owner}")
    execute(postgresql.url(name), "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    execute(postgresql.url(name), f"GRANT ALL ON SCHEMA public TO {owner}")
    url = postgresql.url(name)
    yield url_as(url, owner.strip('"')), url_as(url, service.strip('"'))
    postgresql.run(f"DROP DATABASE {name} WITH (FORCE)")
    for each in (owner, service):
        postgresql.run(f"DROP ROLE {each}")


def test_the_right_to_change_tables_is_separate(roles: tuple[str, str], tmp_path: Path) -> None:
    """A service whose user may not change tables is told what to run, and not that a permission is
    denied; what their owner has made, from nothing or from the version before, it can use."""
    owner, service = (settings(each, tmp_path) for each in roles)
    with pytest.raises(StoreError, match=f"has no tables.* run {_REMEDY}"):
        Store(service.database)
    made = upgrade_store(service, owner)
    assert (made.before, made.after) == (None, HEAD)
    assert made.service_user.endswith(" Service")
    live_as(service, tmp_path / "first")

    execute(owner.database, *_BACK)
    with pytest.raises(StoreError, match=f"{_BEFORE}.*{HEAD}.*{_REMEDY}"):
        Store(service.database)
    with pytest.raises(StoreError, match=_REMEDY):
        upgrade_store(service)
    told = [each.text for each in check_store(service) if not each.ok]
    assert _REMEDY.strip("`") in told[0]
    assert upgrade_store(service, owner).before == _BEFORE
    assert upgrade_store(service, owner).before == HEAD
    assert all(each.ok for each in check_store(service))
    with closing(Store(service.database)) as store:
        assert store.journal.verify().faults == []
        assert store.nodes.join(node("a", "1"), lambda *_: False) is None
        store.nodes.beat(Member(node="a", incarnation="1"))
        store.nodes.leave(Member(node="a", incarnation="1"))
    execute(owner.database, "INSERT INTO upgrades (tables, version) VALUES ('9999', '47.11')")
    execute(owner.database, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match=r"47\.11"):
        Store(service.database)


def test_tables_change_hands(roles: tuple[str, str], tmp_path: Path) -> None:
    """A service that has made its tables itself works on when another role has been made their
    owner and has run `db upgrade`; who is not their owner is told so."""
    owner, service = (settings(each, tmp_path) for each in roles)
    owner_name, name = (f'"{each}"' for each in map(user_of, roles))
    administrator = url_as(service.database, "postgres")
    execute(administrator, f"GRANT CREATE ON SCHEMA public TO {name}")
    Store(service.database).close()
    denied = f"permission denied for table alembic_version .*{_REMEDY}"
    with pytest.raises(StoreError, match=denied):
        upgrade_store(service, owner)
    execute(administrator, f"REASSIGN OWNED BY {name} TO {owner_name}")
    execute(administrator, f"REVOKE CREATE ON SCHEMA public FROM {name}")
    with pytest.raises(StoreError, match=denied):
        Store(service.database)
    assert not next(iter(check_store(service))).ok
    assert upgrade_store(service, owner).before == HEAD
    live_as(service, tmp_path / "content")


def user_of(url: str) -> str:
    """The user that a URL names."""
    return unquote(urlsplit(url).username or "")


def live_as(service: StoreSettings, folder: Path) -> None:
    """What happens to letters, users and tables, done by the service's user."""
    with closing(Store(service.database)) as store:
        for table in (TABLE, APPOINTED):
            store.letters.note_table(table.version, table.text, NOW)
        live(store, ContentFolder(folder), Clock())
        assert store.journal.verify().faults == []
        assert store.queries.wrong_counts() == []
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        execute(service.database, "CREATE TABLE mine (x int)")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        execute(service.database, "UPDATE alembic_version SET version_num = '1'")


def test_no_node_joins_later_tables(nodes: Nodes) -> None:
    """A node that has opened the store just before it was upgraded does not begin to work."""
    with closing(Store(nodes.url)) as store:
        execute(nodes.url, "UPDATE alembic_version SET version_num = '9999'")
        with pytest.raises(StoreError, match="during this start"):
            store.nodes.join(node("a", "1"), lambda *_: True)


def test_a_user_in_a_url() -> None:
    """Whatever the URL says of the user, the other one is in its place, with all that it may
    have in its name."""
    for url in ("postmottak@db1,db2:5433/x?sslmode=verify-full", "db1,db2:5433/x?user=a&b=c"):
        found = url_as(f"postgresql+psycopg://{url}", "the owner@home")
        assert found.startswith("postgresql+psycopg://the%20owner%40home@db1,db2:5433/x?")
        assert "user=" not in found
