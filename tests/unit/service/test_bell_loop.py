"""A service with a bell: letters arrive within its interval, and its loss is said once."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from connectors.sandbox.altinn3.access import ReadyClient
from connectors.sandbox.altinn3.server import FakeAltinn
from connectors.sandbox.letters import PretendLetter
from daemon.core.bookkeeping import BELL
from daemon.service.app import open_app
from daemon.service.stack import load
from daemon.service.supervisor import Supervisor
from tests.unit.conftest import PARTY, TABLE_TEXT

POST = "eformidling-dpv-administrasjon"


@pytest.fixture
def altinn() -> Iterator[FakeAltinn]:
    with FakeAltinn() as running:
        yield running


@pytest.fixture
def client(altinn: FakeAltinn) -> ReadyClient:
    ready = altinn.ready_client()
    altinn.allow(ready.client_id, PARTY, [POST])
    return ready


def write(folder: Path, altinn: FakeAltinn, client: ReadyClient, **options: Any) -> Path:
    """Write a configuration with one mailbox and one file drop."""
    (folder / "key.pem").write_text(client.private_key)
    (folder / "key.pem").chmod(0o600)
    (folder / "routing.toml").write_text(TABLE_TEXT.replace('"erp", "mail"', '"erp"'))
    (folder / "drop").mkdir(exist_ok=True)
    told = {
        "type": "altinn3",
        "maskinporten_url": altinn.maskinporten_url,
        "platform_url": altinn.platform_url,
        "client_id": client.client_id,
        "key_file": "key.pem",
        "key_id": client.key_id,
        "parties": [PARTY],
        "services": ["4255/10"],
        "confidential": "off",
        "poll_every": "1h",
        "bell_every": "1s",
    } | options
    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in told.items())
    file = folder / "postmottak.toml"
    file.write_text(
        f"""
[store]
database = "sqlite:///letters.db"
content = "content"
[routing]
file = "routing.toml"
[mailbox.altinn]
{lines}
resources = {{ "4255/10" = ["{POST}"] }}
[destination.erp]
type = "filedrop"
path = "drop"
"""
    )
    return file


def drops(folder: Path) -> int:
    return len([each for each in (folder / "drop").iterdir() if not each.name.startswith(".")])


def test_a_letter_arrives_by_the_bell(
    tmp_path: Path, altinn: FakeAltinn, client: ReadyClient
) -> None:
    """With an hour between polls, a letter is delivered within some seconds of its publication;
    nothing is left in the other side's seen log."""
    with open_app(load(write(tmp_path, altinn, client))) as app:
        supervisor = Supervisor(app)
        thread = threading.Thread(target=supervisor.run)
        thread.start()
        try:
            assert altinn.wait_for_calls("dialogsearch", 3, timeout=30)
            altinn.publish(PretendLetter(party=PARTY))
            assert altinn.wait_for(lambda: drops(tmp_path) == 1, timeout=30)
        finally:
            supervisor.stop()
            thread.join(20)
        record = app.store.bells.of("altinn")
    assert (record.found_by_bell, record.parties_heard, record.last_error) == (1, 1, None)
    assert not altinn.dialogs.seen_log()


@pytest.mark.parametrize(("bell", "is_problem"), [("auto", False), ("dialogporten", True)])
def test_a_bell_that_cannot_be_used_is_said_once(
    tmp_path: Path, altinn: FakeAltinn, client: ReadyClient, *, bell: str, is_problem: bool
) -> None:
    """Without the scope, letters are listed, and the log says so once; it is a problem only if the
    bell is configured by name."""
    registered = altinn.access.client(client.client_id)
    assert registered
    registered.scopes = frozenset({"altinn:correspondence.read"})
    altinn.publish(PretendLetter(party=PARTY))
    with open_app(load(write(tmp_path, altinn, client, bell=bell))) as app, capture_logs() as logs:
        supervisor = Supervisor(app)
        thread = threading.Thread(target=supervisor.run)
        thread.start()
        try:
            assert altinn.wait_for(lambda: drops(tmp_path) == 1, timeout=30)
            assert altinn.wait_for(lambda: said(logs, "polled") > 2, timeout=30)
        finally:
            supervisor.stop()
            thread.join(20)
        kinds = [each.kind for each in app.problems.all()]
    assert said(logs, "the bell cannot be used, so lists are used") == 1
    assert (BELL in kinds) is is_problem


def said(logs: Any, event: str) -> int:
    return sum(each["event"] == event for each in logs)


def test_without_a_bell_nothing_is_searched(
    tmp_path: Path, altinn: FakeAltinn, client: ReadyClient
) -> None:
    """`bell = "off"` polls as ever, and so does "auto" where polls are as frequent as the bell."""
    for options in ({"bell": "off", "poll_every": "1s"}, {"poll_every": "1s", "bell_every": "2s"}):
        with open_app(load(write(tmp_path, altinn, client, **options))) as app:
            supervisor = Supervisor(app)
            thread = threading.Thread(target=supervisor.run)
            thread.start()
            try:
                assert altinn.wait_for_calls("list", 3, timeout=30)
            finally:
                supervisor.stop()
                thread.join(20)
        altinn.forget_calls()
    assert altinn.count("dialogsearch") == 0
