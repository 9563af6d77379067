"""The simulated Dialogporten has the awkward sides of the real one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from connectors.sandbox.altinn3.access import READ_SCOPE
from connectors.sandbox.altinn3.server import FakeAltinn
from connectors.sandbox.dialogs import (
    EXPIRED,
    UNAUTHORIZED,
    DialogFile,
    PretendAddress,
    PretendDialog,
    PretendTransmission,
)
from connectors.sandbox.letters import PretendLetter, urn
from tests.connectors.dialog_world import HOUSE, NAV, OTHER, PARTY, DialogWorld

ORDER = "contentUpdatedAt_asc,id_asc"
POST = "eformidling-dpv-administrasjon"


@pytest.fixture
def altinn() -> Iterator[FakeAltinn]:
    with FakeAltinn() as running:
        yield running


@pytest.fixture
def world(altinn: FakeAltinn) -> DialogWorld:
    client = altinn.ready_client()
    altinn.allow(client.client_id, PARTY, [NAV, POST])
    return DialogWorld(altinn, client.client_id)


def test_only_opening_a_dialog_leaves_a_trace(altinn: FakeAltinn, world: DialogWorld) -> None:
    """Searches, lookups and lists of transmissions are neutral; GET of a dialog is not."""
    dialog = altinn.dialogs.add(PretendDialog(party=PARTY, transmissions=(PretendTransmission(),)))
    assert world.ids() == [dialog]
    assert len(world.get(f"enduser/dialogs/{dialog}/transmissions").json()) == 1
    assert world.get(
        "enduser/dialoglookup", instanceRef=f"urn:altinn:dialog-id:{dialog}"
    ).is_success
    assert not altinn.dialogs.seen_log()
    assert not world.search()["items"][0]["isContentSeen"]
    for _ in range(2):
        assert world.get(f"enduser/dialogs/{dialog}").json()["dialogToken"]
    assert len(altinn.dialogs.seen_log()) == 1  # once for each user and revision
    assert world.search()["items"][0]["isContentSeen"]


def test_a_search_goes_by_pages(altinn: FakeAltinn, world: DialogWorld) -> None:
    """Pages continue by a token that also comes with the last page, and is echoed by an empty one;
    nothing is left out and nothing comes twice, in whichever order."""
    wanted = [altinn.dialogs.add(PretendDialog(party=PARTY)) for _ in range(25)]
    for order in (ORDER, "contentUpdatedAt_desc", "contentUpdatedAt_asc"):
        found: list[str] = []
        page = world.search(orderBy=order, limit="10")
        found += [each["id"] for each in page["items"]]
        while page["hasNextPage"]:
            token = page["continuationToken"]
            page = world.search(orderBy=order, limit="10", continuationToken=token)
            found += [each["id"] for each in page["items"]]
        assert sorted(found) == sorted(wanted)
        after = world.search(orderBy=order, continuationToken=page["continuationToken"])
        assert (after["items"], after["continuationToken"]) == ([], page["continuationToken"])


def test_both_ends_of_a_period_are_included(altinn: FakeAltinn, world: DialogWorld) -> None:
    """A dialog is found by exactly its own time."""
    at = datetime(2026, 11, 20, 8, tzinfo=UTC)
    dialog = altinn.dialogs.add(PretendDialog(party=PARTY, created_at=at))
    assert world.ids(contentUpdatedAfter=at.isoformat()) == [dialog]
    assert world.ids(contentUpdatedBefore=at.isoformat()) == [dialog]
    assert not world.ids(contentUpdatedAfter=(at + timedelta(microseconds=1)).isoformat())


def test_some_changes_come_up_behind_a_cursor(altinn: FakeAltinn, world: DialogWorld) -> None:
    """A silent update moves no time, and a restored dialog has its old ones."""
    dialog = altinn.dialogs.add(PretendDialog(party=PARTY))
    first = world.search()["items"][0]["contentUpdatedAt"]
    altinn.dialogs.add_transmission(dialog, PretendTransmission(), silent=True)
    assert world.search()["items"][0]["contentUpdatedAt"] == first
    altinn.dialogs.delete(dialog)
    assert not world.ids()
    assert world.get(f"enduser/dialogs/{dialog}").status_code == 410
    altinn.dialogs.restore(dialog)
    assert world.search()["items"][0]["contentUpdatedAt"] == first
    altinn.dialogs.touch(dialog)
    assert world.search()["items"][0]["contentUpdatedAt"] > first


def test_what_is_not_there_yet_or_no_longer_is_not_listed(
    altinn: FakeAltinn, world: DialogWorld
) -> None:
    """A dialog that is not visible yet says when; then it has that time. One may also run out."""
    now = altinn.clock.now()
    later = altinn.dialogs.add(PretendDialog(party=PARTY, visible_from=now + timedelta(hours=1)))
    gone = altinn.dialogs.add(PretendDialog(party=PARTY, expires_at=now - timedelta(hours=1)))
    assert not world.ids()
    answer = world.get(f"enduser/dialogs/{later}")
    assert (answer.status_code, "expires" in answer.headers) == (404, True)
    assert world.get(f"enduser/dialogs/{gone}").status_code == 404
    altinn.clock.advance(timedelta(minutes=61))
    assert world.ids() == [later]


def test_rights_show_late(altinn: FakeAltinn, world: DialogWorld) -> None:
    """What is delegated after the first call shows after a quarter of an hour; without a right the
    search is empty, the dialog forbidden, and the lists below it are not found."""
    altinn.dialogs.add(PretendDialog(party=OTHER))
    hidden = altinn.dialogs.add(PretendDialog(party=PARTY, resource="nav_annet"))
    assert not world.ids(PARTY, OTHER)
    assert world.get(f"enduser/dialogs/{hidden}").status_code == 403
    assert world.get(f"enduser/dialogs/{hidden}/transmissions").status_code == 404
    altinn.allow(world.client_id, PARTY, ["nav_annet"])
    assert not world.ids()
    altinn.clock.advance(timedelta(minutes=16))
    assert world.ids() == [hidden]


@pytest.mark.parametrize(
    ("query", "key"),
    [
        ({}, ""),
        ({"party": urn(PARTY), "limit": "1001"}, "limit"),
        ({"party": PARTY}, "party"),
        ({"party": urn(PARTY), "orderBy": "title_asc"}, "orderBy"),
        (
            {"party": urn(PARTY), "contentUpdatedAfter": "2026-11-20T08:00:00"},
            "contentUpdatedAfter",
        ),
    ],
)
def test_a_bad_search_is_refused(world: DialogWorld, query: dict[str, str], key: str) -> None:
    """The reasons come by parameter, as problem details."""
    answer = world.get("enduser/dialogs", **query)
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [key])
    assert answer.json()["instance"] == "/api/v1/enduser/dialogs"


def test_who_may_call(altinn: FakeAltinn, world: DialogWorld) -> None:
    """401 without a token, 403 without a body where the scope is missing."""
    url = f"{altinn.platform_url}/dialogporten/api/v1/enduser/dialogs"
    answer = httpx.get(url)
    assert (answer.status_code, answer.content) == (401, b"")
    assert answer.headers.get_list("www-authenticate") == ["Bearer"] * 3
    world.scopes = (READ_SCOPE,)
    answer = world.get("enduser/dialogs", party=urn(PARTY))
    assert (answer.status_code, answer.content) == (403, b"")


def test_too_many_parties_and_too_wide_a_search(altinn: FakeAltinn, world: DialogWorld) -> None:
    """At most a hundred parties, as the public limits say; a slow search is 422."""
    limits = httpx.get(f"{altinn.platform_url}/dialogporten/api/v1/metadata/limits").json()
    assert limits["endUserSearch"]["maxPartyFilterValues"] == 100
    many = [("party", urn(PARTY))] * 101
    assert world.get("enduser/dialogs", *many).status_code == 400
    altinn.dialogporten.widest = 1
    answer = world.get("enduser/dialogs", ("party", urn(PARTY)), ("party", urn(OTHER)))
    assert (answer.status_code, list(answer.json()["errors"])) == (422, ["Search"])


def test_an_agent_covers_its_clients_with_one_token(altinn: FakeAltinn) -> None:
    """The token is the house's, the client is named in the call, here and in Correspondence."""
    client = altinn.ready_client()
    for party in (PARTY, OTHER):
        altinn.allow_client(client.client_id, HOUSE, party, [NAV, POST])
    world = DialogWorld(altinn, client.client_id, HOUSE)
    wanted = {altinn.dialogs.add(PretendDialog(party=party)) for party in (PARTY, OTHER)}
    assert set(world.ids(PARTY, OTHER)) == wanted
    found = world.get("enduser/parties").json()["authorizedParties"]
    assert [each["party"] for each in found] == [urn(each) for each in sorted((PARTY, OTHER))]
    letter = altinn.publish(PretendLetter(party=PARTY))
    token = altinn.token(client.client_id, HOUSE)
    answer = httpx.get(
        f"{altinn.platform_url}/correspondence/api/v1/correspondence",
        params={"resourceId": POST, "role": "Recipient", "onBehalfOf": urn(PARTY)},
        headers={"Authorization": f"Bearer {token}"},
    )
    assert answer.json()["ids"] == [letter]
    altinn.access.revoke_client(client.client_id, HOUSE, PARTY)
    altinn.clock.advance(timedelta(minutes=16))
    assert not world.ids(PARTY)


