"""One poll, from Altinn to a folder, an e-mail and a webhook."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import jsonschema

from connectors.sandbox.letters import PretendAttachment, PretendLetter
from connectors.sandbox.samples import HOSTILE_NAMES, sandbox_resource
from daemon.core.dpv import DPV_SERVICES
from tests.journeys.conftest import Begin, Journey

SCHEMA = Path(__file__).parents[2] / "docs" / "message.schema.json"


def test_all_ten_services_arrive_once(journey: Journey) -> None:
    """Every letter of every service becomes one folder whose checksums verify, and a second poll
    does nothing."""
    letters = journey.publish(13)
    first = journey.poll()
    assert first.code == 0, first.errors
    numbers = first.json
    assert (numbers["listed"], numbers["fetched"], numbers["stored"]) == (13, 12, 12)
    assert (numbers["deferred"], numbers["dead"], numbers["errors"]) == (0, 0, 0)
    assert journey.dropped_ids() == sorted(letters)
    assert numbers["delivered"] == len(letters) + len(journey.mail.mails) + len(
        journey.webhook.taken
    )
    for drop in journey.drops():
        subprocess.run(
            ["sha256sum", "--check", "--quiet", "--strict", "SHA256SUMS"], cwd=drop, check=True
        )
    services = {
        json.loads((drop / "message.json").read_text())["service"]["code"]
        for drop in journey.drops()
    }
    assert services == {service.code for service in DPV_SERVICES}

    overviews = journey.altinn.count("overview", "download")
    second = journey.poll()
    assert second.code == 0
    assert (second.json["fetched"], second.json["stored"], second.json["delivered"]) == (0, 0, 0)
    assert journey.altinn.count("overview", "download") == overviews


def test_the_table_decides_who_is_mailed_and_called(journey: Journey) -> None:
    """Mail and webhook get the letters that the routing table gives them, and no others."""
    journey.publish(13)
    assert journey.poll().code == 0
    assert sorted(mail.message["X-Postmottak-Service"] for mail in journey.mail.mails) == [
        "4255/10",
        "4255/8",
    ]
    assert sorted(hook.json["data"]["service"]["code"] for hook in journey.webhook.taken) == [
        "4255/1",
        "4255/1",
        "4255/5",
    ]
    assert all(hook.json["data"]["delivery"]["id"] == hook.id for hook in journey.webhook.taken)


def test_message_json_keeps_its_schema_and_both_senders(journey: Journey) -> None:
    """message.json validates against the published schema, and names the real sender and the
    technical one."""
    journey.publish(13)
    journey.poll()
    schema = json.loads(SCHEMA.read_text())
    documents = [json.loads((drop / "message.json").read_text()) for drop in journey.drops()]
    for document in documents:
        jsonschema.validate(document, schema, cls=jsonschema.Draft202012Validator)
    tax = next(document for document in documents if document["service"]["code"] == "4255/8")
    assert tax["sender"] == {
        "organisation": "974761076",
        "name": "Skatteetaten",
        "technical_organisation": "991825827",
    }


def test_no_file_leaves_its_folder(journey: Journey) -> None:
    """Whatever a sender names an attachment, the file lies in its letter's folder, and the name as
    sent is in message.json."""
    attachments = tuple(
        PretendAttachment(name=name, content=name.encode()) for name in HOSTILE_NAMES
    )
    journey.altinn.publish(PretendLetter(party=journey.scene.party, attachments=attachments))
    outside = set(_outside(journey))
    assert journey.poll().code == 0
    (drop,) = journey.drops()
    document = json.loads((drop / "message.json").read_text())
    assert [file["original_name"] for file in document["files"]] == list(HOSTILE_NAMES)
    names = {"body.md", "message.json", "SHA256SUMS"} | {file["name"] for file in document["files"]}
    assert {entry.name for entry in drop.iterdir()} == names
    assert [(drop / file["name"]).read_bytes().decode() for file in document["files"]] == list(
        HOSTILE_NAMES
    )
    assert set(_outside(journey)) == outside


def _outside(journey: Journey) -> Iterator[Path]:
    return (
        path
        for path in journey.scene.folder.parent.rglob("*")
        if journey.scene.folder not in path.parents
    )


def test_confidential_post_is_only_listed(journey: Journey) -> None:
    """A confidential letter is noticed and left alone: no overview, no download, no folder; status
    says that it waits."""
    confidential = PretendLetter(
        party=journey.scene.party,
        resource=sandbox_resource("5504/1"),
        attachments=(PretendAttachment(),),
    )
    letter = journey.altinn.publish(confidential)
    polled = journey.poll()
    assert (polled.code, polled.json["waiting"], polled.json["stored"]) == (0, 1, 0)
    assert journey.altinn.statuses(letter)[-1] == "Published"
    assert journey.altinn.count("overview", "details", "download") == 0
    assert journey.drops() == []
    waiting = journey.run("status", "--json").json["waiting"]
    assert [(each["service"], each["id"]) for each in waiting] == [("5504/1", letter)]


def test_read_only_by_policy(begun: Callable[..., Begin]) -> None:
    """With mark_read = "never" no letter is Read or Confirmed; fetching is not reading."""
    with begun() as journey:
        letters = journey.publish(13)
        journey.poll()
        assert all(
            {"Read", "Confirmed"}.isdisjoint(journey.altinn.statuses(letter)) for letter in letters
        )
        assert journey.altinn.count("markasread", "confirm", "content", "purge") == 0


def test_read_when_stored(begun: Callable[..., Begin]) -> None:
    """With mark_read = "stored" a letter is Read although a destination does not take it, for it is
    safe here."""
    with begun(mailbox='mark_read = "stored"\n') as journey:
        letters = journey.publish(13)
        journey.webhook.go_down()
        assert journey.poll().code == 3
        assert all(journey.altinn.statuses(letter).count("Read") == 1 for letter in letters)


def test_read_when_delivered(begun: Callable[..., Begin]) -> None:
    """With mark_read = "delivered" a letter is Read once all its deliveries are, and not before."""
    with begun(mailbox='mark_read = "delivered"\n') as journey:
        letters = journey.publish(13)
        journey.webhook.go_down()
        assert journey.poll().code == 3
        documents = [json.loads((drop / "message.json").read_text()) for drop in journey.drops()]
        undelivered = {
            each["source"]["id"]
            for each in documents
            if each["service"]["code"] in {"4255/1", "4255/5"}
        }
        assert {
            letter for letter in letters if "Read" not in journey.altinn.statuses(letter)
        } == undelivered
        journey.webhook.come_up()
        waiting = journey.run("deliveries", "list", "--state", "pending", "--json").json
        journey.run("deliveries", "retry", *[delivery["id"] for delivery in waiting])
        assert journey.poll().code == 0
        assert all(journey.altinn.statuses(letter).count("Read") == 1 for letter in letters)


def test_nothing_to_reach(journey: Journey) -> None:
    """Where Altinn cannot be reached, poll says so and ends with exit code 4, without a
    traceback."""
    with journey.altinn.outage():
        polled = journey.poll()
    assert polled.code == 4
    assert polled.json["errors"] > 0
    assert "Traceback" not in polled.errors
