"""One letter at the simulated Altinn: what its overview and details say, and what each call leaves
behind.

Real tests of the same: CorrespondenceRetrievalTests.cs, CorrespondenceStatusTests.cs and
CorrespondenceDeletionTests.cs, all in Altinn.Correspondence.Tests/TestingController/Correspondence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from connectors.sandbox.altinn3.access import READ_SCOPE, WRITE_SCOPE
from connectors.sandbox.altinn3.server import FakeAltinn
from connectors.sandbox.letters import PretendAttachment, PretendLetter, Status

PARTY = "974761076"
RESOURCE = "eformidling-dpv-administrasjon"
BASE = "/correspondence/api/v1/correspondence"
UNKNOWN = "0198a1b2-3c4d-7e5f-8a9b-0c1d2e3f4a5b"
NOON = datetime(2026, 8, 11, 12, 0, 0, 418370, tzinfo=UTC)


@dataclass
class World:
    altinn: FakeAltinn
    client_id: str
    http: httpx.Client

    def publish(self, **more: Any) -> str:
        return self.altinn.publish(PretendLetter(party=PARTY, **more))

    def get(self, letter: str, part: str = "") -> httpx.Response:
        return self.http.get(f"{BASE}/{letter}{part}")

    def post(self, letter: str, what: str) -> httpx.Response:
        return self.http.post(f"{BASE}/{letter}/{what}")

    def purge(self, letter: str) -> httpx.Response:
        return self.http.delete(f"{BASE}/{letter}/purge")

    def happened(self, letter: str) -> tuple[str, ...]:
        """What has happened since the letter was published."""
        return self.altinn.statuses(letter)[3:]


@pytest.fixture
def world() -> Iterator[World]:
    with FakeAltinn() as altinn, httpx.Client(base_url=altinn.platform_url) as http:
        ready = altinn.ready_client()
        altinn.allow(ready.client_id, PARTY, [RESOURCE, "eformidling-dpv-taushetsbelagt"])
        http.headers["Authorization"] = f"Bearer {altinn.token(ready.client_id, PARTY)}"
        yield World(altinn, ready.client_id, http)


def code(response: httpx.Response) -> tuple[int, int]:
    return response.status_code, response.json()["errorCode"]


def test_the_overview_has_every_field(world: World) -> None:
    """All fields of the real overview are there, nulls written, with an eFormidling letter's
    values."""
    letter = world.publish(
        requested_at=NOON,
        published_at=NOON + timedelta(seconds=4),
        attachments=(PretendAttachment(content=b"abc"),),
    )
    response = world.get(letter)
    body = response.json()
    assert response.headers["cache-control"] == "no-store"
    assert body.keys() == {
        "recipient", "correspondenceId", "content", "created", "status", "statusText",
        "statusChanged", "notifications", "altinn2CorrespondenceId", "published", "read",
        "resourceId", "sender", "sendersReference", "messageSender", "requestedPublishTime",
        "dueDateTime", "externalReferences", "propertyList", "replyOptions", "notification",
        "ignoreReservation", "isConfirmationNeeded", "isConfidential", "allowForwarding",
    }  # fmt: skip  # one name a line would hide what is missing
    assert body["recipient"] == f"urn:altinn:organization:identifier-no:{PARTY}"
    assert body["sender"] == "urn:altinn:organization:identifier-no:991825827"
    assert body["propertyList"] == {"senderOrgNumber": "964965226"}
    assert (body["read"], body["notification"], body["altinn2CorrespondenceId"]) == (
        None,
        None,
        None,
    )
    assert [each["referenceType"] for each in body["externalReferences"]] == [
        "DialogportenDialogId"
    ]


def test_times_have_an_offset_and_no_zeros(world: World) -> None:
    """+00:00 and never Z; the fraction as short as it can be; a seventh digit where the server has
    ticks."""
    letter = world.publish(requested_at=NOON, published_at=NOON.replace(microsecond=0))
    body = world.get(letter).json()
    assert body["requestedPublishTime"] == "2026-08-11T12:00:00.41837+00:00"
    assert body["published"] == "2026-08-11T12:00:00+00:00"
    assert body["dueDateTime"] == "2026-08-18T12:00:00.41837+00:00"
    assert re.fullmatch(r".*\.[0-9]{7}\+00:00", body["created"])


def test_attachments_are_described_without_a_size(world: World) -> None:
    """Id, names, MD5, media type and state; null where the sender gave nothing."""
    known = PretendAttachment(name="Vedtak på blåbær.pdf", display_name="Vedtak", content=b"abc")
    odd = PretendAttachment(
        name="tegning.dwg",
        checksum=None,
        encrypted=True,
        expires_at=NOON,
        data_location_type="ExternalStorage",
    )
    first, second = world.get(world.publish(attachments=(known, odd))).json()["content"][
        "attachments"
    ]
    assert first.keys() == {
        "created", "dataLocationType", "status", "statusText", "statusChanged", "dataType",
        "expirationTime", "id", "fileName", "displayName", "isEncrypted", "checksum",
        "sendersReference", "expirationInDays",
    }  # fmt: skip  # one name a line would hide what is missing
    assert (first["fileName"], first["dataType"]) == ("Vedtak på blåbær.pdf", "application/pdf")
    assert first["checksum"] == "900150983cd24fb0d6963f7d28e17f72"
    assert (second["checksum"], second["displayName"], second["isEncrypted"]) == (None, None, True)
    assert (second["dataType"], second["dataLocationType"]) == (
        "binary_octet_stream",
        "ExternalStorage",
    )


def test_a_letter_may_say_what_nobody_foresaw(world: World) -> None:
    """Unknown statuses and fields, and times without a zone, can be put into any letter."""
    odd = {"status": "Teleported", "published": "2026-08-11T12:00:00.123", "newField": {"a": 1}}
    body = world.get(
        world.publish(
            overrides=odd, attachments=(PretendAttachment(overrides={"status": "Folded"}),)
        )
    ).json()
    assert (body["status"], body["published"], body["newField"]) == (
        "Teleported",
        "2026-08-11T12:00:00.123",
        {"a": 1},
    )
    assert body["content"]["attachments"][0]["status"] == "Folded"


@pytest.mark.parametrize(
    ("language", "heading"), [("nb", "Svarvalg:"), ("nn", "Svarval:"), ("en", "Reply options:")]
)
def test_many_reply_options_are_repeated_in_the_body(
    world: World, language: str, heading: str
) -> None:
    """More than three are appended to the overview's body; three are not, and details never do
    (GetCorrespondenceOverviewHandler.cs)."""
    replies = tuple((f"https://example.no/{number}", f"Svar {number}") for number in range(4))
    many, few = (
        world.publish(language=language, body="Hei", reply_options=replies),
        world.publish(body="Hei", reply_options=replies[:3]),
    )
    assert (
        world.get(many)
        .json()["content"]["messageBody"]
        .startswith(f"Hei\n\n{heading}\nSvar 0: https://example.no/0\n")
    )
    assert world.get(few).json()["content"]["messageBody"] == "Hei"
    assert world.get(many, "/details").json()["content"]["messageBody"] == "Hei"
    assert world.get(many).json()["replyOptions"][0] == {
        "linkURL": "https://example.no/0",
        "linkText": "Svar 0",
    }


def test_the_confidential_resource_makes_confidential_letters(world: World) -> None:
    """`isConfidential` follows the resource, and can be said of any letter."""
    assert (
        world.get(world.publish(resource="eformidling-dpv-taushetsbelagt")).json()["isConfidential"]
        is True
    )
    assert world.get(world.publish()).json()["isConfidential"] is False
    assert world.get(world.publish(confidential=True)).json()["isConfidential"] is True


def test_an_overview_fetches_and_does_not_read(world: World) -> None:
    """One Fetched row in 15 seconds, another after that; the status never says so, and Read stays
    away."""
    letter = world.publish()
    for _ in range(3):
        assert world.get(letter).json()["status"] == "Published"
    assert world.happened(letter) == ("Fetched",)
    world.altinn.clock.advance(timedelta(seconds=14))
    world.get(letter)
    assert world.happened(letter) == ("Fetched",)
    world.altinn.clock.advance(timedelta(seconds=2))
    world.get(letter)
    assert world.happened(letter) == ("Fetched", "Fetched")


def test_details_fetch_each_time_and_tell_the_history(world: World) -> None:
    """Each call leaves a row, and the history has them all by time
    (GetCorrespondenceDetailsHandler.cs)."""
    letter = world.publish()
    world.get(letter, "/details")
    body = world.get(letter, "/details").json()
    assert [row["status"] for row in body["statusHistory"]] == [
        "Initialized",
        "ReadyForPublish",
        "Published",
        "Fetched",
        "Fetched",
    ]
    assert body["systemLabel"] == "Default"
    assert body["notifications"][0]["notificationChannel"] == "EmailPreferred"


def test_listing_leaves_no_trace(world: World) -> None:
    """A letter that was only listed has nothing in its history."""
    letter = world.publish()
    world.http.get(BASE, params={"resourceId": RESOURCE, "role": "Recipient"})
    assert world.happened(letter) == ()


def test_content_marks_as_read(world: World) -> None:
    """The text costs a Read, the first time."""
    letter = world.publish(body="**Hei**")
    for _ in range(2):
        response = world.http.get(f"{BASE}/{letter}/content", headers={"Accept": "text/plain"})
        assert response.text == "**Hei**"
    assert world.happened(letter) == ("Fetched", "Read")


def test_reading_needs_fetching_and_happens_once(world: World) -> None:
    """1024 before Fetched, then the id, then 1040 (MarkCorrespondenceAsReadHandler.cs)."""
    letter = world.publish()
    assert code(world.post(letter, "markasread")) == (400, 1024)
    world.get(letter)
    assert world.post(letter, "markasread").json() == letter
    assert code(world.post(letter, "markasread")) == (400, 1040)
    body = world.get(letter).json()
    assert body["status"] == "Read"
    assert body["read"] is not None


def test_confirming_needs_fetching_and_comes_later(world: World) -> None:
    """1025 before Fetched; the row comes after four seconds with the time of the call; until then a
    second call is 200, then 1041."""
    letter = world.publish()
    assert code(world.post(letter, "confirm")) == (400, 1025)
    world.get(letter)
    asked = datetime.now(UTC)
    assert world.post(letter, "confirm").json() == letter
    assert world.get(letter).json()["status"] == "Published"
    assert world.post(letter, "confirm").status_code == 200
    assert "Confirmed" not in world.happened(letter)
    world.altinn.clock.advance(timedelta(seconds=4))
    assert world.happened(letter) == ("Fetched", "Confirmed")
    assert abs(world.altinn.history(letter)[-1].at - asked) < timedelta(seconds=2)
    assert code(world.post(letter, "confirm")) == (400, 1041)
    assert world.get(letter).json()["status"] == "Confirmed"


def test_a_confirmation_may_never_take(world: World) -> None:
    """The answer is 200 and no row ever comes (VerifyCorrespondenceConfirmationHandler.cs); asking
    again later is possible."""
    letter = world.publish()
    world.get(letter)
    world.altinn.letters.confirmations_take = False
    assert world.post(letter, "confirm").status_code == 200
    world.altinn.clock.advance(timedelta(minutes=10))
    assert "Confirmed" not in world.happened(letter)
    world.altinn.letters.confirmations_take = True
    assert world.post(letter, "confirm").status_code == 200
    world.altinn.clock.advance(timedelta(seconds=4))
    assert "Confirmed" in world.happened(letter)


def test_a_download_hides_what_comes_after(world: World) -> None:
    """Once something was downloaded, the status says so for ever; Read and Confirmed show in `read`
    and in the history only."""
    letter = world.publish(attachments=(PretendAttachment(content=b"abc"),))
    attachment = world.get(letter).json()["content"]["attachments"][0]["id"]
    world.get(letter, f"/attachment/{attachment}/download")
    world.post(letter, "markasread")
    body = world.get(letter).json()
    assert body["status"] == "AttachmentsDownloaded"
    assert body["read"] is not None
    assert world.happened(letter) == ("Fetched", "AttachmentsDownloaded", "Read")


def test_a_purged_letter_is_gone(world: World) -> None:
    """Overview, details, reading and purging again say so, and its attachments are purged with
    it."""
    letter = world.publish(attachments=(PretendAttachment(content=b"abc"),))
    attachment = world.get(letter).json()["content"]["attachments"][0]["id"]
    assert world.purge(letter).json() == letter
    assert code(world.get(letter)) == (404, 1001)
    assert code(world.get(letter, "/details")) == (404, 1001)
    assert code(world.post(letter, "markasread")) == (404, 1001)
    assert code(world.purge(letter)) == (400, 1014)
    assert code(world.get(letter, f"/attachment/{attachment}/download")) == (400, 2019)


def test_some_letters_cannot_be_purged(world: World) -> None:
    """Not before a confirmation that is needed, and never a transmission, which is said before
    access is looked at."""
    needs = world.publish(confirmation_needed=True)
    assert code(world.purge(needs)) == (400, 1026)
    world.get(needs)
    world.post(needs, "confirm")
    world.altinn.clock.advance(timedelta(seconds=4))
    assert world.purge(needs).status_code == 200
    transmission = world.publish(
        resource="not-mine", external_references=(("DialogportenTransmissionId", UNKNOWN),)
    )
    assert code(world.purge(transmission)) == (400, 1043)


def test_existence_comes_before_access(world: World) -> None:
    """An unknown id is 404; a known one without the right is 401, on every endpoint."""
    foreign = world.publish(resource="not-mine")
    calls = [
        ("GET", ""),
        ("GET", "/details"),
        ("GET", "/content"),
        ("POST", "/markasread"),
        ("POST", "/confirm"),
        ("DELETE", "/purge"),
    ]
    for method, path in calls:
        assert code(world.http.request(method, f"{BASE}/{UNKNOWN}{path}")) == (404, 1001)
        assert code(world.http.request(method, f"{BASE}/{foreign}{path}")) == (401, 4001)
    problem = world.get(foreign)
    assert problem.headers["content-type"] == "application/problem+json"
    assert problem.json()["detail"].startswith("You must use an Altinn token")
    assert problem.json()["type"].endswith("rfc9110#section-15.5.2")
    assert world.happened(foreign) == ()


def test_a_bad_id_is_a_validation_problem(world: World) -> None:
    """No GUID is 400 with STD-00000."""
    body = world.get("abc").json()
    assert body["code"] == "STD-00000"
    assert body["errors"] == {"correspondenceId": ["The value 'abc' is not valid."]}


def test_unpublished_letters_are_not_to_be_had(world: World) -> None:
    """Failed and future letters are 404; one whose time has passed is published while the recipient
    waits, if it has its dialog."""
    later = datetime.now(UTC) + timedelta(days=1)
    assert code(world.get(world.publish(status=Status.Failed))) == (404, 1001)
    assert code(world.get(world.publish(status=Status.ReadyForPublish, requested_at=later))) == (
        404,
        1001,
    )
    assert code(
        world.get(
            world.publish(status=Status.ReadyForPublish, requested_at=NOON, external_references=())
        )
    ) == (404, 1001)
    overdue = world.publish(status=Status.ReadyForPublish, requested_at=NOON)
    assert code(world.get(overdue, "/details")) == (404, 1001)
    assert world.get(overdue).json()["status"] == "Published"


def test_a_token_that_may_write_leaves_no_fetched(world: World) -> None:
    """With the write scope the caller counts as a sender (ClaimsPrincipalExtensions.cs), so reading
    is refused afterwards."""
    letter = world.publish()
    altinn = world.altinn
    both = altinn.token(world.client_id, PARTY, scopes=(READ_SCOPE, WRITE_SCOPE))
    world.http.headers["Authorization"] = f"Bearer {both}"
    assert world.get(letter).status_code == 200
    assert world.get(letter, "/details").status_code == 200
    assert world.happened(letter) == ()
    assert code(world.post(letter, "markasread")) == (400, 1024)


def test_two_letters_cannot_have_one_id(world: World) -> None:
    """A test that publishes an id twice is told so."""
    world.publish(id=UNKNOWN)
    with pytest.raises(ValueError, match="exists already"):
        world.publish(id=UNKNOWN)
