"""`[store]` says where content is: a folder, or a bucket and how it is reached."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from daemon.config.store import BucketAddress, StoreSettings
from daemon.core.errors import StoreError
from daemon.service import preflight
from daemon.service.preflight import refuse_shared_file_systems
from daemon.store.content_bucket import ContentBucket
from daemon.store.content_folder import ContentFolder
from daemon.store.content_place import content_of

POSTGRESQL = "postgresql+psycopg://db/postmottak"


def settings(folder: Path, **options: Any) -> StoreSettings:
    (folder / "s3.secret").write_text("hush")
    bucket = {"access_key_id": "ola", "secret_key_file": "s3.secret"}
    usual = {
        "database": "sqlite:///postmottak.db",
        "content": "s3://post/letters/content",
        "content_cache": "cache",
        "s3": bucket,
    }
    return StoreSettings.model_validate({**usual, **options}, context={"base": folder})


def test_a_folder(tmp_path: Path) -> None:
    """A path is relative to the file, as others are, and no bucket is contacted."""
    found = settings(tmp_path, content="content", s3=None)
    assert found.content == found.content_folder == tmp_path / "content"
    assert isinstance(content_of(found), ContentFolder)


def test_a_bucket(tmp_path: Path) -> None:
    """Its address has name and prefix; this machine writes in the cache's folder. The secret is
    not shown."""
    found = settings(tmp_path)
    assert found.content == BucketAddress("post", "letters/content")
    assert str(found.content) == "s3://post/letters/content"
    assert found.content_folder == tmp_path / "cache"
    content = content_of(found, "worker-")
    assert isinstance(content, ContentBucket)
    assert content.place == "s3://post/letters/content"
    assert "hush" not in repr(found) + repr(vars(content))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"content": "https://post"}, "not the address of a bucket.*s3://"),
        ({"content": "s3://"}, "not the address of a bucket"),
        ({"content": "s3://post/a b"}, "not a valid prefix"),
        ({"content": 5}, "not text"),
        ({"content_cache": ""}, "no content_cache; name a folder"),
        ({"s3": None}, r"no section \[store\.s3\]; add it"),
        ({"content_cache_mb": 0}, "greater than or equal to 1"),
    ],
)
def test_what_cannot_be_used(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    """Each fault says what is wrong and what to write."""
    with pytest.raises(ValidationError, match=words):
        settings(tmp_path, **options)


@pytest.mark.parametrize(
    ("kind", "mounted", "words"),
    [
        ("nfs4", "rw,vers=4.2,hard", ""),
        ("ceph", "rw", ""),
        ("ext4", "rw", ""),
        ("nfs4", "rw,vers=4.2,soft", "`soft`.*mounted `hard`"),
        ("nfs", "rw,vers=3,hard", "type nfs.*NFS 4 or CephFS"),
        ("cifs", "rw", "type cifs.*a bucket"),
    ],
)
def test_a_folder_that_nodes_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, mounted: str, words: str
) -> None:
    """With a database that nodes share, content may be on file systems that keep what they have
    acknowledged, and on no others."""
    place = tmp_path / "content"
    (tmp_path / "mountinfo").write_text(f"1 1 0:1 / {place} rw - {kind} server:/ {mounted}\n")
    monkeypatch.setattr(preflight, "_MOUNTS", tmp_path / "mountinfo")
    shared = settings(tmp_path, database=POSTGRESQL, content="content", s3=None)
    assert shared.is_shared
    if words:
        with pytest.raises(StoreError, match=words):
            refuse_shared_file_systems(shared)
    else:
        refuse_shared_file_systems(shared)


def test_own_files_on_a_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine's own files are on a local disk, and it is said where that is written."""
    (tmp_path / "mountinfo").write_text(f"1 1 0:1 / {tmp_path} rw - nfs4 server:/ rw,hard\n")
    monkeypatch.setattr(preflight, "_MOUNTS", tmp_path / "mountinfo")
    with pytest.raises(StoreError, match=r"own files .*nfs4.*own_files"):
        refuse_shared_file_systems(
            settings(tmp_path, database=POSTGRESQL, content="content", s3=None)
        )


def test_a_cache_on_a_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache of a bucket is on a local disk."""
    (tmp_path / "cache").mkdir()
    place = tmp_path / "cache"
    (tmp_path / "mountinfo").write_text(f"1 1 0:1 / {place} rw - nfs4 server:/ rw,hard\n")
    monkeypatch.setattr(preflight, "_MOUNTS", tmp_path / "mountinfo")
    with pytest.raises(StoreError, match=r"content cache .*keep it on a local disk"):
        refuse_shared_file_systems(settings(tmp_path))