def test_a_letter_has_a_dialog_that_mirrors_it(altinn: FakeAltinn, world: DialogWorld) -> None:
    """It is there before the letter is published, has the time at which the letter came in, however
    that is dated, and goes with it; a lookup leads from one to the other."""
    before = altinn.clock.now()
    old = before - timedelta(days=400)
    letter = altinn.publish(PretendLetter(party=PARTY, requested_at=old))
    (item,) = world.search()["items"]
    assert item["serviceResourceType"] == "correspondenceservice"
    assert item["contentUpdatedAt"] >= before.strftime("%Y-%m-%dT%H:%M:%S")
    reference = f"urn:altinn:dialog-id:{item['id']}"
    lookup = world.get("enduser/dialoglookup", instanceRef=reference).json()
    assert lookup["instanceRef"] == f"urn:altinn:correspondence-id:{letter}"
    back = world.get("enduser/dialoglookup", instanceRef=lookup["instanceRef"]).json()
    assert back["dialogId"] == item["id"]
    altinn.withdraw(letter)
    assert not world.ids()
    migrated = altinn.publish(PretendLetter(party=PARTY, requested_at=old, altinn2_id=4711))
    (item,) = world.search()["items"]
    assert item["contentUpdatedAt"].startswith(old.strftime("%Y-%m-%dT%H:%M:%S"))
    assert "DialogportenDialogId" in dict(altinn.record(migrated).references)


