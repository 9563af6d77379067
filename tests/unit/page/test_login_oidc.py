"""Logging in through an OpenID Connect provider, also one that lies."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from joserfc.jwk import RSAKey

from daemon.core.errors import OperatorError
from daemon.page.guard.pending_logins import VALID, PendingLogins
from daemon.page.guard.signed_in import COOKIE
from daemon.page.views.login_oidc import PENDING
from daemon.store.users import Actor, RoleGrant
from tests.unit.conftest import NOW
from tests.unit.page.conftest import Site, opened_site
from tests.unit.page.lying_provider import CLIENT, SECRET, LyingProvider, lying_provider

READER, ROUTER = RoleGrant(role="reader"), RoleGrant(role="router")
NAME = "kari@example.no"
BY = Actor(name="test")
FAILED, NO_ACCESS = "Innloggingstjenesten", "Be dem som administrerer brukerne"
WRONG_CLAIMS: list[dict[str, Any]] = [
    {"nonce": "another"},
    {"nonce": None},
    {"aud": "another"},
    {"aud": "another", "azp": CLIENT},
    {"aud": None},
    {"iss": "https://evil.example"},
    {"iss": None},
    {"exp": int(time.time()) - 3600},
    {"exp": None},
    {"iat": int(time.time()) + 3600},
    {"sub": None},
    {"preferred_username": None},
    {"preferred_username": ["kari"]},
]
LIES: list[dict[str, Any]] = [
    {"signing_key": RSAKey.generate_key(2048, {"kid": "one"})},
    {"header": {"alg": "none"}},
    {"header": {"alg": "none", "kid": "one"}},
    {"header": {"alg": "RS256", "kid": "another"}},
    {"token": "abc"},
    {"token": "a.b.c"},
    {"token": ""},
    {"no_id_token": True},
    {"discovery": {"issuer": "https://evil.example"}},
    {"discovery": {"issuer": None}},
    {"discovery": {"jwks_uri": "http://127.0.0.1:1/keys"}},
    {"discovery": {"token_endpoint": "http://127.0.0.1:1/token"}},
    {
        "discovery": {"id_token_signing_alg_values_supported": ["none"]},
        "header": {"alg": "none"},
    },
    {"discovery": {"id_token_signing_alg_values_supported": 5}},
]


@pytest.fixture
def provider() -> Iterator[LyingProvider]:
    with lying_provider() as found:
        yield found


@pytest.fixture
def site(tmp_path: Path, provider: LyingProvider) -> Iterator[Site]:
    (tmp_path / "oidc.secret").write_text(SECRET + "\n", encoding="utf-8")
    with opened_site(tmp_path, configuration(provider)) as found:
        yield found


def configuration(provider: LyingProvider) -> str:
    return f"""
