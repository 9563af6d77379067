"""The simulated Maskinporten: a good grant gets a token, and every bad one gets the error that the
real one gives."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from joserfc import jws, jwt
from joserfc.jwk import OctKey, RSAKey

from connectors.sandbox.altinn3.access import ReadyClient
from connectors.sandbox.altinn3.server import FakeAltinn
from connectors.sandbox.altinn3.tokens import rsa_key

PARTY = "974761076"
OTHER_PARTY = "964965226"
READ = "altinn:correspondence.read"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@pytest.fixture
def altinn() -> Iterator[FakeAltinn]:
    with FakeAltinn() as altinn:
        yield altinn


@pytest.fixture
def ready(altinn: FakeAltinn) -> ReadyClient:
    ready = altinn.ready_client("991825827")
    altinn.allow(ready.client_id, PARTY, ["r"])
    return ready


def details(party: str = PARTY, **more: Any) -> list[dict[str, Any]]:
    holder = {"authority": "iso6523-actorid-upis", "ID": f"0192:{party}"}
    return [{"type": "urn:altinn:systemuser", "systemuser_org": holder, **more}]


def claims(altinn: FakeAltinn, ready: ReadyClient, **changes: Any) -> dict[str, Any]:
    now = int(time.time())
    good = {
        "iss": ready.client_id,
        "aud": altinn.maskinporten_url,
        "scope": READ,
        "iat": now,
        "exp": now + 100,
        "jti": str(uuid4()),
        "authorization_details": details(),
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def signed(
    ready: ReadyClient,
    content: dict[str, Any],
    *,
    algorithm: str = "RS256",
    kid: str | None = None,
    key: Any = None,
) -> str:
    header = {"alg": algorithm, "kid": kid or ready.key_id}
    return jwt.encode(
        header, content, key or RSAKey.import_key(ready.private_key), algorithms=[algorithm]
    )


def ask(altinn: FakeAltinn, assertion: str, **changes: Any) -> httpx.Response:
    form = {"grant_type": GRANT, "assertion": assertion} | changes
    return httpx.post(f"{altinn.maskinporten_url}token", data=form)


def refusal(response: httpx.Response) -> tuple[str, str]:
    """The error, and the sentence with the page's address, which has the MP code."""
    body = response.json()
    assert response.status_code == 400
    assert re.search(r" \(trace_id: [0-9a-f]{32}\)$", body["error_description"])
    assert "MP-" not in body["error_description"]
    return body["error"], f"{body['error_description']} {body.get('error_uri', '')}"


def test_a_good_grant_gets_a_token(altinn: FakeAltinn, ready: ReadyClient) -> None:
    """The token is a signed JWT with the claims of a system user, and its lifetime is told."""
    answer = ask(altinn, signed(ready, claims(altinn, ready))).json()
    assert (answer["token_type"], answer["expires_in"], answer["scope"]) == ("Bearer", 119, READ)
    token = jwt.decode(answer["access_token"], rsa_key("maskinporten"), algorithms=["RS256"]).claims
    assert token["iss"] == altinn.maskinporten_url
    assert token["exp"] - token["iat"] == 119
    assert token["client_id"] == ready.client_id
    assert token["consumer"] == {"authority": "iso6523-actorid-upis", "ID": "0192:991825827"}
    (detail,) = token["authorization_details"]
    assert detail["systemuser_org"]["ID"] == f"0192:{PARTY}"
    assert len(detail["systemuser_id"]) == 1


def test_the_lifetime_can_be_set(altinn: FakeAltinn, ready: ReadyClient) -> None:
    """`expires_in` follows the setting, so that nothing can rely on a constant."""
    altinn.maskinporten.token_lifetime = timedelta(seconds=7)
    assert ask(altinn, signed(ready, claims(altinn, ready))).json()["expires_in"] == 7


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512"])
def test_three_algorithms_are_taken(altinn: FakeAltinn, ready: ReadyClient, algorithm: str) -> None:
    """RS256, RS384 and RS512 verify."""
    assert ask(altinn, signed(ready, claims(altinn, ready), algorithm=algorithm)).status_code == 200


