"""Tokens that are refused or do not come: each trouble has its remedy, and what passes is tried
again."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import RSAKey

from connectors.altinn3.maskinporten import Tokens
from connectors.altinn3.token_refusals import REMEDIES, PartyRefused
from connectors.net.http_client import HttpClient
from connectors.sandbox.altinn3 import faults
from connectors.sandbox.altinn3.access import ReadyClient
from connectors.sandbox.altinn3.server import FakeAltinn
from connectors.sandbox.altinn3.tokens import rsa_key
from connectors.sandbox.http_server import Response
from daemon.core.errors import AccessRefused, MailboxUnavailable
from tests.connectors.http_tools import Clock, new_clock  # noqa: F401  # a fixture
from tests.connectors.token_tools import (
    OTHER,
    PARTY,
    SCOPE,
    identity,
    new_altinn,  # noqa: F401  # a fixture
    new_client,  # noqa: F401  # a fixture
    new_http,  # noqa: F401  # a fixture
    new_tokens,  # noqa: F401  # a fixture
)


def test_no_system_user_is_explained_and_concerns_one_party(
    tokens: Tokens, altinn: FakeAltinn
) -> None:
    """MP-303 names its four usual causes and Maskinporten's reference; the other party's token is
    not touched."""
    with pytest.raises(AccessRefused) as caught:
        tokens.token(OTHER, SCOPE)
    assert all(
        word in str(caught.value)
        for word in (OTHER, "1) `client_id`", "2)", "3) `external_ref`", "4)", "MP-303", "id")
    )
    assert tokens.token(PARTY, SCOPE)


def test_a_refusal_is_remembered_for_a_while(
    tokens: Tokens, altinn: FakeAltinn, client: ReadyClient, clock: Clock
) -> None:
    """A party without system user costs one call a poll, and is served as soon as that has been
    fixed."""
    for _ in range(5):
        with pytest.raises(AccessRefused, match="MP-303"):
            tokens.token(OTHER, SCOPE)
    assert altinn.count("token") == 1
    altinn.allow(client.client_id, OTHER, ["x"])
    clock.now += 31
    assert tokens.token(OTHER, SCOPE)


STRANGER = "3f9a0f6e-0000-4000-8000-000000000000"
TROUBLES = {
    "wrong key": (r"`key_file` must contain", {}),
    "wrong key id": (r"Compare `key_id`.*Unknown key identifier", {"key_id": "other"}),
    "wrong client": (r"compare `client_id`", {"client_id": STRANGER}),
    "disabled client": (r"switched off", {}),
    "expired key": (r"`postmottak key new`.*Expired key", {}),
    "missing scope": (r"add it in Samarbeidsportalen", {}),
    "wrong audience": (r"correct `environment` or `maskinporten_url`", {}),
    "no system user": (r"no matching system user", {}),
}
"""What can be wrong, the remedy, and what of the configuration is wrong then."""


def _bring_about(trouble: str, altinn: FakeAltinn, client: ReadyClient) -> None:
    public = RSAKey.import_key(client.private_key).as_dict(private=False)
    if trouble == "wrong key":
        altinn.add_key(client.client_id, rsa_key("another").as_dict(private=False), client.key_id)
    elif trouble == "disabled client":
        altinn.access.enable(client.client_id, enabled=False)
    elif trouble == "expired key":
        yesterday = datetime.now(UTC) - timedelta(days=1)
        altinn.add_key(client.client_id, public, client.key_id, key_expires=yesterday)
    elif trouble == "missing scope":
        altinn.add_client(client.client_id, public, client.key_id, PARTY, scopes=["other"])
    elif trouble == "wrong audience":
        altinn.maskinporten.issuer = "https://maskinporten.no/"
    elif trouble == "no system user":
        altinn.revoke(client.client_id, PARTY)


@pytest.mark.parametrize("codes", ["link", "text", "none"])
@pytest.mark.parametrize("trouble", TROUBLES)
def test_each_refusal_has_its_own_remedy(
    http: HttpClient, altinn: FakeAltinn, client: ReadyClient, trouble: str, codes: Any
) -> None:
    """Whether Maskinporten gives a page with the code, writes it into the sentence, or neither:
    each trouble is told with its own remedy and with no other's."""
    altinn.maskinporten.codes = codes
    _bring_about(trouble, altinn, client)
    words, other = TROUBLES[trouble]
    with pytest.raises(AccessRefused, match=words) as caught:
        Tokens(http, identity(altinn, client, **other), refusal_lasts=0).token(PARTY, SCOPE)
    told = str(caught.value)
    assert [each for each, (mine, _) in TROUBLES.items() if re.search(mine, told)] == [trouble]
    assert re.search(r"trace_id: [0-9a-f]{32}", told)


