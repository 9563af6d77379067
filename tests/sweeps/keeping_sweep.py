"""Strikes backup, restore, deletion, export and init at every system call that matters, and looks
whether the next one puts all right.

`keeping_sweep.py [--fault KILL|EIO|ENOSPC] [--every K] [--processes N] [--report FILE]`; needs
strace and the right to trace.

After each strike: what looks whole is whole; nothing that is undelivered, not taken or held is
gone, and no letter's bytes are gone without a record. Then the same command runs again, and
everything is as if nothing had befallen it.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Self

sys.path.insert(0, str(Path(__file__).parents[2]))

from connectors.altinn3.maskinporten import load_key
from tests.processes.warm import Warm
from tests.sweeps.keeping_place import Place, about, bytes_kept, ids, needed, picture
from tests.sweeps.strike import (
    FATAL,
    Point,
    Result,
    last_error,
    main,
    not_told_well,
    points,
    struck_at,
    traced,
)


class Keeping:
    """Runs points one after the other, each on a copy of an installation that has worked.

    With a warm process of its own, or with another's.
    """

    def __init__(self, warm: Warm | None = None) -> None:
        self._warm, self._is_own = warm or Warm(one_thread=True), warm is None
        self._folder = tempfile.TemporaryDirectory(prefix="keeping-")
        (Path(self._folder.name) / "template").mkdir()
        self.place = Place.build(Path(self._folder.name) / "template", self._warm)

    def watch(self) -> list[Point]:
        """The calls of each command that nothing befalls."""
        return [point for name in COMMANDS for point in self.calls(name)]

    def calls(self, name: str) -> list[Point]:
        """The calls of one command that nothing befalls."""
        with _Copy(self, name) as copy:
            code = traced(self._warm, copy.configuration, COMMANDS[name].arguments, None)
            found = points(copy.folder, name)
            wrong = list(COMMANDS[name].after(copy))
        if code != COMMANDS[name].usual or wrong:
            raise SystemExit(f"{name}, which is only watched, ended with {code}: {wrong}")
        return found

    def strike(self, point: Point) -> Result:
        """Strike at the point, look, run the same once more, and look again."""
        command = COMMANDS[point.command]
        with _Copy(self, point.command) as copy:
            code = traced(self._warm, copy.configuration, command.arguments, point)
            struck = struck_at(copy.folder, point, code)
            found = list(self._of_first_run(copy, command, point, code)) if struck else []
            found += command.meanwhile(copy)
            found += command.after(copy)
        return Result(point=point, struck=struck, faults=tuple(found))

    def _of_first_run(
        self, copy: _Copy, command: Command, point: Point, code: int
    ) -> Iterator[str]:
        if point.fault != "KILL":
            yield from not_told_well(copy.folder, code)
            if code not in {command.usual, 1, FATAL}:
                yield f"ended with {code}"
            left = (
                [*copy.folder.glob(".*"), *copy.folder.glob("new/**/.*")]
                if point.call not in _REMOVING
                else []
            )
            yield from (f"{path.name} remains" for path in left)

    def run(self, copy: _Copy, *arguments: str) -> tuple[int, str]:
        """Run a command as usual; its exit code, and all that it said."""
        ended = self._warm.run(copy.configuration, *arguments)
        return ended.code, ended.output + ended.errors

    def close(self) -> None:
        """End the warm process, if it is its own, and remove the installation."""
        if self._is_own:
            self._warm.close()
        self._folder.cleanup()


class _Copy:
    """A copy of the installation, in which one command is struck."""

    def __init__(self, keeping: Keeping, name: str) -> None:
        self.keeping, self.place, self._name = keeping, keeping.place, name
        self._temporary = tempfile.TemporaryDirectory(prefix="struck-")
        self.folder = Path(self._temporary.name) / "place"
        self.configuration = self.folder / "postmottak.toml"
        self.database, self.content, self.backup = (
            self.folder / "postmottak.db",
            self.folder / "content",
            self.folder / "backup",
        )

    def __enter__(self) -> Self:
        shutil.copytree(self.place.folder, self.folder)
        COMMANDS[self._name].before(self)
        return self

    def __exit__(self, *error: object) -> None:
        self._temporary.cleanup()

    def again(self, *allowed: int) -> Iterator[str]:
        """Run the command once more, as usual."""
        code, said = self.keeping.run(self, *COMMANDS[self._name].arguments)
        if code not in allowed or "Traceback" in said:
            yield f"the same once more ended with {code}: {last_error(self.folder)}"


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command, what is laid out for it, what must be so right after a strike, and what once more
    must bring about."""

    arguments: tuple[str, ...]
    usual: int = 0
    before: Callable[[_Copy], object]
    meanwhile: Callable[[_Copy], Iterator[str]]
    after: Callable[[_Copy], Iterator[str]]


