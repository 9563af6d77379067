"""A backup has the users and what they did, and logs nobody in."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from daemon.core.accounts import ChangeSource
from daemon.maintenance.backup import make_backup, restore_backup
from daemon.store import Actor, RoleGrant, Store
from daemon.store.content_folder import ContentFolder
from tests.unit.conftest import NOW

BY = Actor(name="root")


def test_sessions_and_links_are_not_in_a_backup(
    store: Store, database: Path, content: ContentFolder, tmp_path: Path
) -> None:
    """Users, rights, events and the table's history come back from a backup; a cookie or a link
    from before does not work on the machine that it was restored on, and goes on where it was."""
    store.users.add("anna", NOW, BY, grants=[RoleGrant(role="reader")], password_hash="hash")
    token = store.sessions.begin("anna", "", NOW)
    link = store.login_links.create("anna", NOW, BY)
    store.routing_changes.add(
        NOW, version="v1", version_before=None, by="anna", reason="", source=ChangeSource.PAGE
    )
    (session,) = store.sessions.of("anna", NOW)
    folder = tmp_path / "backup"
    make_backup(database, content, folder, NOW)
    assert {path.name for path in folder.iterdir()} <= {"postmottak.db", "content", "backup.json"}
    assert session.id.encode() not in (folder / "postmottak.db").read_bytes()
    assert store.sessions.find(token, NOW) == "anna"
    elsewhere = tmp_path / "elsewhere" / "postmottak.db"
    elsewhere.parent.mkdir()
    restore_backup(folder, elsewhere, ContentFolder(tmp_path / "copy"), NOW, replace=False)
    restored = Store(f"sqlite:///{elsewhere}")
    assert restored.sessions.find(token, NOW) is None
    assert restored.login_links.take(link, NOW) is None
    assert restored.users.grants("anna") == [RoleGrant(role="reader")]
    assert restored.events.page() == store.events.page()
    assert restored.events.verify() is None
    assert restored.events.add(NOW, kind="login", user="anna").number == 3
    assert restored.routing_changes.page() == store.routing_changes.page()
    restored.close()
    assert store.login_links.take(link, NOW) == "anna"


def test_a_backup_of_an_older_database_is_made(content: ContentFolder, tmp_path: Path) -> None:
    """A store from before there were users can be backed up before the service has started."""
    dump = Path(__file__).parents[1] / "data" / "store_0003.sql"
    old = tmp_path / "old.db"
    with closing(sqlite3.connect(old)) as connection:
        connection.executescript(dump.read_text("utf-8"))
    assert make_backup(old, content, tmp_path / "backup", NOW).messages == 6