@pytest.mark.parametrize("code", [*(each for each in REMEDIES if each != "MP-130"), "MP-999"])
def test_every_code_says_what_to_do(
    http: HttpClient, altinn: FakeAltinn, client: ReadyClient, code: str
) -> None:
    """Each of Maskinporten's codes is told with its remedy, the code and Maskinporten's own words;
    one that is not known is quoted with a page to read."""
    body = json.dumps(
        {"error": "invalid_grant", "error_description": f"{code}: No (id 7f3a)"}
    ).encode()
    altinn.faults.inject(
        faults.Fault(name=code, instead=lambda: Response(status=400, body=body)), "token"
    )
    with pytest.raises(AccessRefused) as caught:
        Tokens(http, identity(altinn, client), refusal_lasts=0).token(PARTY, SCOPE)
    assert REMEDIES.get(code, "does not know the reason") in str(caught.value)
    assert str(caught.value).endswith(f"(invalid_grant: {code}: No (id 7f3a))")
    assert isinstance(caught.value, PartyRefused) == (code in {"MP-251", "MP-303"})


@pytest.mark.parametrize("skew", [-40, -3600, 300, 86400])
def test_a_wrong_clock_is_got_over(
    http: HttpClient, altinn: FakeAltinn, client: ReadyClient, skew: int
) -> None:
    """Where this machine's clock is ahead or behind, Maskinporten's is used: one more call the
    first time, and none later."""
    altinn.clock.skew = timedelta(seconds=skew)
    altinn.allow(client.client_id, OTHER, ["x"])
    tokens = Tokens(http, identity(altinn, client), refusal_lasts=0)
    assert tokens.token(PARTY, SCOPE)
    assert tokens.token(OTHER, SCOPE)
    assert altinn.count("token") == 3


def test_a_clock_that_cannot_be_got_over_is_told(
    http: HttpClient, altinn: FakeAltinn, client: ReadyClient
) -> None:
    """If Maskinporten's own answer does not help, the operator is told to set the clock, and the
    call is tried again later."""
    answers = iter([0.0, 0.0, 10_000.0])  # ours leaps ahead between the two grants
    tokens = Tokens(
        http,
        identity(altinn, client),
        refusal_lasts=0,
        wall=lambda: datetime.now(UTC).timestamp() + next(answers, 10_000.0),
    )
    altinn.clock.skew = timedelta(seconds=-1000)
    with pytest.raises(MailboxUnavailable, match=r"this machine's time.*set its clock"):
        tokens.token(PARTY, SCOPE)


@pytest.mark.parametrize("kind", ["token", "exchange"])
@pytest.mark.parametrize(
    "fault",
    [faults.status(500), faults.html_page(), faults.login_redirect(), faults.gzip_bomb(1)],
    ids=lambda each: each.name,
)
def test_a_shaky_platform_is_tried_again_later(
    tokens: Tokens, altinn: FakeAltinn, kind: str, fault: faults.Fault
) -> None:
    """What is not an answer of Maskinporten or of the exchange is not a refusal either, and the
    next try succeeds."""
    altinn.faults.inject(fault, kind)
    with pytest.raises(MailboxUnavailable):
        tokens.token(PARTY, SCOPE)
    assert tokens.token(PARTY, SCOPE)


def test_a_token_that_is_none_is_not_kept(tokens: Tokens, altinn: FakeAltinn) -> None:
    """Half a token, as a broken connection leaves it, never becomes the party's token."""
    altinn.faults.inject(faults.cut_short(announced=True), "token", "exchange", times=4)
    with pytest.raises(MailboxUnavailable):
        tokens.token(PARTY, SCOPE)
    altinn.faults.clear()
    assert tokens.token(PARTY, SCOPE).count(".") == 2


def test_nothing_secret_is_ever_said(
    tokens: Tokens, altinn: FakeAltinn, client: ReadyClient, tmp_path: Path
) -> None:
    """Neither an error nor a representation shows a key, a grant or a token."""
    said = [repr(tokens), repr(identity(altinn, client)), repr(vars(tokens))]
    token = tokens.token(PARTY, SCOPE)
    said.append(repr(vars(tokens)))
    for fault in (faults.status(500), faults.html_page(), faults.cut_short(announced=True)):
        altinn.faults.inject(fault, "token", "exchange", times=4)
        tokens.drop(PARTY, SCOPE, token)
        with pytest.raises(MailboxUnavailable) as caught:
            tokens.token(PARTY, SCOPE)
        altinn.faults.clear()
        said.append(str(caught.value))
    with pytest.raises(AccessRefused) as refused:
        tokens.token(OTHER, SCOPE)
    said.append(str(refused.value))
    assert not any(token in each or re.search(r"eyJ|PRIVATE", each) for each in said)
