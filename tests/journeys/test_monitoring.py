"""Seeing: a monitor's line, the endpoint for monitors, and alerts that reach a person."""

from __future__ import annotations

import signal
import sqlite3
import tomllib
from contextlib import closing

from benchmarks.loopback import free_port
from connectors.sandbox.samples import sandbox_resource, sandbox_resources
from connectors.sandbox.sinks.webhook import Reply
from tests.journeys.conftest import Journey


def test_a_monitor_and_an_alert(journey: Journey) -> None:
    """A dead delivery is critical for a monitor, is counted at the endpoint, and is reported once
    by mail and by webhook, by the poll itself."""
    assert journey.run("status", "--monitor").code == 3
    port = free_port()
    sections = (
        '[alerts]\nto = ["epost", "webhook"]\nfree_bytes = 0\n[monitoring]\nlisten = '
        f'"127.0.0.1:{port}"\n'
    )
    journey.scene.configuration.write_text(journey.scene.configuration.read_text() + sections)
    journey.publish(13)
    journey.webhook.script(Reply(status=418))
    assert journey.poll().code == 3
    journey.webhook.script()
    told = journey.run("status", "--monitor")
    assert (told.code, told.output.count("\n")) == (2, 1)
    assert told.output.startswith(
        "POSTMOTTAK CRITICAL - Not delivered to webhook and not tried again: 1"
    )
    assert " | waiting=0;;;0 dead=1;;;0 oldest=0s;;;0 free=" in told.output
    assert [each["not_told"] for each in _alerts(journey)] == [[]]
    process = journey.start("run")
    assert 'postmottak_deliveries{destination="webhook",state="dead"} 1.0' in journey.metrics(port)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    events = [
        hook.json for hook in journey.webhook.taken if hook.json["type"] == "no.postmottak.alert.v1"
    ]
    assert [(each["data"]["kind"], each["data"]["ended"]) for each in events] == [("dead", False)]
    mails = [
        each.message
        for each in journey.mail.mails
        if each.message["Subject"].startswith("Postmottak: Not delivered to webhook")
    ]
    assert len(mails) == 1


def test_one_service_of_ten(journey: Journey) -> None:
    """A service without a right to it, while the others can be read, is a warning for a monitor at
    once, with which, since when and what to do; then it is critical."""
    client = tomllib.loads(journey.scene.configuration.read_text())["mailbox"]["altinn"][
        "client_id"
    ]
    journey.altinn.revoke(client, journey.scene.party, [sandbox_resource("4255/8")])
    letters = journey.publish(13)
    assert journey.poll().code == 3
    told = journey.run("status", "--monitor")
    assert told.code == 1
    assert "give the system user the access package or right for it" in told.output
    _let_pass(journey, hours=2)
    assert journey.run("status", "--monitor").code == 1
    assert f"cannot be read whole for {journey.scene.party}: " in told.output
    assert f": 4255/8 {sandbox_resource('4255/8')} since 2" in told.output
    assert [each["kind"] for each in journey.run("status", "--json").json["troubles"]] == ["unread"]
    _let_pass(journey, hours=3)
    assert journey.run("status", "--monitor").code == 2
    journey.altinn.allow(client, journey.scene.party, sandbox_resources().values())
    assert journey.poll().code == 0
    assert journey.run("status", "--monitor").code == 0
    assert journey.dropped_ids() == sorted(letters)


def _let_pass(journey: Journey, hours: int) -> None:
    """What fails has failed for so much longer."""
    with closing(sqlite3.connect(journey.scene.folder / "postmottak.db")) as database, database:
        database.execute(
            "UPDATE bookmarks SET failing_since = datetime(failing_since, ?)", (f"-{hours} hours",)
        )


def _alerts(journey: Journey) -> list[dict[str, object]]:
    found: list[dict[str, object]] = journey.run("status", "--json").json["alerts"]
    return found
