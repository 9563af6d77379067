"""The pull API: a program that knows of a letter fetches it, and says that it has it."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import httpx
import pytest

from benchmarks.loopback import free_port
from connectors.sandbox.letters import PretendAttachment, PretendLetter
from tests.journeys.conftest import Journey

TOKEN = "a token of some length"
CONTENT = bytes(range(256)) * 40


@pytest.fixture
def api(journey: Journey) -> Iterator[httpx.Client]:
    """A client of a running service's pull API, with one letter delivered."""
    port = free_port()
    (journey.scene.folder / "api.token").write_text(TOKEN + "\n")
    with journey.scene.configuration.open("a") as configuration:
        configuration.write(f'\n[api]\ntoken_file = "api.token"\nport = {port}\n')
    journey.altinn.publish(
        PretendLetter(
            party=journey.scene.party,
            attachments=(PretendAttachment(name="Brev.pdf", content=CONTENT),),
        )
    )
    process = journey.start("run")
    try:
        assert journey.altinn.wait_for(lambda: len(journey.whole_drops()) == 1, timeout=60)
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}/api/v1",
            headers={"Authorization": f"Bearer {TOKEN}"},
        ) as client:
            assert journey.altinn.wait_for(lambda: _answers(client), timeout=60)
            yield client
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 0


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/messages/none").status_code == 404
    except httpx.TransportError:
        return False


def _message(journey: Journey) -> str:
    return str(journey.run("messages", "list", "--json").json[0]["id"])


def test_a_letter_and_its_attachments(journey: Journey, api: httpx.Client) -> None:
    """The letter, its text and its attachments are there, whole and in ranges, under the names that
    a webhook tells."""
    letter = api.get(f"/messages/{_message(journey)}").json()
    (attachment,) = letter["files"]
    assert (attachment["original_name"], attachment["size"]) == ("Brev.pdf", len(CONTENT))
    assert "Se vedlagt vedtak" in api.get(f"/messages/{letter['id']}/body").text
    for which in ("1", attachment["name"]):
        assert api.get(f"/messages/{letter['id']}/attachments/{which}").content == CONTENT
    part = api.get(f"/messages/{letter['id']}/attachments/1", headers={"Range": "bytes=256-511"})
    assert (part.status_code, part.content) == (206, CONTENT[256:512])
    assert api.get(f"/messages/{letter['id']}/attachments/2").status_code == 404


def test_taken(journey: Journey, api: httpx.Client) -> None:
    """An acknowledgement counts as taken, and once; what is not delivered cannot be taken."""
    (delivery,) = journey.run("deliveries", "list", "--json").json
    assert [api.post(f"/deliveries/{delivery['id']}/ack").status_code for _ in range(2)] == [
        204,
        204,
    ]
    (taken,) = journey.run("deliveries", "list", "--json").json
    assert taken["taken_at"]
    assert api.post("/deliveries/00000000-0000-0000-0000-000000000001/ack").status_code == 404


def test_rejected(journey: Journey, api: httpx.Client) -> None:
    """A rejection is kept with its reason, and the operator sees it."""
    (delivery,) = journey.run("deliveries", "list", "--json").json
    assert (
        api.post(
            f"/deliveries/{delivery['id']}/reject", json={"reason": "ukjent kunde"}
        ).status_code
        == 204
    )
    assert "ukjent kunde" in journey.run("deliveries", "show", delivery["id"]).output
    assert api.post(f"/deliveries/{delivery['id']}/reject", content=b"[").status_code == 400


def test_only_with_the_token(journey: Journey, api: httpx.Client) -> None:
    """Without the token, or with another one, nothing is told: neither the letter nor whether it
    exists."""
    address = f"/messages/{_message(journey)}"
    for headers in (
        {"Authorization": ""},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {TOKEN}"},
    ):
        refused = api.get(address, headers=headers)
        assert (refused.status_code, refused.json()["title"]) == (401, "Unauthorized")
        assert set(refused.json()) == {"type", "title", "status", "detail"}