@pytest.mark.parametrize(
    ("changes", "error", "code"),
    [
        ({"iss": "unknown"}, "invalid_grant", "MP-100"),
        ({"aud": "https://maskinporten.no"}, "invalid_grant", "MP-110"),
        ({"scope": None}, "invalid_request", "MP-011"),
        ({"scope": f"{READ} altinn:correspondence.write"}, "invalid_scope", "MP-200"),
        ({"iat": None}, "invalid_request", "MP-011"),
        (
            {"authorization_details": details(OTHER_PARTY)},
            "invalid_altinn_customer_configuration",
            "MP-303",
        ),
        (
            {"authorization_details": details(externalRef="wrong")},
            "invalid_altinn_customer_configuration",
            "MP-303",
        ),
        ({"authorization_details": []}, "invalid_altinn_customer_configuration", "MP-303"),
        ({"authorization_details": [{"type": "other"}]}, "invalid_authorization_details", "MP-301"),
        (
            {"authorization_details": [{"type": "urn:altinn:systemuser"}]},
            "invalid_altinn_customer_configuration",
            "MP-303",
        ),
        ({"authorization_details": details(extra=1)}, "invalid_authorization_details", "MP-302"),
    ],
)
def test_what_is_wrong_is_named(
    altinn: FakeAltinn, ready: ReadyClient, changes: dict[str, Any], error: str, code: str
) -> None:
    """Each wrong claim has the error and the code of the real one's troubleshooting page."""
    named, text = refusal(ask(altinn, signed(ready, claims(altinn, ready, **changes))))
    assert named == error
    assert code in text


def test_the_audience_is_the_issuer_and_not_the_endpoint(
    altinn: FakeAltinn, ready: ReadyClient
) -> None:
    """Neither the token endpoint's URL nor the issuer without its slash will do."""
    for audience in (f"{altinn.maskinporten_url}token", altinn.platform_url):
        assert (
            "MP-110" in refusal(ask(altinn, signed(ready, claims(altinn, ready, aud=audience))))[1]
        )


def test_an_organisation_written_in_lower_case_is_an_unknown_field(
    altinn: FakeAltinn, ready: ReadyClient
) -> None:
    """`systemuser_org` wants `ID` in capitals."""
    lower = [
        {
            "type": "urn:altinn:systemuser",
            "systemuser_org": {"authority": "iso6523-actorid-upis", "id": f"0192:{PARTY}"},
        }
    ]
    assert (
        "MP-302"
        in refusal(ask(altinn, signed(ready, claims(altinn, ready, authorization_details=lower))))[
            1
        ]
    )


def test_times_are_judged_with_ten_seconds_to_spare(altinn: FakeAltinn, ready: ReadyClient) -> None:
    """A little too early or too late is forgiven, more is not, and a grant may not last longer than
    two minutes."""
    now = int(time.time())

    def outcome(issued: int, ends: int) -> str:
        response = ask(
            altinn, signed(ready, claims(altinn, ready, iat=now + issued, exp=now + ends))
        )
        return "granted" if response.status_code == 200 else refusal(response)[1]

    assert outcome(5, 100) == "granted"
    assert "Issue time is after now" in outcome(30, 100)
    assert outcome(-100, -5) == "granted"
    assert "MP-130" in outcome(-100, -30)
    assert outcome(0, 120) == "granted"
    assert "120 seconds" in outcome(0, 121)


def test_a_server_whose_clock_is_behind_refuses_grants_from_the_future(
    altinn: FakeAltinn, ready: ReadyClient
) -> None:
    """A skewed server shows in its Date header and in what it thinks of `iat`."""
    altinn.clock.skew = timedelta(minutes=-5)
    response = ask(altinn, signed(ready, claims(altinn, ready)))
    assert "Issue time is after now" in refusal(response)[1]
    seen = datetime.strptime(response.headers["date"], "%a, %d %b %Y %H:%M:%S %Z").replace(
        tzinfo=UTC
    )
    assert seen < datetime.now(UTC) - timedelta(minutes=4)


