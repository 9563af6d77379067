"""Backups of a store whose content is in a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.core.errors import OperatorError
from daemon.maintenance.backup import make_backup, restore_backup
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from tests.contracts.content_servers import ContentServer
from tests.contracts.drop_servers import s3_server
from tests.unit.conftest import NOW, TABLE, TABLE_TEXT, sha256, stored_letter

PDF = sha256(b"pdf")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with s3_server() as port:
        yield port


@pytest.fixture
def server(port: int, tmp_path: Path) -> ContentServer:
    return ContentServer(f"http://127.0.0.1:{port}", tmp_path)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database with one letter, whose attachment is nowhere yet."""
    path = tmp_path / "postmottak.db"
    store = Store(f"sqlite:///{path}")
    store.letters.note_table(TABLE.version, TABLE_TEXT, NOW)
    store.letters.add([stored_letter("a")])
    store.close()
    return path


def test_the_bucket_keeps_the_attachments(
    server: ContentServer, database: Path, tmp_path: Path
) -> None:
    """The backup has the database and names the bucket; it is restored with that one, or a copy of
    it, and with no folder. What is missing in the bucket is told both times."""
    bucket = server.bucket()
    content = server.content(bucket)
    lacking = make_backup(database, content, tmp_path / "first", NOW)
    assert [each[:64] for each in lacking.faults] == [PDF]
    content.put([b"pdf"])
    made = make_backup(database, content, tmp_path / "second", NOW)
    assert (made.content, made.files, made.faults) == (content.place, 1, ())
    assert not (tmp_path / "second" / "content").exists()
    restored = tmp_path / "there" / "postmottak.db"
    restored.parent.mkdir()
    with pytest.raises(OperatorError, match=rf'in {content.place}.*content = "{content.place}"'):
        restore_backup(
            tmp_path / "second", restored, ContentFolder(tmp_path / "c"), NOW, replace=False
        )
    report = restore_backup(
        tmp_path / "second", restored, server.content(bucket, "there"), NOW, replace=False
    )
    assert report.ok
    assert report.files == 1
    empty = server.content(server.bucket(), "empty")
    report = restore_backup(tmp_path / "second", restored, empty, NOW, replace=True)
    assert [each[:64] for each in report.faults] == [PDF]


def test_from_a_folder_to_a_bucket(server: ContentServer, database: Path, tmp_path: Path) -> None:
    """A backup with attachments is restored into a bucket."""
    folder = ContentFolder(tmp_path / "content")
    folder.put([b"pdf"])
    assert make_backup(database, folder, tmp_path / "backup", NOW).content == ""
    bucket = server.bucket()
    report = restore_backup(
        tmp_path / "backup", database, server.content(bucket), NOW, replace=True
    )
    assert report.ok
    assert server.content(bucket, "other").fault(PDF) == ""
