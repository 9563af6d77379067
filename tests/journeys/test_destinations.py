"""`destinations list` and `destinations test`, as an operator uses them beside a service."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from tests.journeys.conftest import Journey
from tests.processes.warm import ROOT

SCHEMA = json.loads((ROOT / "docs" / "message.schema.json").read_text(encoding="utf-8"))


def test_the_list_says_where_letters_go(journey: Journey) -> None:
    """Each destination is listed with its type, its place and the recipients whose letters go
    there, without the part of an address that may be a secret."""
    found = {each["name"]: each for each in journey.run("destinations", "list", "--json").json}
    assert {name: each["type"] for name, each in found.items()} == {
        "mappe": "filedrop",
        "epost": "smtp",
        "webhook": "webhook",
    }
    assert found["mappe"]["place"] == str(journey.scene.drop)
    assert found["epost"]["place"].endswith(" to regnskap@example.no")
    assert found["mappe"]["recipients"] == ["regnskap", "eiendom", "post"]
    text = journey.run("destinations", "list").output
    assert journey.webhook.url.partition("/hooks")[0] in text
    assert "/hooks" not in text


def test_a_webhook_gets_a_test_event(journey: Journey) -> None:
    """The receiver gets an event that is signed, shaped like a letter and no letter by its type; a
    refusal is shown with exit code 1."""
    ended = journey.run("destinations", "test", "webhook")
    assert (ended.code, "HTTP 204" in ended.output) == (0, True)
    (hook,) = journey.webhook.taken
    assert (hook.verified, hook.json["type"]) == (True, "no.postmottak.test.v1")
    jsonschema.validate(hook.json["data"], SCHEMA)
    assert "TEST" in hook.json["data"]["title"]
    journey.webhook.go_down()
    ended = journey.run("destinations", "test", "webhook", "--json")
    assert (ended.code, ended.json["ok"]) == (1, False)


def test_a_mail_server_gets_a_test_mail(journey: Journey) -> None:
    """The configured recipients get a mail that says that it is a test."""
    assert journey.run("destinations", "test", "epost").code == 0
    (mail,) = journey.mail.mails
    assert mail.recipients == ("regnskap@example.no",)
    assert "TEST" in str(mail.message["Subject"])


@pytest.mark.parametrize("layout", ["folder", "flat", "pdf-only", "csv"])
def test_a_drop_is_as_it_was(journey: Journey, layout: str) -> None:
    """After a test, a drop has nothing that it had not before; nothing of it is a letter in the
    store."""
    _append(
        journey.scene.configuration,
        f'\n[destination.ny]\ntype = "filedrop"\npath = "ny"\nlayout = "{layout}"\n',
    )
    drop = journey.scene.folder / "ny"
    journey = replace(journey, checkout=layout == "pdf-only")  # which needs an extra
    ended = journey.run("destinations", "test", "ny")
    assert (ended.code, "create the folder" in ended.output) == (1, True)
    drop.mkdir()
    ended = journey.run("destinations", "test", "ny")
    assert (ended.code, "read, and removed" in ended.output) == (0, True)
    assert list(drop.iterdir()) == []
    assert not (journey.scene.folder / "postmottak.db").exists()


def test_what_cannot_be_tested_says_so(journey: Journey) -> None:
    """A mail server without recipients of its own, and a name that is not configured, are refused
    in words that say what to do."""
    text = journey.scene.configuration.read_text()
    journey.scene.configuration.write_text(
        text.replace('recipients = ["regnskap@example.no"]\n', "")
    )
    ended = journey.run("destinations", "test", "epost")
    assert (ended.code, "postmottak check" in ended.output) == (1, True)
    listed = {
        each["name"]: each["test"] for each in journey.run("destinations", "list", "--json").json
    }
    assert listed == {"mappe": True, "epost": False, "webhook": True}
    assert journey.mail.mails == ()
    ended = journey.run("destinations", "test", "epsot")
    assert (ended.code, "epost, mappe, webhook" in ended.errors) == (1, True)


def _append(file: Path, text: str) -> None:
    with file.open("a", encoding="utf-8") as opened:
        opened.write(text)