_REMOVING = ("unlink", "unlinkat", "rmdir")


def _as_it_is(_: _Copy) -> None:
    """Nothing is to be laid out."""


def _whole_backup(copy: _Copy, folder: Path) -> Iterator[str]:
    if picture(folder / "postmottak.db") != copy.place.picture:
        yield f"{folder.name} looks whole, and its database is not the store's"
    if needed(folder / "postmottak.db") - bytes_kept(folder / "content"):
        yield f"{folder.name} looks whole, and attachments are missing"


def _half_or_whole_backup(copy: _Copy) -> Iterator[str]:
    new = copy.folder / "new"
    if (new / "backup.json").exists():
        yield from _whole_backup(copy, new)
    elif new.exists():
        code, said = copy.keeping.run(copy, "restore", str(new), "--replace")
        if code != 1 or "is not a backup, or not a complete one" not in said:
            yield f"restoring half a backup ended with {code}: {said}"


def _backed_up(copy: _Copy) -> Iterator[str]:
    new = copy.folder / "new"
    code, said = copy.keeping.run(copy, "backup", str(new))
    if code == 1:
        shutil.rmtree(new)
        code, said = copy.keeping.run(copy, "backup", str(new))
    if code or not (new / "backup.json").exists():
        yield f"a backup afterwards ended with {code}: {said}"
        return
    yield from _whole_backup(copy, new)
    if picture(copy.database) != copy.place.picture or needed(copy.database) - bytes_kept(
        copy.content
    ):
        yield "the store has changed"


def _lose_store(copy: _Copy) -> None:
    for left in copy.folder.glob("postmottak.db*"):
        if not left.is_dir():  # where the service is woken; it holds nothing
            left.unlink()
    shutil.rmtree(copy.content)


def _old_or_none(copy: _Copy) -> Iterator[str]:
    """Whatever database is in place is a whole one."""
    if copy.database.exists() and picture(copy.database) not in (
        copy.place.picture,
        copy.place.of_backup,
    ):
        yield "half a database is in place"


def _restored(copy: _Copy) -> Iterator[str]:
    yield from copy.again(0, 1)
    if not copy.database.exists() or picture(copy.database) != copy.place.of_backup:
        yield "the store is not the backup's"
    if needed(copy.database) - bytes_kept(copy.content):
        yield "attachments are missing"
    if [*copy.folder.glob(".*"), *(copy.content / "tmp").iterdir()]:
        yield "something half made remains"
    if needed(copy.backup / "postmottak.db") - bytes_kept(copy.backup / "content"):
        yield "the backup has changed"


def _replaced(copy: _Copy) -> Iterator[str]:
    yield from _restored(copy)
    aside = [
        path
        for path in copy.folder.glob("postmottak.db.replaced-*")
        if not path.name.endswith("-journal")
    ]
    if copy.place.picture not in [picture(path) for path in aside]:
        yield "the database that was there is gone"


def _nothing_gone(copy: _Copy) -> Iterator[str]:
    """Each letter is there with its bytes, or its deletion is recorded; and everyone who must be
    left alone is."""
    found = picture(copy.database)
    if needed(copy.database) - bytes_kept(copy.content):
        yield "bytes are gone without a record"
    with closing(sqlite3.connect(copy.database)) as connection:
        if (
            connection.execute("PRAGMA integrity_check").fetchone() != ("ok",)
            or connection.execute("PRAGMA foreign_key_check").fetchone()
        ):
            yield "the database is not whole"
    for state, letter in copy.place.protected.items():
        if about(found, letter) != about(copy.place.picture, letter):
            yield f"a letter that is {state} was touched"
    if (
        ids(copy.database, "messages", "id") | ids(copy.database, "tombstones")
        != copy.place.letters
    ):
        yield "a letter is gone without a tombstone"


