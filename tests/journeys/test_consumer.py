"""The ERP vendor's consumer, docs/examples/consumer.py, against a service that runs: drop, webhook
and API. It is run by Python alone, without any library."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from benchmarks.loopback import free_port
from connectors.sandbox.samples import letters as sample_letters
from tests.journeys.conftest import Journey
from tests.processes.warm import ROOT

CONSUMER = ROOT / "docs" / "examples" / "consumer.py"
SCHEMA = json.loads((ROOT / "docs" / "message.schema.json").read_text(encoding="utf-8"))
TOKEN = "a token of some length"


@dataclass(frozen=True, kw_only=True)
class Vendor:
    """A running service with an API, and the vendor's programs around it."""

    journey: Journey
    api: str

    def command(self, *arguments: object) -> list[str]:
        return [sys.executable, "-I", "-S", str(CONSUMER), *map(str, arguments)]

    def run(self, *arguments: object) -> None:
        """Run the consumer once."""
        ended = subprocess.run(
            self.command(*arguments), capture_output=True, text=True, timeout=60, check=False
        )
        assert (ended.returncode, ended.stderr) == (0, "")

    def place(self, name: str) -> Path:
        return self.journey.scene.folder / name

    def take_from_api(self, destination: str, inbox: str) -> None:
        self.run("api", self.api, self.place("api.token"), destination, self.place(inbox))

    def inbox(self, name: str) -> dict[str, dict[str, bytes]]:
        """What the consumer has: by delivery, the files and their bytes."""
        folder = self.place(name)
        return {
            letter.name: {file.name: file.read_bytes() for file in letter.iterdir()}
            for letter in (folder.iterdir() if folder.exists() else ())
            if not letter.name.startswith(".")
        }

    def deliveries(self, destination: str) -> dict[str, Any]:
        listed = self.journey.run("deliveries", "list", "--json", "--limit", "1000").json
        return {each["id"]: each for each in listed if each["destination"] == destination}

    def ask(self, path: str, **query: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        return httpx.get(f"{self.api}{path}", params=query, headers=headers)


@contextmanager
def process(begun: subprocess.Popen[Any], sign: signal.Signals) -> Iterator[None]:
    try:
        yield
    finally:
        begun.send_signal(sign)
        begun.communicate(timeout=30)


@pytest.fixture
def vendor(journey: Journey) -> Iterator[Vendor]:
    """The vendor's webhook consumer and the service are running; 13 letters are published."""
    hook, api = free_port(), free_port()
    scene = journey.scene
    (scene.folder / "api.token").write_text(f"{TOKEN}\n")
    text = scene.configuration.read_text()
    ours = (
        f'url = "http://127.0.0.1:{hook}/"\npayload = "with-links"\n'
        f'link_base = "http://127.0.0.1:{api}"'
    )
    text = text.replace(f'url = "{scene.webhook_url}"', ours)
    scene.configuration.write_text(
        f'{text}\n[api]\ntoken_file = "api.token"\nport = {api}\n', encoding="utf-8"
    )
    found = Vendor(journey=journey, api=f"http://127.0.0.1:{api}/api/v1")
    files = [scene.folder / name for name in ("webhook.secret", "api.token", "by-webhook")]
    receiver = subprocess.Popen(found.command("webhook", hook, *files), stderr=subprocess.PIPE)
    with process(receiver, signal.SIGTERM):
        for letter in sample_letters(13, party=scene.party, now=datetime.now(UTC)):
            journey.altinn.publish(letter)
        with process(journey.start("run"), signal.SIGTERM):
            assert journey.altinn.wait_for(lambda: _all_delivered(found), timeout=90)
            yield found


def _all_delivered(vendor: Vendor) -> bool:
    if len(vendor.journey.whole_drops()) < 12:
        return False
    ended = vendor.journey.run("deliveries", "list", "--json", "--limit", "1000")
    return ended.code == 0 and all(each["state"] == "delivered" for each in ended.json)


def whole(kept: dict[str, dict[str, bytes]], deliveries: dict[str, Any]) -> bool:
    """Whether every delivery was taken, with a valid letter and every file that it lists."""
    for files in kept.values():
        letter = json.loads(files["message.json"])
        jsonschema.validate(letter, SCHEMA)
        listed = {each["name"] for each in letter["files"] if each["sha256"]}
        assert {"message.json", letter["body"]["name"], *listed} <= set(files)
    return set(kept) == set(deliveries)


def test_the_vendors_consumer(vendor: Vendor) -> None:
    """The same small program takes every letter whole from a drop, by webhook and from the API;
    what it takes is valid by one schema and the same by every way, and a second run finds nothing.
    """
    journey, at_drop = vendor.journey, vendor.deliveries("mappe")
    for folder in journey.whole_drops():
        text = (folder / "message.json").read_bytes()
        letter = json.loads(text)
        assert vendor.ask(f"/messages/{letter['id']}", destination="mappe").content == text
    vendor.run("drop", journey.scene.drop, vendor.place("from-drop"))
    from_drop = vendor.inbox("from-drop")
    assert whole(from_drop, at_drop)
    assert journey.whole_drops() == []

    at_webhook = vendor.deliveries("webhook")
    assert at_webhook
    assert whole(vendor.inbox("by-webhook"), at_webhook)

    for destination, deliveries in (("webhook", at_webhook), ("mappe", at_drop)):
        vendor.take_from_api(destination, f"api-{destination}")
        assert whole(vendor.inbox(f"api-{destination}"), deliveries)
        assert all(each["taken_at"] for each in vendor.deliveries(destination).values())
        assert vendor.ask("/deliveries", destination=destination).json() == {
            "letters": [],
            "next_cursor": None,
        }
    assert vendor.inbox("api-webhook") == vendor.inbox("by-webhook")
    without_sums = {
        letter: {name: data for name, data in files.items() if name != "SHA256SUMS"}
        for letter, files in from_drop.items()
    }
    assert vendor.inbox("api-mappe") == without_sums
    vendor.take_from_api("webhook", "again")
    assert vendor.inbox("again") == {}


def test_a_forged_webhook_is_refused(vendor: Vendor) -> None:
    """A call that Postmottak has not signed is answered with 401 and leaves nothing behind."""
    text = vendor.journey.scene.configuration.read_text()
    url = text.split('type = "webhook"\nurl = "')[1].split('"')[0]
    before = vendor.inbox("by-webhook")
    for headers in ({}, {"webhook-id": "x", "webhook-timestamp": "0", "webhook-signature": "v1,x"}):
        assert httpx.post(url, content=b"{}", headers=headers).status_code == 401
    assert vendor.inbox("by-webhook") == before
