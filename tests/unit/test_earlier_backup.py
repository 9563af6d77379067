"""A backup beside an earlier one reads only what is new, is whole by itself, and hides no fault."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event

from daemon.maintenance.backup import Backup, make_backup, restore_backup
from daemon.store import Store
from daemon.store.content import PREFIXES
from daemon.store.content_folder import ContentFolder
from tests.unit.conftest import NOW, stored_letter

Make = Callable[..., Backup]


@pytest.fixture(name="make")
def backup_of_the_day(database: Path, content: ContentFolder, tmp_path: Path) -> Make:
    """Makes the backup of a day."""
    return lambda day, **more: make_backup(
        database, content, tmp_path / "backups" / str(day), NOW + timedelta(days=day), **more
    )


@pytest.fixture(name="read")
def hashes_of_what_is_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hashes of all files whose bytes are checked."""
    found: list[str] = []
    fault = ContentFolder.fault

    def noted(content: ContentFolder, sha256: str) -> str:
        found.append(sha256)
        return fault(content, sha256)

    monkeypatch.setattr(ContentFolder, "fault", noted)
    return found


def add(store: Store, content: ContentFolder, number: int) -> Path:
    """Store a letter with bytes of its own; where they are."""
    kept = content.put([f"letter {number}".encode()])
    letter = stored_letter(f"letter-{number}")
    letter.attachments[0].sha256, letter.attachments[0].size = kept.sha256, kept.size
    store.letters.add([letter])
    return content.path(kept.sha256)


def test_only_what_is_new_is_read(
    make: Make, read: list[str], store: Store, content: ContentFolder, tmp_path: Path
) -> None:
    """The second backup reads the new letter's file alone, and can be restored without the
    first."""
    for number in range(3):
        add(store, content, number)
    assert (make(1).unchanged, len(read)) == (0, 3)
    read.clear()
    new = add(store, content, 3)
    made = make(2)
    assert (made.files, made.unchanged, read) == (4, 3, [new.name])
    shutil.rmtree(tmp_path / "backups" / "1")
    shutil.rmtree(new.parents[1])
    back, copy = tmp_path / "elsewhere.db", ContentFolder(tmp_path / "copy")
    found = restore_backup(tmp_path / "backups" / "2", back, copy, NOW, replace=False)
    assert (found.ok, found.files) == (True, 4)


def test_a_full_backup_reads_everything(
    make: Make, read: list[str], store: Store, content: ContentFolder
) -> None:
    """A full backup reads and checks every file, also where an earlier one has it."""
    add(store, content, 1)
    make(1)
    read.clear()
    assert (make(2, full=True).unchanged, len(read)) == (0, 1)


@pytest.mark.parametrize("damage", [b"other", b""])
def test_what_an_earlier_backup_has_damaged_is_read_again(
    make: Make, store: Store, content: ContentFolder, damage: bytes
) -> None:
    """A file that was damaged is told of in each backup, until the store has it again."""
    path = add(store, content, 1)
    right = path.read_bytes()
    path.write_bytes(damage.ljust(len(right)))
    assert [len(make(day).faults) for day in (1, 2)] == [1, 1]
    path.unlink()
    path.write_bytes(right)
    made = make(3)
    assert (made.faults, made.unchanged) == ((), 0)
    assert make(4).unchanged == 1


@pytest.mark.parametrize("what", ["missing", "damaged"])
def test_what_the_store_has_lost_is_told(
    make: Make, store: Store, content: ContentFolder, what: str
) -> None:
    """A file that is gone from the store, or cut, since the last backup is told of."""
    path = add(store, content, 1)
    make(1)
    path.unlink()
    if what == "damaged":
        path.write_bytes(b"cut")
    assert [what in fault for fault in make(2).faults] == [True]


def test_the_newest_whole_backup_counts(
    make: Make, read: list[str], store: Store, content: ContentFolder, tmp_path: Path
) -> None:
    """Of several backups the newest is taken from; one that is not complete, and what is no backup,
    are not."""
    make(1)
    add(store, content, 1)
    make(3)
    make(2, full=True)
    (tmp_path / "backups" / "notes").mkdir()
    (tmp_path / "backups" / "notes" / "backup.json").write_text("[1, 2]")
    for day, unchanged in ((4, 1), (5, 0)):
        read.clear()
        assert (make(day).unchanged, len(read)) == (unchanged, 1 - unchanged)
        for path in (tmp_path / "backups").glob("[234]/backup.json"):
            path.unlink()


def test_a_backup_of_another_file_system_is_no_hindrance(
    make: Make, store: Store, content: ContentFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no links can be made, everything is copied and checked."""

    def no_link(*_: object) -> None:
        raise PermissionError

    add(store, content, 1)
    make(1)
    monkeypatch.setattr("os.link", no_link)
    made = make(2)
    assert (made.files, made.unchanged, made.faults) == (1, 0, ())


def test_what_is_needed_is_read_a_thousand_at_a_time(
    store: Store, content: ContentFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check of a small store asks the database a few times, and not for each of the 256 folders;
    what it finds is what they hold together, each file once, however many letters have it."""
    for number in range(5):
        add(store, content, number)
    kept = content.put([b"letter 0"])
    shared = stored_letter("another"), stored_letter("one more")
    for letter in shared:
        letter.attachments[0].sha256, letter.attachments[0].size = kept.sha256, kept.size
    store.letters.add(list(shared))
    by_prefix = [each for prefix in PREFIXES for each in store.retention.needed(prefix).items()]
    asked: list[str] = []
    reader = store.queries._database._engine.reader
    event.listen(reader, "before_cursor_execute", lambda *given: asked.append(given[2]))
    found = list(store.retention.all_needed())
    assert (len(found), found) == (5, sorted(by_prefix))
    assert len(asked) < 5
    monkeypatch.setattr("daemon.store.retention._ATTACHMENTS", 2)
    assert list(store.retention.all_needed()) == found