def _deleted(copy: _Copy) -> Iterator[str]:
    yield from copy.again(0)
    yield from _nothing_gone(copy)
    gone, dead = (
        copy.place.letters - set(copy.place.protected.values()),
        ids(copy.database, "tombstones"),
    )
    if ids(copy.database, "deletions") != gone or not dead or dead - gone:
        yield "what should go was not deleted, or is not recorded"
    if bytes_kept(copy.content) != needed(copy.database):
        yield "bytes that nobody needs remain"
    for letter in sorted(dead)[:1]:
        code, said = copy.keeping.run(copy, "messages", "show", letter)
        if code or "Retention has deleted this letter" not in said:
            yield f"a deleted letter is shown with {code}: {said}"


def _half_or_whole_zip(copy: _Copy) -> Iterator[str]:
    path = copy.folder / "letter.zip"
    if not path.exists():
        return
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() or not {"message.json", "body.md"} <= set(archive.namelist()):
                yield "the zip file is not whole"
    except zipfile.BadZipFile as error:
        yield f"half a zip file looks whole: {error}"


def _exported(copy: _Copy) -> Iterator[str]:
    yield from copy.again(0, 1)
    yield from _half_or_whole_zip(copy)
    if not (copy.folder / "letter.zip").exists() or (copy.folder / ".letter.zip.half").exists():
        yield "there is no zip file, or half a one beside it"


def _choose(copy: _Copy) -> None:
    """The letter that is exported has an id that the command can name before it knows it."""
    with closing(sqlite3.connect(copy.database)) as connection, connection:
        connection.execute(
            "UPDATE messages SET external_id = 'chosen' WHERE id = (SELECT message_id FROM "
            "attachments ORDER BY rowid LIMIT 1)"
        )


def _half_or_whole_files(copy: _Copy) -> Iterator[str]:
    new = copy.folder / "new"
    try:
        if (new / "maskinporten.pem").exists():
            load_key((new / "maskinporten.pem").read_text())
    except ValueError as error:
        yield f"the key is not whole: {error}"
    for name, end in (("postmottak.toml", "\n"), ("routing.toml", 'to = ["post"]\n')):
        if (new / name).exists() and not (new / name).read_text().endswith(end):
            yield f"{name} is not whole"


def _begun(copy: _Copy) -> Iterator[str]:
    before = _hashes(copy.folder / "new")
    yield from copy.again(0)
    yield from _half_or_whole_files(copy)
    after = _hashes(copy.folder / "new")
    if set(after) != {"maskinporten.pem", "postmottak.toml", "routing.toml"}:
        yield f"the folder has {sorted(after)}"
    if any(
        after.get(name) != digest for name, digest in before.items() if not name.startswith(".")
    ):
        yield "a file was overwritten"


def _hashes(folder: Path) -> dict[str, str]:
    return (
        {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
        if folder.exists()
        else {}
    )


COMMANDS = {
    "backup": Command(
        arguments=("backup", "new"),
        before=_as_it_is,
        meanwhile=_half_or_whole_backup,
        after=_backed_up,
    ),
    "restore": Command(
        arguments=("restore", "backup"), before=_lose_store, meanwhile=_old_or_none, after=_restored
    ),
    "replace": Command(
        arguments=("restore", "backup", "--replace"),
        before=_as_it_is,
        meanwhile=_old_or_none,
        after=_replaced,
    ),
    "retention": Command(
        arguments=("retention", "run"), before=_as_it_is, meanwhile=_nothing_gone, after=_deleted
    ),
    "export": Command(
        arguments=("messages", "export", "chosen", "-o", "letter.zip"),
        before=_choose,
        meanwhile=_half_or_whole_zip,
        after=_exported,
    ),
    "init": Command(
        arguments=("init", "new"),
        before=_as_it_is,
        meanwhile=_half_or_whole_files,
        after=_begun,
    ),
}

if __name__ == "__main__":
    sys.exit(main(Keeping, "keeping-sweep", __doc__))