[web]
login = ["local", "oidc"]
[web.oidc]
issuer = "{provider.issuer}"
client_id = "{CLIENT}"
client_secret_file = "oidc.secret"
roles = {{ "Postmottak.Reader" = ["reader"], "Postmottak.Router" = ["router"] }}
"""


def leave(site: Site, provider: LyingProvider, asked: str = "/") -> tuple[str, dict[str, str]]:
    """Go to the provider; return the cookie of the log-in and what the provider was asked."""
    answer = site.visitor().get("/login/oidc", params={"next": asked})
    assert answer.status_code == 302, answer.text
    assert answer.headers["location"].startswith(f"{provider.issuer}/authorize?")
    return cookies(answer)[PENDING], provider.leave(answer.headers["location"])


def come_back(site: Site, pending: str, **query: str) -> httpx.Response:
    answer: httpx.Response = site.visitor().get(
        f"/login/oidc/callback?{urlencode(query)}", headers={"Cookie": f"{PENDING}={pending}"}
    )
    return answer


def log_in(site: Site, provider: LyingProvider, asked: str = "/") -> httpx.Response:
    pending, told = leave(site, provider, asked)
    return come_back(site, pending, code="code", state=told["state"])


def cookies(answer: httpx.Response) -> dict[str, str]:
    lines = answer.headers.get_list("set-cookie")
    return dict(each.partition(";")[0].partition("=")[::2] for each in lines)


def refused(site: Site, answer: httpx.Response, fault: str = FAILED) -> None:
    """Check that nobody was let in, that the page says so, and that the log does."""
    assert answer.status_code == 403
    assert not cookies(answer).get(COOKIE)
    assert 'data-key="login"' in answer.text
    assert fault in answer.text
    newest = site.store.events.page()[0]
    assert (newest.kind, newest.done) == ("login-by-oidc", False)
    assert newest.details["why"]
    assert site.store.users.find(NAME) is None


def test_a_user_of_the_provider_is_let_in(site: Site, provider: LyingProvider) -> None:
    """Code, PKCE by S256, nonce and state are used; the user is added with the role of the claim,
    and led to the page that was asked for."""
    answer = log_in(site, provider, "/letters?q=skatt")
    assert (answer.status_code, answer.headers["location"]) == (303, "/letters?q=skatt")
    asked = provider.asked
    assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
    assert (asked["client_id"], len(asked["nonce"]) >= 20) == (CLIENT, True)
    assert asked["redirect_uri"] == "http://127.0.0.1:8770/login/oidc/callback"
    user = site.store.users.get(NAME)
    assert (user.source.value, site.store.users.grants(NAME)) == ("oidc", [READER])
    session = {"Cookie": f"{COOKIE}={cookies(answer)[COOKIE]}"}
    assert site.visitor().get("/letters", headers=session).status_code == 200
    assert site.events()[0] == ("login", NAME, True)
    assert cookies(answer)[PENDING] in {"", '""'}


def test_wrong_claims_are_refused(site: Site, provider: LyingProvider) -> None:
    """An id token that is for somebody else, for another time or says too little lets nobody in."""
    for claims in WRONG_CLAIMS:
        provider.claims = claims
        refused(site, log_in(site, provider))
        site.clock.advance(minutes=1)
    for name in ("kari og ola", "-x", "a" * 101):
        provider.claims = {"preferred_username": name}
        refused(site, log_in(site, provider), NO_ACCESS)


def test_what_is_not_signed_by_the_provider_is_refused(site: Site, provider: LyingProvider) -> None:
    """Another key, no signature, another issuer, half an answer: all let nobody in."""
    honest = dict(vars(provider))
    for lie in LIES:
        pending, told = leave(site, provider)
        for name, value in lie.items():
            setattr(provider, name, value)
        refused(site, come_back(site, pending, code="code", state=told["state"]))
        site.clock.advance(minutes=1)
        vars(provider).update(honest)


def test_an_option_in_the_discovery_document_is_none_of_ours(
    site: Site, provider: LyingProvider
) -> None:
    """The provider's document cannot turn off PKCE or the check of certificates."""
    provider.discovery = {"verify": False, "code_challenge_method": "plain", "scope": "x"}
    _, told = leave(site, provider)
    assert (told["code_challenge_method"], told["scope"]) == ("S256", "openid profile email")


def test_the_secret_is_sent_as_the_provider_wants(site: Site, provider: LyingProvider) -> None:
    """Entra ID names `client_secret_post` and not `client_secret_basic`."""
    provider.discovery = {
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"]
    }
    assert log_in(site, provider).status_code == 303


def test_a_forged_or_repeated_return_is_refused(site: Site, provider: LyingProvider) -> None:
    """Only the browser that was sent away comes back, once, with the state that it was given."""
    pending, told = leave(site, provider)
    refused(site, come_back(site, "", code="code", state=told["state"]))
    refused(site, come_back(site, pending, code="code", state="forged"))
    refused(site, come_back(site, pending, code="code", state=told["state"]))
    assert provider.token_requests == []
    other, _ = leave(site, provider)
    refused(site, come_back(site, other, code="code", state=told["state"]))
    pending, told = leave(site, provider)
    assert come_back(site, pending, code="code", state=told["state"]).status_code == 303
    again = come_back(site, pending, code="code", state=told["state"])
    assert (again.status_code, len(provider.token_requests)) == (403, 1)


def test_an_error_of_the_provider_is_named_in_the_log(site: Site, provider: LyingProvider) -> None:
    """The page says that the log-in failed, and the log why; what is sent is cut."""
    pending, told = leave(site, provider)
    answer = come_back(
        site, pending, error="access_denied", error_description="x\n" * 5000, state=told["state"]
    )
    refused(site, answer)
    why = site.store.events.page()[0].details["why"]
    assert "access_denied" in why
    assert (len(why), "\n" in why) == (200, False)


def test_a_late_return_is_refused(site: Site, provider: LyingProvider) -> None:
    """A log-in that takes longer than ten minutes begins anew."""
    pending, told = leave(site, provider)
    site.clock.advance(minutes=10)
    refused(site, come_back(site, pending, code="code", state=told["state"]))


