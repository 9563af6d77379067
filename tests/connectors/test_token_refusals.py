"""What Maskinporten says when it refuses a token, as published by its users, and the remedy."""

from __future__ import annotations

import json

import pytest

from connectors.altinn3.token_refusals import REMEDIES, PartyRefused, is_about_the_clock, refusal
from connectors.net.http_response import HttpResponse
from daemon.core.errors import MailboxError, MailboxUnavailable

PARTY = "991825827"
FAILED = "Invalid assertion. Client authentication failed."
TRACE = "(trace_id: 356666143081bbec11d293753e9702ca)"


def told(error: str, description: str, uri: str | None = None, party: str = PARTY) -> MailboxError:
    """Return what Postmottak makes of a refusal."""
    body = {"error": error, "error_description": description}
    body |= {"error_uri": uri} if uri else {}
    return refusal(HttpResponse(status=400, headers={}, body=json.dumps(body).encode()), party)


PUBLISHED = {
    "client": ("invalid_grant", f"{FAILED} {TRACE}", "compare `client_id`"),
    "not found": ("invalid_grant", f"Client not found {TRACE}", "compare `client_id`"),
    "key id": (
        "invalid_grant",
        f"{FAILED} Unknown key identifier (kid) for client. {TRACE}",
        "Compare `key_id`",
    ),
    "old trace": (
        "invalid_grant",
        f"{FAILED} Unknown key identifier (kid) for client. (correlation id: 023510ad-58bb)",
        "Compare `key_id`",
    ),
    "no key id": (
        "invalid_grant",
        f"{FAILED} The client requires pre-registered jwk and no key identifier (kid) provided",
        "Compare `key_id`",
    ),
    "signature": ("invalid_grant", f"{FAILED} Invalid JWT signature. {TRACE}", "`key_file` must"),
    "expired": ("invalid_grant", f"{FAILED} Expired key. {TRACE}", "`postmottak key new`"),
    "audience": ("invalid_grant", f"{FAILED} Invalid JWT claim aud. {TRACE}", "`environment`"),
    "clock": ("invalid_grant", f"Issue time is after now {TRACE}", "set its clock"),
    "late": ("invalid_grant", f"{FAILED} JWT is expired. {TRACE}", "set its clock"),
    "certificate": (
        "invalid_grant",
        f"{FAILED} The JWT is signed with an invalid certificate. {TRACE}",
        "enterprise certificate",
    ),
    "twice": ("invalid_grant", f"Grant is used before {TRACE}", "same grant twice"),
    "scope": (
        "invalid_scope",
        f"Token request contains invalid scopes for client, altinn:correspondence.read {TRACE}",
        "add it in Samarbeidsportalen",
    ),
    "scope of users": (
        "invalid_scope",
        f"Token request contains scopes not allowed for maskinporten {TRACE}",
        "use a Maskinporten client",
    ),
    "not granted": (
        "forbidden",
        f"Consumer has not been granted access to the scope altinn:correspondence.read. {TRACE}",
        "order it from Altinn",
    ),
    "not delegated": (
        "forbidden",
        (
            "Consumer 958935420 has not delegated access to the scope x to supplier 920204368. "
            f"{TRACE}"
        ),
        "delegation is missing",
    ),
    "system user": ("invalid_altinn_customer_configuration", f"Client not found {TRACE}", "4) the"),
    "parameter": (
        "invalid_request",
        f"Invalid assertion. Invalid parameter value {TRACE}",
        "are as",
    ),
}


@pytest.mark.parametrize(("error", "description", "words"), PUBLISHED.values(), ids=PUBLISHED)
def test_the_published_sentences_have_their_remedy(
    error: str, description: str, words: str
) -> None:
    """Without any code, each sentence leads to its own remedy, and is quoted with its id."""
    text = str(told(error, description))
    assert words in text
    assert f"({error}: {description})" in text


def test_the_page_tells_the_code() -> None:
    """A code that is only in `error_uri` decides, and the page is named."""
    page = "https://maskinporten.no/errors/MP-121"
    text = str(told("invalid_grant", f"Ugyldig forespørsel {TRACE}", page))
    assert REMEDIES["MP-121"] in text
    assert text.endswith(f"{TRACE}; {page})")


def test_a_code_of_several_causes_leaves_the_word_to_the_sentence() -> None:
    """MP-100 stands for an unknown client and for an unknown key: the sentence says which."""
    page = "https://maskinporten.no/errors/MP-100"
    key = told("invalid_grant", f"{FAILED} Unknown key identifier (kid) for client.", page)
    assert "Compare `key_id`" in str(key)
    assert "compare `client_id`" in str(told("invalid_grant", f"{FAILED} {TRACE}", page))


@pytest.mark.parametrize(
    "sentence",
    [
        "The client is disabled",
        "Client 2f8d is not active",
        "Inactive client",
        "client deactivated",
    ],
)
def test_a_client_that_is_switched_off(sentence: str) -> None:
    """However it is worded, somebody is told to switch the client on again."""
    assert "switched off" in str(told("invalid_grant", f"{FAILED} {sentence}. {TRACE}"))


@pytest.mark.parametrize("page", [None, "https://maskinporten.no/errors/MP-999"])
def test_an_unknown_refusal_is_quoted_with_a_link(page: str | None) -> None:
    """The sentence, its id and a page to read are all there, and no reason is made up."""
    text = str(told("invalid_grant", f"Månen står feil {TRACE}", page))
    assert f"Månen står feil {TRACE}" in text
    assert (page or "https://docs.digdir.no/docs/Maskinporten/maskinporten_feilsoking") in text
    assert not any(remedy in text for remedy in REMEDIES.values())


@pytest.mark.parametrize(
    "page",
    [
        "javascript:alert(1)",
        "https://example.no/\x1b[2J",
        f"https://example.no/{'e' * 400}",
        f"https://example.no/{'eyJhbGciOiJSUzI1NiJ9' * 4}",
        ["https://example.no"],
    ],
)
def test_what_is_no_link_is_not_shown(page: object) -> None:
    """An odd `error_uri` cannot put control characters or a token into a message."""
    body = {"error": "invalid_grant", "error_description": "Odd", "error_uri": page}
    answer = HttpResponse(status=400, headers={}, body=json.dumps(body).encode())
    assert "example.no" not in str(refusal(answer, PARTY))
    assert "javascript" not in str(refusal(answer, PARTY))


def test_a_links_query_is_left_out() -> None:
    """A page's address is shown without what might be a grant."""
    text = str(told("x", "Odd", "https://maskinporten.no/errors/MP-999?assertion=secret"))
    assert "https://maskinporten.no/errors/MP-999" in text
    assert "secret" not in text


def test_the_kind_of_error_says_who_is_concerned() -> None:
    """A system user or a delegation concerns one party, the clock is tried again, and the rest
    concerns the whole mailbox."""
    party = [each for each in PUBLISHED if isinstance(told(*PUBLISHED[each][:2]), PartyRefused)]
    again = [
        each for each in PUBLISHED if isinstance(told(*PUBLISHED[each][:2]), MailboxUnavailable)
    ]
    assert (party, again) == (["not delegated", "system user"], ["clock", "late"])
    body = json.dumps({"error": "invalid_grant", "error_description": "Issue time is after now"})
    assert is_about_the_clock(HttpResponse(status=400, headers={}, body=body.encode()))
    assert not is_about_the_clock(HttpResponse(status=400, headers={}, body=b"{}"))
