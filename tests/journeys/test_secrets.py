"""What a reader of logs must never see: titles, contents, names of persons and secrets."""

from __future__ import annotations

import json
import os
import re
import signal
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from benchmarks.loopback import free_port
from connectors.sandbox.samples import letters as sample_letters
from connectors.sandbox.setup import WEBHOOK_SECRET
from connectors.sandbox.sinks.webhook import Reply
from tests.journeys.conftest import Journey

TITLE, BODY = "Oppsigelse av Kari Nordmann", "Fortrolig innhold om Ola"


def test_nothing_that_must_not_be_read(journey: Journey, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in what any command logs or prints about the service, not for monitors, not in alerts,
    whether all goes well or not.

    In the journal's form each line has its priority and is JSON.
    """
    port = free_port()
    sections = f'[alerts]\nto = ["webhook"]\n[monitoring]\nlisten = "127.0.0.1:{port}"\n'
    journey.scene.configuration.write_text(journey.scene.configuration.read_text() + sections)
    for letter in sample_letters(6, party=journey.scene.party, now=datetime.now(UTC)):
        journey.altinn.publish(replace(letter, title=TITLE, body=BODY))
    journey.webhook.script(Reply(status=418), Reply(status=500))
    seen = [
        journey.run(*command)
        for command in (
            ("check",),
            ("poll",),
            ("status",),
            ("status", "--json"),
            ("status", "--monitor"),
        )
    ]
    journey.webhook.script()
    log = journey.scene.folder / "log.txt"
    with log.open("w") as errors:
        found = os.fstat(errors.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        process = journey.start("run", errors=errors)
        metrics = journey.metrics(port)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)
    alerts = [hook.json for hook in journey.webhook.taken if _is_alert(hook.json)]
    lines = log.read_text().splitlines()
    assert lines
    assert alerts
    assert all(re.match(r"<[2-6]>\w", line) for line in lines)
    everything = "\n".join(
        [*(each.output + each.errors for each in seen), *lines, metrics, json.dumps(alerts)]
    )
    for planted in (
        TITLE,
        BODY,
        "Nordmann",
        WEBHOOK_SECRET,
        WEBHOOK_SECRET.removeprefix("whsec_"),
        "PRIVATE KEY",
    ):
        assert planted not in everything


def _is_alert(event: dict[str, object]) -> bool:
    return event["type"] == "no.postmottak.alert.v1"
