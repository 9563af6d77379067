"""Get tokens for Altinn: a signed grant to Maskinporten, its token exchanged at Altinn.

There is one for each party, kept until shortly before it expires. Rules: felleslosninger/docs
`maskinporten_protocol_jwtgrant.md` and `maskinporten_func_systembruker.md`; the exchange:
Altinn/altinn-authentication `AuthenticationController.cs`. Errors never contain a grant or a token.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import threading
import time
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import uuid4

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey
from pydantic import AfterValidator

from connectors.altinn3.token_refusals import is_about_the_clock, refusal
from connectors.net.http_client import HttpClient
from connectors.net.http_response import HttpResponse, json_object
from daemon.core.errors import AccessRefused, MailboxUnavailable
from daemon.core.key_forms import private_block, wrong_form
from daemon.core.settings import Secret, SecretFile

_GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_GRANT_LASTS = 100  # seconds; Maskinporten accepts at most 120
_MARGIN = 60.0
_OK = 200
_SHORTEST_KEY = 2048
_PIECES = 3  # of a token: header, claims, signature
# seconds; the exchange gives 1800, and arithmetic on times must not overflow
_LONGEST_LIFETIME = 86_400.0
_KEYS = 8  # that are remembered; an installation has one, or a few
_ONLY_RSA = (
    "Maskinporten accepts only RSA keys, not EC or Ed25519; write the path of one in PEM without "
    "passphrase, or JWK"
)


def load_key(text: str, path: Path = Path("FILE")) -> RSAKey:
    """Read the private RSA key in `text`, PEM or JWK.

    Raises ValueError, with a remedy that names `path`, and without any part of the key.
    """
    if found := wrong_form(text.encode(errors="replace"), path, "key"):
        raise ValueError(found)
    try:
        key = _imported(text)
    except (ValueError, TypeError, KeyError, AttributeError, JoseError):
        raise ValueError(f"holds no RSA key that can be read: {path}; {_ONLY_RSA}") from None
    if key.raw_value.key_size < _SHORTEST_KEY:
        raise ValueError(
            f"holds a key shorter than {_SHORTEST_KEY} bits; make a longer one and register it "
            "in Samarbeidsportalen"
        )
    if not key.is_private:
        raise ValueError("holds a public key; write the path of the private key")
    return key


@lru_cache(_KEYS)
def _imported(text: str) -> RSAKey:
    """Read a key once: OpenSSL takes 50 milliseconds to prove one.

    The mailbox needs the key that its settings have read, and so does each worker process.
    """
    with warnings.catch_warnings(action="ignore"):  # of short keys; `load_key` checks the length
        return RSAKey.import_key(
            json.loads(text) if text.lstrip().startswith("{") else private_block(text)
        )


def _readable(secret: Secret) -> Secret:
    if not secret.is_closed:
        load_key(secret.value, secret.path)
    return secret


KeyFile = Annotated[SecretFile, AfterValidator(_readable)]
"""The path of a file with a private RSA key, read and checked with the configuration."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who requests tokens, and where."""

    issuer: str
    """Maskinporten's address with a trailing slash, which is also the audience of a grant."""
    exchange_url: str
    client_id: str
    key_id: str
    key: RSAKey = field(repr=False)
    external_ref: str | None = None
    system_user: str | None = None
    """The organisation whose system user acts for all parties; None where each has its own."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Sent to the exchange with the token."""


