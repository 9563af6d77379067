"""Why Maskinporten refused a token, and who has to do what about it.

A refusal is JSON: `error`, `error_description` (a sentence and an id for support) and, for some,
`error_uri`, the address of a page whose last part is the code:
`https://maskinporten.no/errors/MP-121`. The sentence itself rarely contains the code, and some
refusals have none at all. Which HTTP status belongs to a code is not documented, so only the body
counts.

Sources: felleslosninger/docs `maskinporten_feilsoking.md` (format, codes, most sentences) and
`maskinporten_func_systembruker.md`; digdir/roadmap issue 1 (the codes' pages under `/errors/`,
April 2024); ks-no/fiks-maskinporten-client-dotnet pull request 186 (an unknown key id, without a
page, October 2024); Altinn/altinn-studio-docs, "mp-303-error" (its causes). Answers of 2024 and
2025 that users have published have `(trace_id: …)` at the end, older ones `(correlation id: …)`. No
sentence is published for a client that is switched off; it is recognised by its words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType

from connectors.net.http_response import HttpResponse, json_object
from daemon.core.errors import AccessRefused, MailboxError, MailboxUnavailable

_GUIDE = "https://docs.digdir.no/docs/Maskinporten/maskinporten_feilsoking"
_LONGEST_LINK = 200


@dataclass(frozen=True, kw_only=True)
class _Cause:
    """A reason for a refusal, by the codes and the sentences (regular expressions) that name it."""

    remedy: str
    codes: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()
    of_one_party: bool = False

    def is_said_by(self, text: str) -> bool:
        """Whether the text, `error: error_description`, contains one of the sentences."""
        return any(re.search(each, text, re.IGNORECASE) for each in self.sentences)


_CLOCK = _Cause(
    remedy="set its clock, for example with chrony",
    codes=("MP-130",),
    sentences=(r"issue time is after now", r"JWT (is|has) expired", r"JWT claim (iat|exp|nbf)"),
)
_CAUSES = (
    _Cause(
        remedy=(
            "it knows no matching system user. Usual causes: 1) `client_id` is not listed on the "
            "system in Altinn's system register; 2) the system user was created with an "
            "externalRef, and `external_ref` is missing; 3) `external_ref` is a different one; 4) "
            "the number in `parties` is not that of the organisation that owns the system user, or "
            "that has not approved it yet"
        ),
        codes=("MP-303",),
        sentences=(
            r"^invalid_altinn_customer_configuration\b",
            r"invalid authorization details values",
        ),
        of_one_party=True,
    ),
    _CLOCK,
    _Cause(
        remedy=(
            "the client has no key with this id. Compare `key_id` with the keys of the client in "
            "Samarbeidsportalen, and `client_id` with the client on which the key is registered; "
            "`postmottak key list` shows the keys of this machine"
        ),
        sentences=(
            r"unknown key identifier",
            r"unknown kid\b",
            r"requires pre-registered jwk",
        ),
    ),
    _Cause(
        remedy=(
            "the client is switched off; have it switched on again in Samarbeidsportalen, "
            "or write the id of another client as `client_id`"
        ),
        sentences=(
            r"client\b.{0,60}\b(disabled|deactivated|inactive|suspended|blocked)\b",
            r"client\b.{0,60}\bis not (active|enabled)\b",
            r"\b(disabled|deactivated|inactive) client\b",
        ),
    ),
    _Cause(
        remedy=(
            "the key has expired, as keys do a year after they were registered. Make a new "
            "one with "
            "`postmottak key new`, register it on the client, and update `key_file`, `key_id` and "
            "`key_expires`; or register the same one again, and update `key_expires`"
        ),
        codes=("MP-121",),
        sentences=(r"expired key", r"key (is|has) expired"),
    ),
    _Cause(
        remedy=(
            "the signature does not match; `key_file` must contain the private half of the "
            "key that "
            "is registered as `key_id`. `postmottak key list` shows which file has which id"
        ),
        codes=("MP-124",),
        sentences=(r"invalid JWT signature",),
    ),
    _Cause(
        remedy=(
            "the audience is wrong; correct `environment` or `maskinporten_url`, which must be "
            "Maskinporten's issuer"
        ),
        codes=("MP-110",),
        sentences=(r"JWT claim aud\b", r"invalid audience"),
    ),
    _Cause(
        remedy=(
            "it takes the key for an enterprise certificate's, which Postmottak never signs with; "
            "register the public key that `postmottak key list --json` prints on the client, and "
            "write its id as `key_id`"
        ),
        codes=("MP-120", "MP-122", "MP-123"),
        sentences=(
            r"signed with an invalid certificate",
            r"does not match certificate orgno",
            r"invalid JWT header x5c",
        ),
    ),
    _Cause(
        remedy=(
            "it received the same grant twice; if this persists, check that no other program with "
            "a stopped clock uses this key"
        ),
        codes=("MP-012",),
        sentences=(r"grant is used before",),
    ),
    _Cause(
        remedy="the scope is not allowed for this kind of client; use a Maskinporten client",
        codes=("MP-201",),
        sentences=(r"scopes not allowed for maskinporten", r"only allowed for user login"),
    ),
    _Cause(
        remedy="the scope is not registered on the client; add it in Samarbeidsportalen",
        codes=("MP-200",),
        sentences=(r"invalid scopes for client", r"^invalid_scope\b"),
    ),
    _Cause(
        remedy=(
            "the client's organisation does not have the scope; order it from Altinn "
            "(servicedesk@altinn.no)"
        ),
        codes=("MP-250",),
        sentences=(r"not been granted access to the scope",),
    ),
    _Cause(
        remedy="the delegation is missing; have the organisation delegate it in Altinn",
        codes=("MP-251",),
        sentences=(r"not delegated access to the scope",),
        of_one_party=True,
    ),
    _Cause(
        remedy=(
            "it has no system users in this environment; check that `environment` is the client's"
        ),
        codes=("MP-301",),
        sentences=(r"unknown authorization details type",),
    ),
    _Cause(
        remedy=(
            "it does not understand the request for a system user; look for a newer version of "
            "Postmottak"
        ),
        codes=("MP-302",),
        sentences=(r"unknown fields in the authorization details",),
    ),
    _Cause(
        remedy=(
            "it does not know the client; compare `client_id` with the client in "
            "Samarbeidsportalen, check that the client is switched on there, and that "
            "`environment` is the one where it was created"
        ),
        codes=("MP-100",),
        sentences=(r"client not found", r"client authentication failed\.? *(\(|$)"),
    ),
    _Cause(
        remedy=(
            "a parameter is missing or wrong; check that `client_id`, `key_id` and `parties` are "
            "as registered"
        ),
        codes=("MP-011",),
        sentences=(r"invalid parameter value",),
    ),
)
REMEDIES = MappingProxyType({code: each.remedy for each in _CAUSES for code in each.codes})
"""What is wrong and how to fix it, by Maskinporten's code."""
_BY_CODE = MappingProxyType({code: each for each in _CAUSES for code in each.codes})
_VAGUE = frozenset({"MP-100", "MP-011"})
"""Codes of several causes, which the sentence may tell apart."""