def test_a_provider_that_is_not_there_is_said(site: Site, provider: LyingProvider) -> None:
    """Without the provider the page still shows its form, and the log says what is wrong."""
    provider.discovery = {"authorization_endpoint": None}
    refused(site, site.visitor().get("/login/oidc"))


def test_looking_at_the_return_does_not_use_it_up(site: Site, provider: LyingProvider) -> None:
    """A program that only looks at the address that the provider leads to changes nothing."""
    pending, told = leave(site, provider)
    headers = {"Cookie": f"{PENDING}={pending}"}
    assert site.visitor().head("/login/oidc/callback", headers=headers).status_code == 503
    assert come_back(site, pending, code="code", state=told["state"]).status_code == 303


def test_without_a_role_nobody_is_let_in(site: Site, provider: LyingProvider) -> None:
    """Values of the claim are compared exactly; who has none of them is told to ask for one."""
    for roles in (
        [],
        None,
        "Postmottak",
        ["postmottak.reader"],
        ["Postmottak.Reader "],
        [["x"]],
        5,
    ):
        provider.claims = {"roles": roles}
        refused(site, log_in(site, provider), NO_ACCESS)


def test_roles_are_renewed_at_each_log_in(site: Site, provider: LyingProvider) -> None:
    """Roles come and go with the claim, and end older sessions; limits and the right to open
    confidential letters, which were given here, stay."""
    old = cookies(log_in(site, provider))[COOKIE]
    limited = RoleGrant(role="reader", recipients=("regnskap",))
    confidential = RoleGrant(role="confidential")
    site.store.users.grant(NAME, [limited, confidential], site.clock(), BY)
    provider.claims = {"roles": ["Postmottak.Reader", "Postmottak.Router"]}
    new = cookies(log_in(site, provider))[COOKIE]
    assert site.store.users.grants(NAME) == [limited, confidential, ROUTER]
    assert site.store.sessions.find(old, site.clock()) is None
    assert site.store.sessions.find(new, site.clock()) == NAME
    provider.claims = {"roles": "Postmottak.Router"}
    log_in(site, provider)
    assert site.store.users.grants(NAME) == [confidential, ROUTER]
    provider.claims = {"roles": []}
    assert log_in(site, provider).status_code == 403
    assert site.store.users.grants(NAME) == [confidential]
    assert site.store.sessions.of(NAME, site.clock()) == []


def test_a_disabled_user_stays_out(site: Site, provider: LyingProvider) -> None:
    """Who was shut out here is not let in by the provider."""
    log_in(site, provider)
    site.store.users.disable(NAME, site.clock(), BY)
    answer = log_in(site, provider)
    assert (answer.status_code, cookies(answer).get(COOKIE)) == (403, None)
    assert site.store.events.page()[0].details == {"why": "the user is disabled"}


def test_users_that_were_added_here(site: Site, provider: LyingProvider) -> None:
    """One without a password logs in by the provider, with the rights of here and no others; one
    with a password is another person to us, and not let in."""
    site.store.users.add(NAME, site.clock(), BY, grants=[ROUTER])
    assert log_in(site, provider).status_code == 303
    assert site.store.users.grants(NAME) == [ROUTER]
    site.store.users.set_password_hash(NAME, "hash", site.clock(), BY)
    assert log_in(site, provider).status_code == 403


def test_attempts_are_limited_by_address(site: Site, provider: LyingProvider) -> None:
    """Twenty a minute reach the provider or the log."""
    found = [site.visitor().get("/login/oidc/callback").status_code for _ in range(25)]
    assert found == [403] * 20 + [429] * 5
    assert site.visitor().get("/login/oidc").status_code == 429
    assert provider.asked == {}


def test_a_missing_secret_is_said(tmp_path: Path, provider: LyingProvider) -> None:
    """The page does not start without its secret, and says which file is missing."""
    with (
        pytest.raises(OperatorError, match=r"client_secret_file.*oidc\.secret.*no such file"),
        opened_site(tmp_path, configuration(provider)),
    ):
        pass


def test_pending_log_ins_are_bounded() -> None:
    """However many begin to log in, a thousand are kept, once and for ten minutes each."""
    pending = PendingLogins()
    tokens = [pending.keep({"number": each}, NOW) for each in range(1200)]
    found = [pending.take(each, NOW) for each in tokens]
    assert found == [None] * 200 + [{"number": each} for each in range(200, 1200)]
    token = pending.keep({"number": 1}, NOW)
    assert pending.take(token, NOW + VALID) is None
