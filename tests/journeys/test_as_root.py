"""What root does with a store that belongs to the service's user: nothing of root's is left there.

Each test has real files of a real user, who has no name here.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.conftest import PYTHON, Begin, Journey
from tests.processes.warm import ROOT

SERVICE, OWNER = 64123, 64124
"""Two users and groups that no system has."""
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user")
_OPEN_AS_SERVICE = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
import postmottak
postmottak.find_modules()
from daemon.runtime.owner import become_owner_of
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from daemon.store.lock import InstanceLock
folder = Path(sys.argv[1])
become_owner_of(folder)  # this Python may lie where only root can read it
assert os.getresuid() == (64123, 64123, 64123)
try:
    (folder.parent / "trial").touch()
except PermissionError:
    pass
else:
    sys.exit("can still write as root")
lock = InstanceLock(folder / "postmottak.db", folder / "content")
store = Store(f"sqlite:///{folder / 'postmottak.db'}")
now = datetime.now(UTC)
store.stamps.put_right(now, now, now, certain=True)
content = ContentFolder(folder / "content")
with content.guarded(alone=True):
    content.put([bytes([number]) * 9 for number in range(200)])
print(store.queries.counts().messages)
"""
_RUN_AS_SERVICE = """
import os, pkgutil, sys
import connectors, daemon, encodings, postmottak
for package in (encodings, daemon, connectors):
    for each in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        try:  # all of it, for this Python may lie where only root can read it
            __import__(each.name)
        except (ImportError, AttributeError):
            pass
from tests.processes.forks import do_what_each_fork_would_do
do_what_each_fork_would_do()
os.dup2(1, 2)
for command in sys.argv[2:]:
    print("\\f", flush=True)
    if not (child := os.fork()):
        os.setgroups([])
        os.setresgid(64123, 64123, 64123)
        os.setresuid(64123, 64123, 64123)
        sys.argv[1:] = ["-c", sys.argv[1], *command.split()]
        postmottak.main()
    print("ended with", os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user may enter; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def journey(place: Path) -> Iterator[Journey]:
    """An installation whose store and drop are the service's user's, and whose key is root's."""
    with Begin(place) as found:
        store = place / "store"
        store.mkdir(mode=0o700)
        for each in (store, found.scene.drop):
            os.chown(each, SERVICE, SERVICE)
        text = found.scene.configuration.read_text()
        text = text.replace("sqlite:///postmottak.db", "sqlite:///store/postmottak.db")
        found.scene.configuration.write_text(text.replace('"content"', '"store/content"'))
        yield found


def foreign(folder: Path) -> list[Path]:
    """What is below the folder and not the service's user's and group's, or open to others."""
    return [
        each
        for each in folder.rglob("*")
        if (found := each.lstat())
        and ((found.st_uid, found.st_gid) != (SERVICE, SERVICE) or found.st_mode & 0o007)
    ]


