"""Why Maskinporten refused a token, and who has to do what about it.

Codes and their meaning: felleslosninger/docs `maskinporten_feilsoking.md` and
`maskinporten_func_systembruker.md`; the causes of MP-303: Altinn/altinn-studio-docs,
"mp-303-error". Which HTTP status belongs to a code is not documented, so only the body counts.
"""

from __future__ import annotations

import re

from connectors.net.http_response import HttpResponse, json_object
from daemon.core.errors import AccessRefused, MailboxError, MailboxUnavailable

_CLOCK = ("Issue time is after now", "MP-130")
_NO_CERTIFICATE = (
    "it takes the key for an enterprise certificate's, which Postmottak never signs with; register "
    "the public key that `postmottak init` prints on the client, and write its id as `key_id`"
)
_NO_SYSTEM_USER = "MP-303"
_NOT_DELEGATED = "MP-251"

REMEDIES = {
    "MP-011": (
        "a parameter is missing or wrong; check that `client_id`, `key_id` and `parties` are as "
        "registered"
    ),
    "MP-012": (
        "it received the same grant twice; if this persists, check that no other program with a "
        "stopped clock uses this key"
    ),
    "MP-100": (
        "it does not know the client; compare `client_id` and `key_id` with the client in "
        "Samarbeidsportalen, and check that `environment` is the one where the client was created"
    ),
    "MP-110": "the audience is wrong; correct `environment` or `maskinporten_url`",
    "MP-120": _NO_CERTIFICATE,
    "MP-121": (
        "the key has expired, as keys do a year after registration; register a new one on the "
        "client, or the same one again, and update `key_file`, `key_id` and `key_expires`"
    ),
    "MP-122": _NO_CERTIFICATE,
    "MP-123": _NO_CERTIFICATE,
    "MP-124": (
        "the signature does not match; `key_file` must contain the private half of the key that "
        "is registered as `key_id`"
    ),
    "MP-200": "the scope is not registered on the client; add it in Samarbeidsportalen",
    "MP-201": "the scope is not allowed for this kind of client; use a Maskinporten client",
    "MP-250": (
        "the client's organisation does not have the scope; order it from Altinn "
        "(servicedesk@altinn.no)"
    ),
    _NOT_DELEGATED: "the delegation is missing; have the organisation delegate it in Altinn",
    "MP-301": (
        "it has no system users in this environment; check that `environment` is the client's"
    ),
    "MP-302": (
        "it does not understand the request for a system user; look for a newer version of "
        "Postmottak"
    ),
    _NO_SYSTEM_USER: (
        "it knows no matching system user. Usual causes: 1) `client_id` is not listed on the "
        "system in Altinn's system register; 2) the system user was created with an externalRef, "
        "and `external_ref` is missing; 3) `external_ref` is a different one; 4) the number in "
        "`parties` is not that of the organisation that owns the system user, or that has not "
        "approved it yet"
    ),
}
"""What is wrong and how to fix it, by Maskinporten's code."""
_OF_ONE_PARTY = frozenset({_NO_SYSTEM_USER, _NOT_DELEGATED})


class PartyRefused(AccessRefused):
    """Something is missing for one party; other parties may work."""


def is_about_the_clock(answer: HttpResponse) -> bool:
    """Whether the grant was refused for its time."""
    error = _error(answer)
    return any(sign in error for sign in _CLOCK)


def refusal(answer: HttpResponse, party: str) -> MailboxError:
    """Return why there is no token for the party, and who has to do what."""
    error = _error(answer)
    if not error:
        return MailboxUnavailable(
            f"Maskinporten answered {answer.status} without a reason; it is tried again at the "
            "next poll. If this persists, check that `maskinporten_url` is right, and that no "
            "proxy intercepts the connection"
        )
    if is_about_the_clock(answer):
        return MailboxUnavailable(
            f"Maskinporten does not accept this machine's time ({error}); set its clock, for "
            "example with chrony"
        )
    code = re.search(r"MP-[0-9]{3}", error)
    key = (
        code[0]
        if code
        else _NO_SYSTEM_USER
        if "invalid_altinn_customer_configuration" in error
        else ""
    )
    remedy = REMEDIES.get(
        key,
        "look the code up in Maskinporten's troubleshooting guide, and correct the client or the "
        "configuration",
    )
    kind = PartyRefused if key in _OF_ONE_PARTY else AccessRefused
    return kind(f"Maskinporten refuses a token for {party}: {remedy} ({error})")


def _error(answer: HttpResponse) -> str:
    """Return Maskinporten's error, with its reference for support, in one short line.

    Words as long as a token are left out.
    """
    try:
        body = json_object(answer.body)
    except ValueError:
        return ""
    text = f"{body.get('error', '')}: {body.get('error_description', '')}"
    return re.sub(r"\S{60,}", "…", " ".join(text.split()))[:300]
