"""Backup in the middle of the work, and restore: every letter arrives, and what is repeated has the
names that it had."""

from __future__ import annotations

import sqlite3
import subprocess
from contextlib import closing

from connectors.sandbox.letters import PretendLetter
from connectors.sandbox.samples import sandbox_resource
from tests.journeys.conftest import Journey
from tests.sweeps.restore_sweep import lose_and_restore

_SERVER = ("postmottak.db", "content", "drop")
"""What one server has and another has not."""


def test_restored_from_the_middle() -> None:
    """After a backup beside the service at work, the loss of the store and a restore, one poll
    brings every letter to its one place."""
    assert lose_and_restore(39, 0.1).faults == ()


def test_a_damaged_store_is_told(journey: Journey) -> None:
    """`db check` ends with 1 and names the letter whose bytes are damaged or missing; a backup says
    so too, and is made."""
    journey.publish(6)
    assert journey.poll().code == 0
    one, two = sorted(path for path in (journey.scene.folder / "content").glob("??/*"))[:2]
    one.write_bytes(b"something else")
    two.unlink()
    checked = journey.run("db", "check", "--json")
    assert (checked.code, checked.json["ok"], len(checked.json["faults"])) == (1, False, 2)
    assert "is damaged; needed by message" in checked.output
    assert "is missing; needed by message" in checked.output
    made = journey.run("backup", str(journey.scene.folder / "backup"), "--json")
    assert (made.code, len(made.json["faults"])) == (1, 2)


def test_a_changed_log_of_events_is_told(journey: Journey) -> None:
    """`db check` ends with 1 and names the event that somebody has changed in the database; a
    restore of that database says so too, and is made."""
    assert journey.poll().code == 0
    for name in ("kari", "ola"):
        added = journey.run("web", "users", "add", name, "--role", "reader", "--no-password")
        assert added.code == 0
    checked = journey.run("db", "check")
    assert (checked.code, "The store is in order." in checked.output) == (0, True)
    with closing(sqlite3.connect(journey.scene.folder / "postmottak.db")) as database:
        database.execute("UPDATE events SET about = 'per' WHERE number = 1")
        database.commit()
    checked = journey.run("db", "check")
    assert (checked.code, "event 1 was changed" in checked.output) == (1, True)
    assert "The store is in order." not in checked.output
    backup = str(journey.scene.folder / "backup")
    assert journey.run("backup", backup).code == 0
    restored = journey.run("restore", backup, "--replace", "--json")
    assert (restored.code, restored.json["ok"], restored.json["changed_event"]) == (1, False, 1)


def test_a_running_service_keeps_restore_and_retention_out(journey: Journey) -> None:
    """Beside a service at work, a restore and a deletion are refused; a dry run and a backup are
    not."""
    journey.publish(3)
    assert journey.poll().code == 0
    backup = str(journey.scene.folder / "backup")
    polled = journey.altinn.count()
    service = journey.start("run")
    try:
        assert journey.altinn.wait_for(lambda: journey.altinn.count() > polled)
        assert journey.run("backup", backup).code == 0
        for arguments in (("restore", backup, "--replace"), ("retention", "run")):
            refused = journey.run(*arguments)
            assert (refused.code, "another postmottak is using" in refused.errors) == (4, True)
        assert journey.run("retention", "run", "--dry-run", "--json").json == []
    finally:
        service.terminate()
        service.communicate(timeout=30)
    assert "exists already" in journey.run("restore", backup).errors
    assert journey.run("restore", backup, "--replace").code == 0
    assert len(list(journey.scene.folder.glob("postmottak.db.replaced-*"))) >= 1


def test_a_move_that_is_undone(journey: Journey) -> None:
    """The old store, started as it was left, delivers again what the new one has; with the new
    one's backup in its place, it delivers nothing twice."""
    folder = journey.scene.folder
    journey.publish(2)
    assert journey.poll().code == 0
    for name in _SERVER:
        subprocess.run(["cp", "-a", folder / name, folder / f"old-{name}"], check=True)
    before = len(journey.whole_drops())
    subprocess.run(f"rm -f {folder}/old-postmottak.db?*", shell=True, check=True)
    resource = sandbox_resource("4255/8")
    journey.altinn.publish(PretendLetter(party=journey.scene.party, resource=resource))
    assert journey.poll().code == 0
    assert journey.run("backup", str(folder / "back")).code == 0
    for restored in (True, False):
        subprocess.run(f"cd {folder} && rm -r postmottak.db* content drop", shell=True, check=True)
        for name in _SERVER:
            subprocess.run(["cp", "-a", folder / f"old-{name}", folder / name], check=True)
        if restored:
            assert journey.run("restore", str(folder / "back"), "--replace").code == 0
        stored = journey.poll().json["stored"]
        assert stored == (0 if restored else 1)
        assert len(journey.whole_drops()) == before + (0 if restored else 1)
