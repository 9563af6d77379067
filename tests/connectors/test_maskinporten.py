"""Tokens, against a pretend Maskinporten and Altinn that verify every grant."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc.jwk import RSAKey

from connectors.altinn3.keys import make_key
from connectors.altinn3.maskinporten import Identity, Tokens, load_key
from connectors.altinn3.token_refusals import REMEDIES, PartyRefused
from connectors.net.http_client import HttpClient, Timeouts
from connectors.sandbox.altinn3 import faults
from connectors.sandbox.altinn3.access import ReadyClient
from connectors.sandbox.altinn3.server import FakeAltinn
from connectors.sandbox.altinn3.tokens import rsa_key
from connectors.sandbox.http_server import Response
from daemon.core.errors import AccessRefused, MailboxUnavailable

PARTY, OTHER = "991825827", "974761076"
SCOPE = "altinn:correspondence.read"


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def altinn() -> Iterator[FakeAltinn]:
    with FakeAltinn() as running:
        yield running


@pytest.fixture
def client(altinn: FakeAltinn) -> ReadyClient:
    ready = altinn.ready_client()
    altinn.allow(ready.client_id, PARTY, ["eformidling-dpv-administrasjon"])
    return ready


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def http(clock: Clock) -> Iterator[HttpClient]:
    made = HttpClient(
        longest_pause=300, timeouts=Timeouts(retry_delays=(0.001, 0.001)), clock=clock
    )
    yield made
    made.close()


def identity(altinn: FakeAltinn, client: ReadyClient, **other: str) -> Identity:
    told: dict[str, Any] = {
        "client_id": client.client_id,
        "key_id": client.key_id,
        "issuer": altinn.maskinporten_url,
        **other,
    }
    exchange = f"{altinn.platform_url}/authentication/api/v1/exchange/maskinporten"
    return Identity(exchange_url=exchange, key=load_key(client.private_key), **told)


@pytest.fixture
def tokens(http: HttpClient, altinn: FakeAltinn, client: ReadyClient, clock: Clock) -> Tokens:
    return Tokens(http, identity(altinn, client), refusal_lasts=30, clock=clock)


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, password: bytes = b"") -> str:
    encryption = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    ).decode()


@pytest.fixture(scope="module")
def pair() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def test_a_key_is_read_from_pem_and_from_jwk(pair: rsa.RSAPrivateKey) -> None:
    """Both forms in which Samarbeidsportalen's users have their keys give the same key."""
    jwk = json.dumps(RSAKey.import_key(pem(pair)).as_dict(private=True))
    assert load_key(pem(pair)).thumbprint() == load_key(jwk).thumbprint()


def unusable_keys(pair: rsa.RSAPrivateKey) -> dict[str, str]:
    public = (
        pair.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )
    return {
        "": "is empty",
        "rubbish": "holds no private key in PEM",
        "{}": "can be read",
        '{"kty": "RSA", "n": "secret"}': "can be read",
        '{"kty": "oct", "k": "c2VjcmV0"}': "can be read",
        pem(pair, b"passphrase"): "is protected by a passphrase: FILE; run: openssl pkey",
        pem(ec.generate_private_key(ec.SECP256R1())): "can be read",
        pem(rsa.generate_private_key(65537, 1024)): "shorter than 2048 bits",
        public: "a public key, not a private key",
    }


def test_a_key_that_cannot_be_used_is_refused_with_a_remedy(pair: rsa.RSAPrivateKey) -> None:
    """Whatever is wrong with a key is told in words that say what to write instead, and show
    nothing of it."""
    for text, words in unusable_keys(pair).items():
        with pytest.raises(ValueError, match=words) as caught:
            load_key(text)
        assert "; " in str(caught.value)
        assert not text or text not in str(caught.value)


def test_a_token_is_fetched_once_for_each_party(
    tokens: Tokens, altinn: FakeAltinn, client: ReadyClient
) -> None:
    """Grant and exchange happen once, however often the token is wanted; another party has a token
    of its own."""
    altinn.allow(client.client_id, OTHER, ["eformidling-dpv-administrasjon"])
    mine = {tokens.token(PARTY, SCOPE) for _ in range(5)}
    assert len(mine) == 1
    assert tokens.token(OTHER, SCOPE) not in mine
    assert (altinn.count("token"), altinn.count("exchange")) == (2, 2)


def test_threads_do_not_stampede(tokens: Tokens, altinn: FakeAltinn) -> None:
    """Sixteen threads that need a token at the same time cause one grant."""
    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(lambda _: tokens.token(PARTY, SCOPE), range(64)))) == 1
    assert (altinn.count("token"), altinn.count("exchange")) == (1, 1)


