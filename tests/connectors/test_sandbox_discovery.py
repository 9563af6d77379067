"""Finding out which resources there are: what one may read, what exists, and what neither tells."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from connectors.sandbox.altinn3.discovery import PretendResource
from connectors.sandbox.altinn3.server import FakeAltinn
from connectors.sandbox.letters import PretendLetter, urn

PARTY = "974761076"
OTHER_PARTY = "964965226"
SERVICES = "/dialogporten/api/v1/enduser/serviceresources"
REGISTRY = "/resourceregistry/api/v1/resource"


@pytest.fixture
def altinn() -> Iterator[FakeAltinn]:
    with FakeAltinn() as altinn:
        yield altinn


def client_for(altinn: FakeAltinn, *resources: str) -> str:
    ready = altinn.ready_client()
    altinn.allow(ready.client_id, PARTY, resources)
    return ready.client_id


def ask(altinn: FakeAltinn, token: str | None, party: str = urn(PARTY)) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.get(f"{altinn.platform_url}{SERVICES}", params={"party": party}, headers=headers)


def found(response: httpx.Response) -> list[str]:
    return [item["serviceResource"]["id"] for item in response.json()["items"]]


def test_dialogporten_tells_what_is_in_use_and_may_be_read(altinn: FakeAltinn) -> None:
    """Neither an allowed resource without letters nor one with letters that is not allowed is
    there."""
    client_id = client_for(altinn, "used", "unused")
    for resource in ("used", "foreign"):
        altinn.publish(PretendLetter(party=PARTY, resource=resource))
    assert found(ask(altinn, altinn.token(client_id, PARTY))) == ["used"]


def test_dialogporten_writes_types_in_lower_case(altinn: FakeAltinn) -> None:
    """The registry has `CorrespondenceService`, Dialogporten `correspondenceservice`."""
    altinn.add_resource(PretendResource(id="r", title="Post fra kommunen"))
    client_id = client_for(altinn, "r")
    altinn.publish(PretendLetter(party=PARTY, resource="r"))
    body = ask(altinn, altinn.token(client_id, PARTY)).json()
    assert "isFullCatalogueFallback" not in body
    (item,) = body["items"]
    assert item["serviceResource"]["resourceType"] == "correspondenceservice"
    assert item["serviceResource"]["name"] == [{"languageCode": "nb", "value": "Post fra kommunen"}]
    assert item["serviceOwner"]["orgNumber"] == "991825827"


def test_another_party_has_nothing(altinn: FakeAltinn) -> None:
    """Asking for an organisation that the system user does not act for gives an empty list, and a
    bad number a 400."""
    client_id = client_for(altinn, "r")
    altinn.publish(PretendLetter(party=PARTY, resource="r"))
    token = altinn.token(client_id, PARTY)
    assert found(ask(altinn, token, urn(OTHER_PARTY))) == []
    assert ask(altinn, token, urn("123456789")).status_code == 400
    assert ask(altinn, token, PARTY).status_code == 400


def test_dialogporten_wants_its_own_scope(altinn: FakeAltinn) -> None:
    """No token is 401, a token without the scope 403; a Maskinporten token that was not exchanged
    is fine."""
    client_id = client_for(altinn, "r")
    altinn.publish(PretendLetter(party=PARTY, resource="r"))
    assert ask(altinn, None).status_code == 401
    assert (
        ask(
            altinn, altinn.token(client_id, PARTY, scopes=["altinn:correspondence.read"])
        ).status_code
        == 403
    )
    assert found(ask(altinn, altinn.token(client_id, PARTY, exchanged=False))) == ["r"]


def test_searching_leaves_no_trace(altinn: FakeAltinn) -> None:
    """Discovery touches no letter."""
    client_id = client_for(altinn, "r")
    letter = altinn.publish(PretendLetter(party=PARTY, resource="r"))
    ask(altinn, altinn.token(client_id, PARTY))
    assert altinn.statuses(letter) == ("Initialized", "ReadyForPublish", "Published")


def test_the_registry_is_public(altinn: FakeAltinn) -> None:
    """All resources, or one, without a token; an unknown one is 404."""
    altinn.add_resource(PretendResource(id="r", title="Post fra kommunen"))
    altinn.publish(PretendLetter(party=PARTY, resource="s"))
    listed = httpx.get(f"{altinn.platform_url}{REGISTRY}/resourcelist").json()
    assert {each["identifier"]: each["resourceType"] for each in listed} == {
        "r": "CorrespondenceService",
        "s": "CorrespondenceService",
    }
    assert (
        httpx.get(f"{altinn.platform_url}{REGISTRY}/r").json()["title"]["nb"] == "Post fra kommunen"
    )
    assert httpx.get(f"{altinn.platform_url}{REGISTRY}/unknown").status_code == 404


def test_the_metadata_of_what_is_in_use_is_public(altinn: FakeAltinn) -> None:
    """Everything that has letters, no matter who may read it."""
    altinn.publish(PretendLetter(party=PARTY, resource="s"))
    altinn.add_resource(PretendResource(id="unused", title="Ubrukt"))
    assert found(
        httpx.get(f"{altinn.platform_url}/dialogporten/api/v1/metadata/serviceresources")
    ) == ["s"]
