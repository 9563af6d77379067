"""What a newcomer to Altinn needs: a key pair, and what to register where, in order.

Sources: docs.digdir.no, Maskinporten (clients, scopes, keys); docs.altinn.studio, "system-vendor"
(system register, system user); the names of the access packages: Altinn/altinn-authorization-tmp
`PackageConstants.cs`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta

from joserfc.jwk import RSAKey

from connectors.altinn3.maskinporten import load_key

_BITS = 3072  # Maskinporten requires at least 2048
_ORDINARY = "urn:altinn:accesspackage:ordinaer-post-til-virksomheten"
_CONFIDENTIAL = "urn:altinn:accesspackage:post-til-virksomheten-med-taushetsbelagt-innhold"


def new_key() -> str:
    """Make a new private RSA key, PEM without passphrase. Takes about a second."""
    return RSAKey.generate_key(_BITS).as_pem(private=True).decode()


def key_expires(registered: date) -> date:
    """Return the last day of a key registered then; keys last a year at Maskinporten."""
    return registered + timedelta(days=364)


def public_jwk(private_key: str, key_id: str) -> str:
    """Return the public half, as a JSON Web Key on one line, to be registered.

    Raises ValueError if the key cannot be used.
    """
    public = load_key(private_key).as_dict(private=False)
    return json.dumps(
        {
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": key_id,
            "n": public["n"],
            "e": public["e"],
        }
    )


def steps(jwk: str) -> Iterator[str]:
    """Yield what to do, in order, one paragraph each."""
    yield (
        "Ask Altinn (servicedesk@altinn.no) to give your organisation the scope "
        "altinn:correspondence.read, and digdir:dialogporten, with which Postmottak asks who has "
        "something new, instead of listing every channel, and for `postmottak discover`."
    )
    yield (
        "In Digdir's Samarbeidsportalen, create a Maskinporten client with these scopes. Never add "
        "altinn:correspondence.write to it: Altinn would treat Postmottak as a sender. Write the "
        "client's id as `client_id`."
    )
    yield (
        "Register this public key on the client; the private key stays here. The key is valid for "
        "a year from then on: check that `key_expires` is its last day, so that you are notified "
        f"in time.\n\n{jwk}"
    )
    yield (
        "Register your system in Altinn's system register (POST "
        "<platform>/authentication/api/v1/systemregister/vendor) with that client's"
        f" id and the access package {_ORDINARY}; for confidential post also {_CONFIDENTIAL}."
    )
    yield (
        "Request a system user for each organisation whose mail is fetched, including your own"
        " (POST <platform>/authentication/api/v1/systemuser/request/vendor), with the same "
        "access packages. If the request has an"
        " externalRef, write it as `external_ref`."
    )
    yield (
        "Have someone who manages the organisation's access in Altinn open the confirmUrl in the "
        "answer and approve. No role includes confidential post: the main administrator has to "
        "give that package. Write the organisation numbers as `parties`. What was just approved "
        "shows in Dialogporten after up to 15 minutes, so wait before you look for a fault there. "
        "If one system user acts for many organisations, as an accounting house's does, write the "
        "house's number as `system_user`; each client must delegate the access package to the "
        "house."
    )
    yield (
        "Then verify every step with `postmottak check`, and find the resources that carry your "
        "mail with `postmottak discover`."
    )