def test_a_token_is_renewed_before_it_ends(
    tokens: Tokens, altinn: FakeAltinn, clock: Clock
) -> None:
    """The token's own lifetime decides, whatever this machine's clock says: 30 minutes less a
    margin."""
    altinn.clock.skew = timedelta(seconds=5)
    first = tokens.token(PARTY, SCOPE)
    clock.now += 28 * 60
    assert tokens.token(PARTY, SCOPE) == first
    clock.now += 90
    assert tokens.token(PARTY, SCOPE) != first


def test_when_the_first_token_ends(
    tokens: Tokens, altinn: FakeAltinn, client: ReadyClient, clock: Clock
) -> None:
    """The first of the tokens counts, by the time of day; one that was dropped does not, and asking
    asks nobody."""
    assert tokens.first_end(SCOPE) is None
    began = datetime.now(UTC)
    first = tokens.token(PARTY, SCOPE)
    altinn.allow(client.client_id, OTHER, ["x"])
    clock.now += 600
    tokens.token(OTHER, SCOPE)
    end = tokens.first_end(SCOPE)
    assert end is not None
    assert timedelta(minutes=20) <= end - began < timedelta(minutes=21)
    tokens.drop(PARTY, SCOPE, first)
    end = tokens.first_end(SCOPE)
    assert end is not None
    assert timedelta(minutes=30) <= end - began < timedelta(minutes=31)
    assert altinn.count("token") == 2


def test_a_token_of_a_few_seconds_is_of_use(
    tokens: Tokens, altinn: FakeAltinn, clock: Clock
) -> None:
    """A lifetime shorter than the margin does not make every call fetch a token."""
    altinn.exchange.lifetime = timedelta(seconds=10)
    first = tokens.token(PARTY, SCOPE)
    clock.now += 7
    assert tokens.token(PARTY, SCOPE) == first
    clock.now += 2
    assert tokens.token(PARTY, SCOPE) != first


def test_a_token_that_was_dropped_is_replaced_once(tokens: Tokens, altinn: FakeAltinn) -> None:
    """Threads that all saw the same token refused cause one new one, not one each."""
    old = tokens.token(PARTY, SCOPE)
    tokens.drop(PARTY, SCOPE, old)
    new = tokens.token(PARTY, SCOPE)
    tokens.drop(PARTY, SCOPE, old)
    assert tokens.token(PARTY, SCOPE) == new != old
    assert altinn.count("token") == 2


def test_the_external_reference_must_fit(
    http: HttpClient, altinn: FakeAltinn, client: ReadyClient
) -> None:
    """A system user with a reference is found with exactly that reference."""
    altinn.allow(client.client_id, OTHER, ["x"], external_ref="post-1")
    assert Tokens(http, identity(altinn, client, external_ref="post-1"), refusal_lasts=0).token(
        OTHER, SCOPE
    )
    for other in ({"external_ref": "post-2"}, {}):
        with pytest.raises(AccessRefused, match="external_ref"):
            Tokens(http, identity(altinn, client, **other), refusal_lasts=0).token(OTHER, SCOPE)


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


def test_a_new_key_beside_the_old_one(
    http: HttpClient, altinn: FakeAltinn, client: ReadyClient, tmp_path: Path
) -> None:
    """A key that was made beside the old one is accepted as soon as it is registered, while the old
    one still is."""
    made = make_key(tmp_path, datetime.now(UTC).date(), [client.key_id])
    new = ReadyClient(
        client_id=client.client_id,
        key_id=made.key_id,
        private_key=made.path.read_text(),
        organisation=PARTY,
    )
    with pytest.raises(AccessRefused, match="Compare `key_id`"):
        Tokens(http, identity(altinn, new), refusal_lasts=0).token(PARTY, SCOPE)
    altinn.add_key(client.client_id, json.loads(made.jwk), made.key_id)
    for each in (new, client):
        assert Tokens(http, identity(altinn, each), refusal_lasts=0).token(PARTY, SCOPE)


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


@pytest.mark.parametrize("exp", ["99999999999999999", "1e300"])
def test_a_token_that_never_ends(tokens: Tokens, altinn: FakeAltinn, exp: str) -> None:
    """A token whose end no calendar has is good for a day, and when it ends can be told."""
    claims = base64.urlsafe_b64encode(f'{{"iat": 1, "exp": {exp}}}'.encode()).decode().rstrip("=")
    endless = f"e30.{claims}.x".encode()
    altinn.faults.inject(
        faults.Fault(name="endless", instead=lambda: Response(status=200, body=endless)), "exchange"
    )
    assert tokens.token(PARTY, SCOPE) == endless.decode()
    end = tokens.first_end(SCOPE)
    assert end is not None
    assert timedelta(hours=23) < end - datetime.now(UTC) < timedelta(hours=25)