def test_a_grant_is_used_once(altinn: FakeAltinn, ready: ReadyClient) -> None:
    """The same grant again, or another with its jti, is refused; without a jti the grant's text
    counts."""
    content = claims(altinn, ready)
    assert ask(altinn, signed(ready, content)).status_code == 200
    assert "MP-012" in refusal(ask(altinn, signed(ready, content)))[1]
    assert "MP-012" in refusal(ask(altinn, signed(ready, content | {"exp": content["exp"] + 1})))[1]
    nameless = signed(ready, claims(altinn, ready, jti=None))
    assert ask(altinn, nameless).status_code == 200
    assert "MP-012" in refusal(ask(altinn, nameless))[1]


def test_signatures_are_verified(altinn: FakeAltinn, ready: ReadyClient) -> None:
    """Another key, a symmetric one, an unknown kid, a changed payload, and no JWT at all are each
    refused."""
    content = claims(altinn, ready)
    secret = OctKey.import_key("secret-secret-secret-secret-secret")
    good = signed(ready, content)
    head, _, signature = good.split(".")
    payload = signed(ready, content | {"scope": "more"}).split(".")[1]
    assert "MP-124" in refusal(ask(altinn, signed(ready, content, key=rsa_key("another"))))[1]
    assert (
        "MP-124" in refusal(ask(altinn, signed(ready, content, key=secret, algorithm="HS256")))[1]
    )
    unknown = refusal(ask(altinn, signed(ready, content, kid="unknown")))[1]
    assert "Unknown key identifier (kid) for client." in unknown
    assert "errors/" not in unknown
    assert "MP-124" in refusal(ask(altinn, f"{head}.{payload}.{signature}"))[1]
    assert "MP-011" in refusal(ask(altinn, "no jwt"))[1]


def test_enterprise_certificates_are_not_for_the_sandbox(
    altinn: FakeAltinn, ready: ReadyClient
) -> None:
    """A grant with `x5c` is MP-123, and one whose payload holds no claims MP-011."""
    key = RSAKey.import_key(ready.private_key)
    certified = jwt.encode({"alg": "RS256", "x5c": ["MIIB"]}, claims(altinn, ready), key)
    assert "MP-123" in refusal(ask(altinn, certified))[1]
    assert (
        "MP-011"
        in refusal(
            ask(altinn, jws.serialize_compact({"alg": "RS256", "kid": ready.key_id}, b"[]", key))
        )[1]
    )


def test_registered_keys_expire(altinn: FakeAltinn, ready: ReadyClient) -> None:
    """A key past its time is MP-121, whatever it signs."""
    public = RSAKey.import_key(ready.private_key).as_pem(private=False)
    altinn.add_client(
        ready.client_id, public, ready.key_id, "991825827", key_expires=datetime.now(UTC)
    )
    assert "MP-121" in refusal(ask(altinn, signed(ready, claims(altinn, ready))))[1]


def test_a_page_is_under_the_issuer(altinn: FakeAltinn, ready: ReadyClient) -> None:
    """`error_uri` leads to the code's page at Maskinporten; it can also be missing, or the code be
    in the sentence as well."""
    stranger = signed(ready, claims(altinn, ready, iss="unknown"))
    assert ask(altinn, stranger).json()["error_uri"] == f"{altinn.maskinporten_url}errors/MP-100"
    altinn.maskinporten.codes = "none"
    assert "error_uri" not in ask(altinn, stranger).json()
    altinn.maskinporten.codes = "text"
    assert "failed. MP-100 (trace_id" in ask(altinn, stranger).json()["error_description"]


