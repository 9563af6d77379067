"""Keys and tokens, against a simulated Maskinporten and Altinn that verify every grant."""

from __future__ import annotations

import base64
import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc.jwk import RSAKey

from connectors.altinn3.keys import make_key
from connectors.altinn3.maskinporten import Tokens, load_key
from connectors.net.http_client import HttpClient
from connectors.sandbox.altinn3 import faults
from connectors.sandbox.altinn3.access import ReadyClient
from connectors.sandbox.altinn3.server import FakeAltinn
from connectors.sandbox.http_server import Response
from daemon.core.errors import AccessRefused
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


def test_a_key_is_read_once(pair: rsa.RSAPrivateKey) -> None:
    """The mailbox takes the key that its settings have read, since OpenSSL proves each that it
    reads."""
    assert load_key(pem(pair)) is load_key(pem(pair), Path("maskinporten.pem"))


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


def test_another_process_uses_the_same_token(
    tokens: Tokens, altinn: FakeAltinn, client: ReadyClient, http: HttpClient, clock: Clock
) -> None:
    """What is valid here is lent, without another call; the borrower keeps what is valid for
    longer, and fetches its own when the loan has expired."""
    assert tokens.lend([PARTY], SCOPE) == []
    token = tokens.token(PARTY, SCOPE)
    (lent,) = tokens.lend([PARTY, OTHER], SCOPE)
    assert token not in repr(lent)
    other = Tokens(http, identity(altinn, client), refusal_lasts=30, clock=clock)
    other.borrow(pickle.loads(pickle.dumps([lent])), SCOPE)
    assert other.token(PARTY, SCOPE) == token
    clock.now += 3600
    assert tokens.lend([PARTY], SCOPE) == []
    own = other.token(PARTY, SCOPE)
    assert own != token
    other.borrow([lent], SCOPE)
    assert other.token(PARTY, SCOPE) == own


def test_the_token_of_one_system_user_for_all(
    altinn: FakeAltinn, client: ReadyClient, http: HttpClient, clock: Clock
) -> None:
    """One that acts for several organisations has one token, which is lent once for all of them."""
    who = identity(altinn, client, system_user=PARTY)
    tokens, other = (Tokens(http, who, refusal_lasts=30, clock=clock) for _ in range(2))
    token = tokens.token(OTHER, SCOPE)
    (lent,) = tokens.lend([OTHER, "910075918"], SCOPE)
    other.borrow([lent], SCOPE)
    calls = altinn.count()
    assert (other.token(OTHER, SCOPE), altinn.count()) == (token, calls)