def letters_for_the_service(store: Path) -> int:
    """Open the store as the service does, lock it and write to all of it; the number of letters."""
    environment = {"PATH": "/usr/bin:/bin"} | (
        {"PYTHONPATH": str(ROOT)} if sys.executable == PYTHON else {}
    )
    ended = subprocess.run(
        [PYTHON, "-c", _OPEN_AS_SERVICE, str(store)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd="/",
    )
    assert ended.returncode == 0, ended.stderr
    return int(ended.stdout)


def test_a_poll_by_root(journey: Journey) -> None:
    """The first poll, by root, leaves a store and drops that the service can go on with."""
    letters = journey.publish(5)
    ended = journey.run("poll")
    assert ended.code == 0, ended.errors
    assert "goes on as 64123" in ended.errors
    store = journey.scene.folder / "store"
    assert len(journey.whole_drops()) == len(letters)
    assert foreign(store) == []
    assert foreign(journey.scene.drop) == []
    assert letters_for_the_service(store) == len(letters)


def test_a_restore_by_root(journey: Journey) -> None:
    """A backup that only root can read is restored by root into a store that the service opens."""
    letters = journey.publish(5)
    assert journey.run("poll").code == 0
    backup, store = journey.scene.folder / "backup", journey.scene.folder / "store"
    assert journey.run("backup", str(backup)).code == 0
    assert backup.stat().st_mode & 0o777 == 0o700
    assert foreign(store) == []
    for again in ((), ("--replace",)):
        if not again:
            subprocess.run(["rm", "-r", store / "postmottak.db", store / "content"], check=True)
        ended = journey.run("restore", str(backup), *again)
        assert ended.code == 0, ended.errors
        assert foreign(store) == []
        assert letters_for_the_service(store) == len(letters)


def test_other_commands_by_root(journey: Journey) -> None:
    """Commands that root runs beside the service leave nothing of root's in its store."""
    journey.publish(3)
    assert journey.run("poll").code == 0
    store = journey.scene.folder / "store"
    for each in ("removal.lock", "tmp"):
        subprocess.run(["rm", "-rf", store / "content" / each], check=True)
    (store / "postmottak.db.lock").unlink()
    for command in (
        ("db", "check"),
        ("status",),
        ("retention", "run"),
        ("deliveries", "resend", "--state", "delivered", "--yes"),
        ("backup", str(journey.scene.folder / "backup")),
        ("reconcile",),
        ("web", "users", "add", "anna", "--role", "admin"),
        ("web", "login-link", "anna"),
        ("web", "users", "disable", "anna"),
    ):
        assert journey.run(*command).code in {0, 3}, command
        assert foreign(store) == [], command


def test_an_import_by_root(journey: Journey, place: Path) -> None:
    """A routing table that root imports stays the service's, and so does the one before it."""
    table = journey.scene.folder / "routing.toml"
    os.chown(table, SERVICE, SERVICE)
    table.chmod(0o640)
    sheet = place / "table.csv"
    assert journey.run("routes", "export", str(sheet)).code == 0
    text = sheet.read_text(encoding="utf-8-sig").replace("Alt annet", "Alt")
    sheet.write_text(text, encoding="utf-8")
    ended = journey.run("routes", "import", str(sheet), "--write")
    assert ended.code == 0, ended.errors
    for each in (table, table.with_name("routing.toml.old")):
        found = each.stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (SERVICE, SERVICE, 0o640)


def test_a_test_by_root(journey: Journey) -> None:
    """A test that root sends to a drop is the service's own: it works at a new drop and at one in
    use, whose hidden folder stays, and leaves nothing of root's there."""
    text = journey.scene.configuration.read_text()
    text = text.replace('path = "drop"', 'path = "drop"\nawait_pickup = "1h"')
    journey.scene.configuration.write_text(text)
    journey.publish(1)
    for _ in range(2):
        ended = journey.run("destinations", "test", "mappe")
        assert ended.code == 0, ended.output
        assert foreign(journey.scene.drop) == []
        assert journey.run("poll").code == 0
    assert (journey.scene.drop / ".postmottak").stat().st_uid == SERVICE


def test_a_folder_that_is_missing(journey: Journey) -> None:
    """A store folder that root makes belongs to the owner of the folder above it."""
    store = journey.scene.folder / "store"
    text = journey.scene.configuration.read_text()
    journey.scene.configuration.write_text(text.replace("store/", "store/a/b/"))
    journey.publish(1)
    assert journey.run("poll").code == 0
    assert (store / "a/b/postmottak.db").stat().st_uid == SERVICE
    assert [each for each in store.rglob("*") if each.stat().st_uid != SERVICE] == []


def test_first_files_by_root(journey: Journey) -> None:
    """What `init` writes as root in a folder of the service's user is that user's."""
    folder = journey.scene.folder / "store/configuration"
    assert journey.run("init", str(folder)).code == 0
    names = {"maskinporten.pem", "postmottak.toml", "routing.toml"}
    assert {each.name for each in folder.iterdir()} == names
    assert {each.stat().st_uid for each in (folder, *folder.iterdir())} == {SERVICE}


def test_what_belongs_to_root_stays_with_root(journey: Journey) -> None:
    """Where the store is root's, as in a container, root goes on as root."""
    os.chown(journey.scene.folder / "store", 0, 0)
    journey.publish(1)
    ended = journey.run("poll")
    assert (ended.code, "goes on as" in ended.errors) == (0, False)
    assert (journey.scene.folder / "store/postmottak.db").stat().st_uid == 0


def test_a_store_that_is_closed(journey: Journey) -> None:
    """A store in which root has left files is refused with the file, the owner and the command."""
    journey.publish(1)
    assert journey.run("poll").code == 0
    lock = journey.scene.folder / "store/postmottak.db.lock"
    os.chown(lock, 0, 0)
    ended = journey.run("poll")
    assert ended.code == 4
    assert f"{lock} belongs to root" in ended.errors
    assert f"chown -R --reference={lock.parent} {lock}" in ended.errors
    assert "Traceback" not in ended.errors


COMMANDS = (
    *("check --offline", "poll", "run", "status", "messages list", "db check", "retention run"),
    *("reconcile", "backup {}/b", "restore {}/b", "deliveries resend --state dead"),
    *("messages refetch some-id",),
)


def test_a_store_of_another_user(journey: Journey) -> None:
    """A store that only its owner may enter is refused with the owner's name, by every command."""
    folder = journey.scene.folder
    for each in (folder / "maskinporten.pem", folder / "webhook.secret"):
        each.chmod(0o644)
    (folder / "b").mkdir()
    (folder / "b/backup.json").touch()
    os.chown(folder / "store", OWNER, OWNER)
    os.chown(folder / "b", SERVICE, SERVICE)
    commands = [each.format(folder) for each in COMMANDS]
    ended = subprocess.run(
        [PYTHON, "-c", _RUN_AS_SERVICE, str(journey.scene.configuration), *commands],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        cwd="/",
    )
    assert ended.returncode == 0, ended.stderr
    said = dict(zip(COMMANDS, ended.stdout.split("\f")[1:], strict=True))
    assert {each for each, text in said.items() if "Traceback" in text} == set()
    remedy = f"belongs to {OWNER}, and {SERVICE} may not use it; run this as root or as {OWNER}"
    assert {each: text for each, text in said.items() if text.count(remedy) != 1} == {}
    assert {each for each, text in said.items() if "ended with 0" in text} == set()