def test_a_client_can_be_switched_off(altinn: FakeAltinn, ready: ReadyClient) -> None:
    """A disabled client gets no token, whatever its key, until it is enabled again."""
    altinn.access.enable(ready.client_id, enabled=False)
    assert "disabled" in refusal(ask(altinn, signed(ready, claims(altinn, ready))))[1]
    altinn.access.enable(ready.client_id, enabled=True)
    assert ask(altinn, signed(ready, claims(altinn, ready))).status_code == 200


def test_the_request_must_be_a_form_of_the_right_kind(
    altinn: FakeAltinn, ready: ReadyClient
) -> None:
    """JSON, another grant type, and a missing assertion are MP-011."""
    assertion = signed(ready, claims(altinn, ready))
    as_json = httpx.post(
        f"{altinn.maskinporten_url}token", json={"grant_type": GRANT, "assertion": assertion}
    )
    for response in (
        as_json,
        ask(altinn, assertion, grant_type="client_credentials"),
        ask(altinn, ""),
    ):
        assert refusal(response)[0] == "invalid_request"


def test_a_reference_must_match_exactly(altinn: FakeAltinn, ready: ReadyClient) -> None:
    """A system user with a reference is not found without it, nor the other way round."""
    altinn.allow(ready.client_id, OTHER_PARTY, ["r"], external_ref="mailsync-main")
    with_reference = details(OTHER_PARTY, externalRef="mailsync-main")
    assert (
        ask(
            altinn, signed(ready, claims(altinn, ready, authorization_details=with_reference))
        ).status_code
        == 200
    )
    without = signed(ready, claims(altinn, ready, authorization_details=details(OTHER_PARTY)))
    assert "MP-303" in refusal(ask(altinn, without))[1]


def test_the_reference_is_the_organisation_number_when_there_is_none(
    altinn: FakeAltinn, ready: ReadyClient
) -> None:
    """A system user made without a reference is found with the organisation number as reference,
    and without any."""
    named = details(externalRef=PARTY)
    assert (
        ask(altinn, signed(ready, claims(altinn, ready, authorization_details=named))).status_code
        == 200
    )


def test_another_client_has_no_share_in_a_system_user(
    altinn: FakeAltinn, ready: ReadyClient
) -> None:
    """The right key for a client that the customer did not approve is MP-303."""
    stranger = altinn.ready_client()
    assert "MP-303" in refusal(ask(altinn, signed(stranger, claims(altinn, stranger))))[1]


def test_a_system_user_can_be_taken_away(altinn: FakeAltinn, ready: ReadyClient) -> None:
    """After the customer has withdrawn, the grant is MP-303."""
    altinn.revoke(ready.client_id, PARTY)
    assert "MP-303" in refusal(ask(altinn, signed(ready, claims(altinn, ready))))[1]


def test_a_client_may_act_for_itself(altinn: FakeAltinn, ready: ReadyClient) -> None:
    """Without authorization details the token is the client's own, and names no system user."""
    answer = ask(altinn, signed(ready, claims(altinn, ready, authorization_details=None))).json()
    token = jwt.decode(answer["access_token"], rsa_key("maskinporten"), algorithms=["RS256"]).claims
    assert "authorization_details" not in token


def test_the_metadata_leads_to_the_endpoint_and_the_keys(
    altinn: FakeAltinn, ready: ReadyClient
) -> None:
    """The well-known document names issuer and endpoint, and the published keys verify a token."""
    found = httpx.get(f"{altinn.maskinporten_url}.well-known/oauth-authorization-server").json()
    assert found["issuer"] == altinn.maskinporten_url
    answer = httpx.post(
        found["token_endpoint"],
        data={"grant_type": GRANT, "assertion": signed(ready, claims(altinn, ready))},
    )
    key = RSAKey.import_key(httpx.get(found["jwks_uri"]).json()["keys"][0])
    assert (
        jwt.decode(answer.json()["access_token"], key, algorithms=["RS256"]).claims["scope"] == READ
    )