@dataclass
class _Entry:
    """The token of one party and scope, or why it was refused."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    token: str | None = field(default=None, repr=False)
    good_until: float = 0.0
    ends: float = 0.0
    """When the token expires; it is renewed a little before that."""
    refusal: AccessRefused | None = None


@dataclass(frozen=True, kw_only=True)
class LentToken:
    """A token for another process of this machine, with the seconds of `time.monotonic`.

    `party` is the organisation whose system user has it.
    """

    party: str
    token: str = field(repr=False)
    good_until: float
    ends: float


class Tokens:
    """Altinn tokens.

    All methods may be called from several threads; only one at a time requests a party's token.

    A refusal is remembered for `refusal_lasts` seconds, so that a party without a system user costs
    one call a poll. `clock` counts seconds from any start, `wall` from 1970.
    """

    def __init__(
        self,
        http: HttpClient,
        identity: Identity,
        *,
        refusal_lasts: float,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._http = http
        self._identity = identity
        self._refusal_lasts = refusal_lasts
        self._clock = clock
        self._wall = wall
        self.clock_behind = 0.0
        """Seconds that this machine's clock is behind Maskinporten's; 0 while Maskinporten accepts
        its time.
        """
        self._lock = threading.Lock()
        self._entries: dict[tuple[str, str], _Entry] = {}

    def holder_of(self, party: str) -> str:
        """Return the organisation whose system user acts for the party."""
        return self._identity.system_user or party

    def token(self, party: str, scope: str) -> str:
        """Return a token with which the party's system user may use `scope`.

        Raises AccessRefused where something must be registered or granted first, and
        MailboxUnavailable.
        """
        party = self.holder_of(party)
        entry = self._entry(party, scope)
        with entry.lock:
            if self._clock() < entry.good_until:
                if entry.refusal:
                    raise type(entry.refusal)(str(entry.refusal))
                if entry.token:
                    return entry.token
            return self._renew(entry, party, scope)

    def drop(self, party: str, scope: str, token: str) -> None:
        """Forget a token that was not accepted, unless it has been replaced already."""
        entry = self._entry(self.holder_of(party), scope)
        with entry.lock:
            if entry.token == token:
                entry.token = None

    def lend(self, parties: Collection[str], scope: str) -> list[LentToken]:
        """Return the parties' tokens that are valid now. Makes no call."""
        holders = {self.holder_of(each) for each in parties}
        with self._lock:
            kept = {holder: self._entries.get((holder, scope)) for holder in holders}
        return [
            LentToken(party=holder, token=entry.token, good_until=entry.good_until, ends=entry.ends)
            for holder, entry in kept.items()
            if entry and entry.token and self._clock() < entry.good_until
        ]

    def borrow(self, tokens: Iterable[LentToken], scope: str) -> None:
        """Use tokens of another process of this machine, unless those here are valid for longer."""
        for each in tokens:
            entry = self._entry(each.party, scope)
            with entry.lock:
                if entry.token is None or entry.good_until < each.good_until:
                    entry.token, entry.refusal = each.token, None
                    entry.good_until, entry.ends = each.good_until, each.ends

    def first_end(self, scope: str) -> datetime | None:
        """Return when the first token for `scope` expires, by this machine's clock.

        None if none is kept. One that was not needed lately may have expired already.
        """
        with self._lock:
            kept = [entry for (_, known), entry in self._entries.items() if known == scope]
        ends = min((entry.ends for entry in kept if entry.token), default=None)
        return (
            None
            if ends is None
            else datetime.fromtimestamp(self._wall() + ends - self._clock(), UTC)
        )

    def grant(self, party: str, scope: str) -> str:
        """Return Maskinporten's token, for an exchange. Raises as `token` does."""
        party = self.holder_of(party)
        answer = self._ask(party, scope)
        if answer.status != _OK and self._corrected_clock(answer):
            answer = self._ask(party, scope)
        if answer.status != _OK:
            raise refusal(answer, party)
        return str(answer.value)

    def exchange(self, token: str) -> tuple[str, float]:
        """Return Altinn's token for Maskinporten's, and its lifetime in seconds.

        Raises MailboxUnavailable.
        """
        headers = {
            **self._identity.headers,
            "Authorization": f"Bearer {token}",
            "Accept": "text/plain",
        }
        answer = self._http.get(self._identity.exchange_url, headers, parse=_altinn_token)
        if answer.status != _OK:
            raise MailboxUnavailable(
                f"Altinn did not exchange Maskinporten's token ({answer.status}); it is tried "
                "again at the next poll. If this persists, check that `environment` and the clock "
                "are right, and whether Altinn requires a `subscription_key`"
            )
        text, lifetime = answer.value
        return str(text), float(lifetime)

    def _entry(self, party: str, scope: str) -> _Entry:
        with self._lock:
            return self._entries.setdefault((party, scope), _Entry())

    def _renew(self, entry: _Entry, party: str, scope: str) -> str:
        entry.token = entry.refusal = None
        started = self._clock()
        try:
            token, lifetime = self.exchange(self.grant(party, scope))
        except AccessRefused as error:
            entry.refusal = type(error)(str(error))  # without the traceback
            entry.good_until = started + self._refusal_lasts
            raise
        entry.ends, entry.good_until = (
            started + lifetime,
            started + lifetime - min(_MARGIN, lifetime / 5),
        )
        entry.token = token
        return token

    def _ask(self, party: str, scope: str) -> HttpResponse:
        form = urlencode(
            {"grant_type": _GRANT_TYPE, "assertion": self._assertion(party, scope)}
        ).encode()
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        return self._http.post(
            f"{self._identity.issuer}token", headers, form, parse=_maskinporten_token
        )

    def _assertion(self, party: str, scope: str) -> str:
        issued = int(self._wall() + self.clock_behind)
        claims = {
            "iss": self._identity.client_id,
            "aud": self._identity.issuer,
            "scope": scope,
            "iat": issued,
            "exp": issued + _GRANT_LASTS,
            "jti": str(uuid4()),
            "authorization_details": [self._system_user(party)],
        }
        header = {"alg": "RS256", "kid": self._identity.key_id}
        return jwt.encode(header, claims, self._identity.key, algorithms=["RS256"])

    def _system_user(self, party: str) -> dict[str, Any]:
        detail: dict[str, Any] = {
            "type": "urn:altinn:systemuser",
            "systemuser_org": {"authority": "iso6523-actorid-upis", "ID": f"0192:{party}"},
        }
        if self._identity.external_ref:
            detail["externalRef"] = self._identity.external_ref
        return detail

    def _corrected_clock(self, answer: HttpResponse) -> bool:
        """Adopt Maskinporten's clock if the grant was refused for its time; return whether so."""
        date = answer.date
        if date is None or not is_about_the_clock(answer):
            return False
        self.clock_behind = date.timestamp() - self._wall()
        return True


def _maskinporten_token(body: bytes) -> str:
    token = json_object(body).get("access_token")
    if not isinstance(token, str) or not token:
        raise ValueError("no access_token")
    return token


def _altinn_token(body: bytes) -> tuple[str, float]:
    """Return the token, which may come in quotes, and its lifetime by its issuer's clock."""
    text = body.decode("ascii").strip().strip('"')
    claims = _claims(text)
    begins, ends = claims.get("iat", claims.get("nbf")), claims.get("exp")
    if not isinstance(begins, int | float) or not isinstance(ends, int | float):
        # nonsense from outside is a bad value
        raise ValueError("a token without times")  # noqa: TRY004
    return text, min(max(0.0, ends - begins), _LONGEST_LIFETIME)


def _claims(token: str) -> dict[str, Any]:
    """Read a token's claims; Altinn checks its signature. Raises ValueError."""
    pieces = token.split(".")
    if len(pieces) != _PIECES or not all(re.fullmatch(r"[A-Za-z0-9_-]+", each) for each in pieces):
        raise ValueError("no token")
    try:
        return json_object(base64.urlsafe_b64decode(pieces[1] + "=" * (-len(pieces[1]) % 4)))
    except binascii.Error as error:
        raise ValueError("no token") from error
