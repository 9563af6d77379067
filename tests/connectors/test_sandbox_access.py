"""Who is let in: the exchange, two kinds of token, scopes, ends of tokens, and the Accept rule.
File names are Altinn's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import httpx
import pytest
from joserfc import jwt

from connectors.sandbox.altinn3.access import READ_SCOPE, WRITE_SCOPE
from connectors.sandbox.altinn3.server import FakeAltinn
from connectors.sandbox.altinn3.tokens import rsa_key
from connectors.sandbox.letters import PretendAttachment, PretendLetter

PARTY = "974761076"
RESOURCE = "eformidling-dpv-administrasjon"
BASE = "/correspondence/api/v1/correspondence"
EXCHANGE = "/authentication/api/v1/exchange/maskinporten"


@dataclass
class World:
    altinn: FakeAltinn
    client_id: str
    letter: str
    attachment: str

    def token(self, *scopes: str, exchanged: bool = True) -> str:
        return self.altinn.token(
            self.client_id, PARTY, scopes=scopes or (READ_SCOPE,), exchanged=exchanged
        )

    def ask(
        self, path: str, token: str | None = None, method: str = "GET", **headers: str
    ) -> httpx.Response:
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return httpx.request(method, f"{self.altinn.platform_url}{path}", headers=headers)

    @property
    def endpoints(self) -> dict[str, tuple[str, str]]:
        one = f"{BASE}/{self.letter}"
        return {
            "list": ("GET", f"{BASE}?resourceId={RESOURCE}&role=Recipient"),
            "overview": ("GET", one),
            "details": ("GET", f"{one}/details"),
            "markasread": ("POST", f"{one}/markasread"),
            "content": ("GET", f"{one}/content"),
            "confirm": ("POST", f"{one}/confirm"),
            "download": ("GET", f"{one}/attachment/{self.attachment}/download"),
            "purge": ("DELETE", f"{one}/purge"),
        }

    def statuses(self, token: str | None, **headers: str) -> dict[str, int]:
        return {
            name: self.ask(path, token, method, **headers).status_code
            for name, (method, path) in self.endpoints.items()
        }


@pytest.fixture
def world() -> Iterator[World]:
    with FakeAltinn() as altinn:
        ready = altinn.ready_client("991825827")
        altinn.allow(ready.client_id, PARTY, [RESOURCE])
        letter = altinn.publish(
            PretendLetter(party=PARTY, attachments=(PretendAttachment(content=b"abc"),))
        )
        yield World(altinn, ready.client_id, letter, altinn.record(letter).attachments[0].id)


def test_the_exchange_gives_a_bare_token_or_a_quoted_one(world: World) -> None:
    """Without Accept, or for text/plain, the body is the token itself; for JSON it is a string in
    quotes."""
    raw = world.token(exchanged=False)
    plain = world.ask(EXCHANGE, raw, Accept="text/plain")
    quoted = world.ask(EXCHANGE, raw, Accept="application/json")
    assert plain.headers["content-type"].startswith("text/plain")
    assert plain.text.startswith("ey")
    assert quoted.text.startswith('"ey')
    assert quoted.json().startswith("ey")


def test_the_exchanged_token_is_altinns(world: World) -> None:
    """It has Altinn's issuer, thirty minutes, the vendor's number, and the system user;
    `client_amr` is gone."""
    token = world.ask(EXCHANGE, world.token(exchanged=False)).text
    claims = jwt.decode(token, rsa_key("altinn"), algorithms=["RS256"]).claims
    assert claims["iss"] == f"{world.altinn.platform_url}/authentication/api/v1/openid/"
    assert claims["exp"] - claims["iat"] == 1800
    assert claims["urn:altinn:orgNumber"] == "991825827"
    assert claims["authorization_details"][0]["systemuser_org"]["ID"] == f"0192:{PARTY}"
    assert "client_amr" not in claims


def test_the_exchange_tolerates_ten_seconds(world: World) -> None:
    """A Maskinporten token that has just ended is still exchanged; one that ended longer ago is 401
    without a body."""
    raw = world.token(exchanged=False)
    world.altinn.clock.advance(timedelta(seconds=125))
    assert world.ask(EXCHANGE, raw).status_code == 200
    world.altinn.clock.advance(timedelta(seconds=10))
    late = world.ask(EXCHANGE, raw)
    assert (late.status_code, late.content) == (401, b"")


def test_the_exchange_refuses_all_else(world: World) -> None:
    """No token, Altinn's own token and nonsense are 401; another provider is 400; the enterprise
    user's header is 410."""
    raw = world.token(exchanged=False)
    assert [
        world.ask(EXCHANGE, token).status_code for token in (None, world.token(), "nonsense")
    ] == [401, 401, 401]
    assert world.ask("/authentication/api/v1/exchange/other", raw).status_code == 400
    assert (
        world.ask(EXCHANGE, raw, **{"X-Altinn-EnterpriseUser-Authentication": "x"}).status_code
        == 410
    )


def test_an_exchanged_token_opens_everything(world: World) -> None:
    """With the read scope, each endpoint answers 200."""
    assert set(world.statuses(world.token()).values()) == {200}


