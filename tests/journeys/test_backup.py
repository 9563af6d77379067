"""Backup in the middle of the work, and restore: every letter arrives, and what is repeated has the names that it had."""

from __future__ import annotations

import shutil

from tests.journeys.conftest import Journey

LETTERS = 39


def ids(journey: Journey) -> tuple[set[str], set[str], set[str]]:
    """The names under which receivers know what they have: folders, webhook ids, Message-IDs."""
    return (
        {drop.name for drop in journey.whole_drops()},
        {hook.id for hook in journey.webhook.taken},
        {str(mail.message["Message-ID"]) for mail in journey.mail.mails},
    )


def test_restored_from_the_middle(journey: Journey) -> None:
    """After a backup beside a poll at work, the loss of the store and a restore, one poll brings every letter to its one place."""
    letters = journey.publish(LETTERS)
    backup = journey.scene.folder / "backup"
    working = journey.start("poll")
    assert journey.altinn.wait_for(lambda: journey.altinn.count("overview") > LETTERS // 2)
    made = journey.run("backup", str(backup), "--json")
    working.communicate(timeout=60)
    assert made.code == 0, made.errors
    before = ids(journey)
    assert len(before[0]) == len(letters)

    assert "is there already" in journey.run("restore", str(backup)).errors
    (journey.scene.folder / "postmottak.db").unlink()
    shutil.rmtree(journey.scene.folder / "content")
    restored = journey.run("restore", str(backup), "--json")
    assert restored.code == 0, restored.output + restored.errors
    polled = journey.poll()
    assert polled.code == 0, polled.errors
    assert journey.dropped_ids() == sorted(letters)
    assert ids(journey) == before
    assert {each["state"] for each in journey.run("deliveries", "list", "--json").json} == {"delivered"}
    assert journey.run("db", "check").code == 0


def test_a_damaged_store_is_told(journey: Journey) -> None:
    """`db check` ends with 1 and names the letter whose bytes are damaged or missing; a backup says so too, and is made."""
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


def test_a_running_service_keeps_restore_and_retention_out(journey: Journey) -> None:
    """Beside a service at work, a restore and a deletion are refused; a dry run and a backup are not."""
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
            assert (refused.code, "another postmottak works with" in refused.errors) == (4, True)
        assert journey.run("retention", "run", "--dry-run", "--json").json == []
    finally:
        service.terminate()
        service.communicate(timeout=30)
    assert journey.run("restore", backup, "--replace").code == 0
    assert len(list(journey.scene.folder.glob("postmottak.db.replaced-*"))) >= 1