def test_addresses_are_masked(altinn: FakeAltinn, world: DialogWorld) -> None:
    """An expired attachment has no address any more, nor has one that is withheld; a withheld
    transmission is not even in the list."""
    now = altinn.clock.now()
    address = PretendAddress(url="https://fil.example.no/d/1?sig=4c1e")
    files = (
        DialogFile(addresses=(address,), expires_at=now + timedelta(hours=1)),
        DialogFile(addresses=(address,), authorized=False),
    )
    shown = PretendTransmission(files=files)
    dialog = altinn.dialogs.add(
        PretendDialog(party=PARTY, transmissions=(shown, PretendTransmission(withheld=True)))
    )
    path = f"enduser/dialogs/{dialog}/transmissions"

    def urls() -> list[str]:
        (only,) = world.get(path).json()
        return [each["urls"][0]["url"] for each in only["attachments"]]

    assert urls() == [address.url, UNAUTHORIZED]
    altinn.clock.advance(timedelta(hours=2))
    assert urls() == [EXPIRED, UNAUTHORIZED]


def test_a_client_can_have_a_limit(altinn: FakeAltinn, world: DialogWorld) -> None:
    """All parties of a client share it; a refusal says for how long, in seconds."""
    altinn.rate_limit.windows = ((3, timedelta(seconds=20)),)
    statuses = [world.get("enduser/parties").status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    answer = world.get("enduser/parties")
    assert 1 <= int(answer.headers["retry-after"]) <= 21
    altinn.clock.advance(timedelta(seconds=25))
    assert world.get("enduser/parties").status_code == 200