def test_a_raw_maskinporten_token_does_not(world: World) -> None:
    """Half of the endpoints tell its bearer to exchange it (API/Auth/DependencyInjection.cs,
    AltinnTokenEventsHelper.cs)."""
    raw = world.token(exchanged=False)
    statuses = world.statuses(raw)
    assert {name for name, status in statuses.items() if status == 403} == {
        "content",
        "markasread",
        "confirm",
        "download",
    }
    assert {name for name, status in statuses.items() if status == 200} == {
        "list",
        "overview",
        "details",
        "purge",
    }
    refused = world.ask(f"{BASE}/{world.letter}/content", raw)
    assert refused.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert refused.headers["content-type"] == "application/problem+json"


def test_without_a_token_there_is_a_challenge_and_no_body(world: World) -> None:
    """401 with WWW-Authenticate, an empty body, and none of the headers that answers have after
    authorization."""
    response = world.ask(f"{BASE}/{world.letter}")
    assert (response.status_code, response.content) == (401, b"")
    assert response.headers["www-authenticate"] == "Bearer"
    assert "x-content-type-options" not in response.headers


def test_a_download_without_a_token_leads_to_a_login_page(world: World) -> None:
    """A 302 where a program expects a file; a bad bearer token is 401 there too
    (API/Auth/CascadeAuthenticationHandler.cs)."""
    _, path = world.endpoints["download"]
    response = world.ask(path)
    assert response.status_code == 302
    assert "openid" in response.headers["location"]
    assert world.ask(path, "nonsense").status_code == 401


def test_a_token_ends_to_the_second(world: World) -> None:
    """Correspondence allows no clock skew at all."""
    token = world.token()
    world.altinn.clock.advance(timedelta(minutes=29, seconds=58))
    assert world.ask(f"{BASE}/{world.letter}", token).status_code == 200
    world.altinn.clock.advance(timedelta(seconds=2))
    ended = world.ask(f"{BASE}/{world.letter}", token)
    assert (ended.status_code, ended.headers["www-authenticate"]) == (
        401,
        'Bearer error="invalid_token"',
    )


def test_tokens_can_be_revoked_halfway(world: World) -> None:
    """Tokens from before are refused everywhere; tokens from after are good."""
    old, raw = world.token(), world.token(exchanged=False)
    world.altinn.revoke_tokens()
    assert set(world.statuses(old).values()) == {401}
    assert world.ask(EXCHANGE, raw).status_code == 401
    assert world.ask(f"{BASE}/{world.letter}", world.token()).status_code == 200


def test_a_missing_scope_is_403_without_a_body(world: World) -> None:
    """A valid token for something else opens nothing."""
    token = world.token("digdir:dialogporten")
    assert set(world.statuses(token).values()) == {403}
    assert world.ask(f"{BASE}/{world.letter}", token).content == b""


def test_the_write_scope_alone_does_not_receive(world: World) -> None:
    """It opens what senders and recipients share, and nothing of the recipient's own."""
    statuses = world.statuses(world.token(WRITE_SCOPE))
    assert {name for name, status in statuses.items() if status == 403} == {
        "content",
        "markasread",
        "confirm",
        "download",
    }


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/json", 200),
        ("text/html, application/json;q=0.5", 200),
        ("*/*;q=0.1", 200),
        ("APPLICATION/JSON", 200),
        ("application/*", 406),
        ("text/plain", 406),
        ("application/problem+json", 406),
    ],
)
def test_accept_must_name_the_type(world: World, accept: str, status: int) -> None:
    """API/Helpers/AcceptHeaderValidationMiddleware.cs: one part must be the very type, or
    everything."""
    response = world.ask(f"{BASE}/{world.letter}", world.token(), Accept=accept)
    assert response.status_code == status
    assert response.headers["x-content-type-options"] == "nosniff"


def test_accept_comes_after_authorization_and_before_the_letter(world: World) -> None:
    """Who is not let in is told that; who is let in is told 406 before 404."""
    unknown = f"{BASE}/00000000-0000-4000-8000-000000000000"
    assert world.ask(unknown, Accept="text/plain").status_code == 401
    assert world.ask(unknown, world.token(), Accept="text/plain").status_code == 406


def test_content_is_text_and_downloads_take_any_accept(world: World) -> None:
    """The content endpoint wants text/plain; the download has no declared type."""
    token = world.token()
    assert (
        world.ask(f"{BASE}/{world.letter}/content", token, Accept="application/json").status_code
        == 406
    )
    assert (
        world.ask(f"{BASE}/{world.letter}/content", token, Accept="text/plain").status_code == 200
    )
    assert world.ask(world.endpoints["download"][1], token, Accept="image/png").status_code == 200


def test_a_token_by_hand_needs_a_system_user(world: World) -> None:
    """Who asks the sandbox for a token that nobody could have is told so."""
    with pytest.raises(LookupError):
        world.altinn.token(world.client_id, "964965226")


def test_the_gateway_can_want_a_subscription_key() -> None:
    """With a key set, platform calls without it are refused, and Maskinporten's are not."""
    with FakeAltinn(subscription_key="abc") as altinn:
        list_url = f"{altinn.platform_url}/resourceregistry/api/v1/resource/resourcelist"
        assert httpx.get(list_url).status_code == 401
        assert httpx.get(list_url, headers={"Ocp-Apim-Subscription-Key": "abc"}).status_code == 200
        assert httpx.get(f"{altinn.maskinporten_url}jwk").status_code == 200


def test_other_paths_and_methods_are_not_there(world: World) -> None:
    """Unknown paths are 404, wrong methods 405."""
    assert world.ask("/correspondence/api/v1/other", world.token()).status_code == 404
    wrong = world.ask(f"{BASE}/{world.letter}/markasread", world.token())
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