class PartyRefused(AccessRefused):
    """Something is missing for one party; other parties may work."""


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """What a refusal says."""

    error: str
    description: str
    link: str

    @property
    def code(self) -> str:
        """The code, from the page's address or from the text; empty if there is none."""
        found = re.search(r"MP-[0-9]{3}", f"{self.link} {self.error} {self.description}")
        return found[0] if found else ""

    @property
    def cause(self) -> _Cause | None:
        """The reason, if it is a known one.

        A precise code comes first, then the sentence, then a code of several causes.
        """
        by_code = _BY_CODE.get(self.code)
        if by_code and self.code not in _VAGUE:
            return by_code
        return next((each for each in _CAUSES if each.is_said_by(self.text)), by_code)

    @property
    def text(self) -> str:
        """Maskinporten's words, with its id for support."""
        return f"{self.error}: {self.description}"

    @property
    def words(self) -> str:
        """The answer in one line: Maskinporten's words, and the page about them."""
        return "; ".join(filter(None, (self.text, self.link)))


def is_about_the_clock(answer: HttpResponse) -> bool:
    """Whether the grant was refused for its time."""
    found = _read(answer)
    return found is not None and found.cause is _CLOCK


def refusal(answer: HttpResponse, party: str) -> MailboxError:
    """Return why there is no token for the party, and who has to do what."""
    found = _read(answer)
    if found is None:
        return MailboxUnavailable(
            f"Maskinporten answered {answer.status} without a reason; it is tried again at the "
            "next poll. If this persists, check that `maskinporten_url` is right, and that no "
            "proxy intercepts the connection"
        )
    cause = found.cause
    if cause is _CLOCK:
        return MailboxUnavailable(
            f"Maskinporten does not accept this machine's time ({found.words}); {cause.remedy}"
        )
    if cause is None:
        return AccessRefused(
            f"Maskinporten refuses a token for {party}, and Postmottak does not know the reason "
            f"that it gives; read {found.link or _GUIDE}, and correct the client or the "
            f"configuration ({found.words})"
        )
    kind = PartyRefused if cause.of_one_party else AccessRefused
    return kind(f"Maskinporten refuses a token for {party}: {cause.remedy} ({found.words})")


def _read(answer: HttpResponse) -> _Answer | None:
    """Return what the refusal says, in short lines; None if it says nothing.

    Words as long as a token are left out.
    """
    try:
        body = json_object(answer.body)
    except ValueError:
        return None
    return _Answer(
        error=_short(body.get("error")),
        description=_short(body.get("error_description")),
        link=_link(body.get("error_uri")),
    )


def _short(value: object) -> str:
    text = " ".join(str(value or "").split())
    return re.sub(r"\S{60,}", "…", text)[:300]


def _link(value: object) -> str:
    """Return a web address without its query; nothing else that an answer calls a link."""
    text = str(value or "").partition("?")[0]
    is_link = re.fullmatch(r"https?://[!-~]+", text) and len(text) <= _LONGEST_LINK
    return text if is_link and not re.search(r"[A-Za-z0-9_-]{60,}", text) else ""
