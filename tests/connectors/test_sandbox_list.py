"""The list, which is not a mailbox cursor: strict bounds, newest first, cut at a thousand, ids
only.

Real tests of the same:
Altinn.Correspondence.Tests/TestingController/Correspondence/CorrespondenceSearchTests.cs.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from connectors.sandbox.altinn3.server import FakeAltinn
from connectors.sandbox.letters import PretendLetter, Status

PARTY = "974761076"
OTHER_PARTY = "964965226"
RESOURCE = "eformidling-dpv-administrasjon"
BASE = "/correspondence/api/v1/correspondence"
NOON = datetime(2026, 8, 11, 12, tzinfo=UTC)


@dataclass
class World:
    altinn: FakeAltinn
    client_id: str
    http: httpx.Client

    def publish(self, requested: datetime = NOON, **more: Any) -> str:
        return self.altinn.publish(PretendLetter(party=PARTY, requested_at=requested, **more))

    def ask(self, **query: str) -> httpx.Response:
        return self.http.get(BASE, params={"resourceId": RESOURCE, "role": "Recipient"} | query)

    def ids(self, **query: str) -> list[str]:
        response = self.ask(**query)
        assert response.status_code == 200, response.text
        assert response.json().keys() == {"ids"}
        found: list[str] = response.json()["ids"]
        return found


@pytest.fixture
def world() -> Iterator[World]:
    with FakeAltinn() as altinn, httpx.Client(base_url=altinn.platform_url) as http:
        ready = altinn.ready_client()
        altinn.allow(ready.client_id, PARTY, [RESOURCE])
        http.headers["Authorization"] = f"Bearer {altinn.token(ready.client_id, PARTY)}"
        yield World(altinn, ready.client_id, http)


def test_an_empty_list_is_a_list(world: World) -> None:
    """No letters is 200 with no ids."""
    assert world.ask().json() == {"ids": []}


def test_newest_requested_time_comes_first(world: World) -> None:
    """The order is that of the requested publish time, whatever the order of publishing."""
    times = [NOON, NOON + timedelta(hours=2), NOON - timedelta(days=3), NOON + timedelta(hours=1)]
    ids = [world.publish(each) for each in times]
    assert world.ids() == [ids[1], ids[3], ids[0], ids[2]]


def test_both_bounds_are_exclusive(world: World) -> None:
    """A letter at exactly `from` or `to` is not in the list
    (PER/Repositories/CorrespondenceRepository.cs)."""
    before, at, after = (world.publish(NOON + timedelta(microseconds=step)) for step in (-1, 0, 1))
    assert world.ids(**{"from": NOON.isoformat()}) == [after]
    assert world.ids(to=NOON.isoformat()) == [before]
    assert world.ids(**{"from": NOON.isoformat(), "to": NOON.isoformat()}) == []
    wide = {
        "from": (NOON - timedelta(microseconds=1)).isoformat(),
        "to": (NOON + timedelta(microseconds=1)).isoformat(),
    }
    assert world.ids(**wide) == [at]


def test_more_than_a_thousand_are_cut_without_a_word(world: World) -> None:
    """The newest thousand come and nothing says that there are more."""
    ids = [world.publish(NOON - timedelta(seconds=step)) for step in range(1005)]
    assert world.ids() == ids[:1000]
    assert len(world.ids(to=(NOON - timedelta(seconds=999)).isoformat())) == 5


def test_a_thousand_with_one_time_cannot_be_told_apart_by_time(world: World) -> None:
    """No window of time finds more than a thousand of them; their references do."""
    for number in range(1003):
        world.publish(NOON, senders_reference=f"reference {number}")
    window = {
        "from": (NOON - timedelta(microseconds=1)).isoformat(),
        "to": (NOON + timedelta(microseconds=1)).isoformat(),
    }
    found = set(world.ids(**window))
    assert len(found) == 1000
    assert all(
        len(world.ids(sendersReference=f"reference {number}")) == 1
        for number in range(0, 1003, 100)
    )


def test_bounds_may_be_in_any_zone(world: World) -> None:
    """Offsets, Z, and no zone at all, which counts as UTC, are understood; a plus sign that was not
    encoded is not."""
    letter = world.publish(NOON + timedelta(seconds=1))
    for text in (
        "2026-08-11T14:00:00+02:00",
        "2026-08-11T12:00:00Z",
        "2026-08-11T12:00:00",
        "2026-08-11T12:00:00.1234567+00:00",
    ):
        assert world.ids(**{"from": text}) == [letter]
    unencoded = world.http.get(
        f"{BASE}?resourceId={RESOURCE}&role=Recipient&from=2026-08-11T12:00:00+00:00"
    )
    assert unencoded.status_code == 400


def test_from_may_not_be_later_than_to(world: World) -> None:
    """1027, as a problem document."""
    problem = world.ask(**{"from": "2026-08-12", "to": "2026-08-11"})
    assert problem.headers["content-type"] == "application/problem+json"
    assert (problem.status_code, problem.json()["errorCode"], problem.json()["code"]) == (
        400,
        1027,
        "CORR-01027",
    )


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("", {"resourceId", "role"}),
        (f"resourceId={RESOURCE}", {"role"}),
        (f"resourceId={RESOURCE}&role=Reader", {"role"}),
        (f"resourceId={RESOURCE}&role=Recipient&from=yesterday&to=2026-13-01", {"from", "to"}),
        (f"resourceId={RESOURCE}&role=Recipient&status=Unread", {"status"}),
        (
            f"resourceId={RESOURCE}&role=Recipient&idempotentKey=1&altinn2CorrespondenceId=x",
            {"idempotentKey", "altinn2CorrespondenceId"},
        ),
        (f"resourceId={RESOURCE}&role=Recipient&onBehalfOf={PARTY}", {"onBehalfOf"}),
        (f"resourceId={RESOURCE}&role=Recipient&onBehalfOf=0192:12345678", {"onBehalfOf"}),
        (f"resourceId={RESOURCE}&role=Recipient&onBehalfOf=12345678901", {"onBehalfOf"}),
        (f"resourceId={RESOURCE}&role=Recipient&onBehalfOf=", {"onBehalfOf"}),
    ],
)
def test_wrong_parameters_are_a_validation_problem(
    world: World, query: str, wrong: set[str]
) -> None:
    """STD-00000 names each parameter twice, in the new way and in the old, where sound ones have an
    empty array."""
    response = world.http.get(f"{BASE}?{query}")
    body = response.json()
    assert (response.status_code, body["code"], body["title"]) == (400, "STD-00000", "Bad Request")
    assert {path for error in body["validationErrors"] for path in error["paths"]} == wrong
    assert {name for name, texts in body["errors"].items() if texts} == wrong


def test_on_behalf_of_is_the_token_s_organisation_by_default(world: World) -> None:
    """It may be given in two forms; another organisation has no access."""
    letter = world.publish()
    for party in (f"0192:{PARTY}", f"urn:altinn:organization:identifier-no:{PARTY}"):
        assert world.ids(onBehalfOf=party) == [letter]
    assert world.ask(onBehalfOf=f"0192:{OTHER_PARTY}").json()["errorCode"] == 4001


def test_no_access_is_401_whether_or_not_the_resource_exists(world: World) -> None:
    """4001 for an unknown resource, for one of somebody else's, and after a right was taken
    away."""
    world.altinn.publish(PretendLetter(party=PARTY, resource="not-mine"))
    for resource in ("not-mine", "unknown"):
        response = world.ask(resourceId=resource)
        assert (response.status_code, response.json()["errorCode"]) == (401, 4001)
    assert world.ids() == []
    world.altinn.revoke(world.client_id, PARTY, [RESOURCE])
    assert world.ask().json()["errorCode"] == 4001


def test_status_means_has_ever_been(world: World) -> None:
    """PER/Helpers/QueryableExtensions.cs: read letters are Published still, and Fetched finds
    nothing."""
    read, fetched = world.publish(), world.publish()
    for letter in (read, fetched):
        world.http.get(f"{BASE}/{letter}")
    world.http.post(f"{BASE}/{read}/markasread")
    assert set(world.ids(status="Published")) == {read, fetched}
    assert world.ids(status="Read") == [read]
    assert world.ids(status="Fetched") == []
    assert world.ids(status="Initialized") == []


def test_unpublished_and_failed_letters_are_not_listed(world: World) -> None:
    """They are there once they are published, with the time that was asked for."""
    waiting = world.publish(NOON - timedelta(days=3), status=Status.ReadyForPublish)
    failed = world.publish(status=Status.Failed)
    newest = world.publish()
    assert world.ids() == [newest]
    world.altinn.complete(waiting)
    assert world.ids() == [newest, waiting]
    assert failed not in world.ids(status="Failed")


def test_purged_letters_stay_in_the_list(world: World) -> None:
    """They are listed, and cannot be had; one that failed its scan is listed no more."""
    purged, withdrawn, infected = world.publish(), world.publish(), world.publish()
    world.http.delete(f"{BASE}/{purged}/purge")
    world.altinn.withdraw(withdrawn)
    world.altinn.withdraw(infected, Status.Failed)
    assert set(world.ids()) == {purged, withdrawn}
    assert [
        world.http.get(f"{BASE}/{each}").json()["errorCode"]
        for each in (purged, withdrawn, infected)
    ] == [1001] * 3
    assert world.ids(status="PurgedByRecipient") == [purged]


def test_keys_look_up_single_letters(world: World) -> None:
    """A migrated letter is found by its old id whatever the window, and a letter by its idempotent
    key whatever the rest."""
    key = "0b6c0a5e-3f0f-4f6e-9c39-2f4f3f7f5a11"
    migrated = world.publish(NOON - timedelta(days=4000), altinn2_id=4711)
    keyed = world.publish(idempotent_key=key)
    window = {"from": NOON.isoformat()}
    assert world.ids(altinn2CorrespondenceId="4711", **window) == [migrated]
    assert world.ids(altinn2CorrespondenceId="4712") == []
    assert world.ids(idempotentKey=key.upper(), status="Read") == [keyed]
    assert world.ids(idempotentKey=migrated) == []


def test_other_roles(world: World) -> None:
    """Who is a recipient only finds nothing as a sender."""
    letter = world.publish()
    assert world.ids(role="Sender") == []
    assert world.ids(role="RecipientAndSender") == [letter]


def test_ten_thousand_letters_are_no_burden(world: World) -> None:
    """Publishing ten thousand and listing among them stays quick enough for tests that do nothing
    else."""
    begin = time.perf_counter()
    for step in range(10_000):
        world.publish(NOON - timedelta(seconds=step))
    for _ in range(20):
        assert len(world.ids()) == 1000
    assert time.perf_counter() - begin < 10
