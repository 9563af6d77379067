"""Mails of one case are shown together, and no others."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid5

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connectors.mail.compose import thread_ids
from daemon.core.document import LetterDocument
from daemon.routing.facts import Facts
from tests.connectors.mail_tools import MakeParcel, mail_to, parsed
from tests.parcels import MOMENT, new_parcel

NAMESPACE = UUID("b5f3c0a4-52c1-5f0b-9d0a-3f6e0c1d7a92")
SENDERS = (
    "Ås kommune",
    "ÅS  KOMMUNE",
    "As kommune",
    "974761076",
    "974761076:a",
    "a/reference/b",
    "",
)
TEXTS = ("Sak 2026/12", "2026/34 og 2026/12", "Vedtak", "Gjelder 2026/34", "20\u00ad26/12", "")
REFERENCES = ("", "a", " a ", "a:b", "b", "A", "a\u200b", "ref  1", "ref 1", "\u200b", "2026/12")
letters = st.fixed_dictionaries(
    {
        "party": st.sampled_from(("991825827", "974761076")),
        "sender_org": st.sampled_from((None, "974761076", "991825827")),
        "sender_name": st.sampled_from(SENDERS) | st.text(max_size=4),
        "title": st.sampled_from(TEXTS),
        "summary": st.sampled_from(TEXTS),
        "sender_reference": st.sampled_from(REFERENCES) | st.text(max_size=4),
    }
)
TWO_NUMBERS = {"title": "Svar i 2026/34 og 2026/12", "sender_reference": ""}
SECOND_ALONE = {"title": "Vedtak i 2026/12", "sender_reference": ""}
BY_NAME = {"sender_org": None, "sender_name": "Ås kommune"}
LOUD = {"sender_org": None, "sender_name": "ÅS KOMMUNE"}


def document_of(fields: dict[str, Any]) -> LetterDocument:
    """The document of a letter with these fields."""
    document: LetterDocument = new_parcel(files={}, **fields).document
    return document


def ids_of(fields: dict[str, Any]) -> set[str]:
    """The ids of the threads that the letter's mail belongs to."""
    return set(thread_ids(document_of(fields), "example.no"))


def keys_of(fields: dict[str, Any]) -> set[str]:
    """The keys of the cases that the routing table sees the letter in."""
    document = document_of(fields)
    return set(
        Facts(
            service="4255/8",
            at=MOMENT,
            party=document.party,
            sender_org=document.sender.organisation,
            sender_name=document.sender.name,
            title=document.title,
            summary=document.summary,
            reference=document.sender_reference,
        ).threads
    )


@given(letters, letters)
@example(TWO_NUMBERS, SECOND_ALONE)
@example(BY_NAME, LOUD)
@example({"sender_reference": "ref 1"}, {"sender_reference": "ref\u00a01"})
@example(
    {"sender_org": None, "sender_name": "974761076:a", "sender_reference": "b"},
    {"sender_org": "974761076", "sender_reference": "a:b"},
)
@settings(max_examples=400, deadline=None)
def test_mails_agree_with_the_routing_table(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Two mails share a thread if and only if the routing table takes their letters for one
    case."""
    ids, keys = ids_of(one), keys_of(one)
    assert bool(ids & ids_of(other)) == bool(keys & keys_of(other))
    assert len(ids) == len(keys)


def test_every_case_is_in_the_mail(servers: Any, make_parcel: MakeParcel) -> None:
    """A mail names each of its letter's cases, in every repeat alike, and answers the last."""
    server, parcel = servers.mail(), make_parcel(**TWO_NUMBERS, summary="Se også 26/345")
    for _ in range(2):
        mail_to(server).deliver(parcel)
    first, second = map(parsed, server.mails)
    assert first["References"] == second["References"]
    named = first["References"].split()
    assert tuple(named) == thread_ids(parcel.document, "example.no")
    assert len(named) == len(set(named)) == 3
    assert first["In-Reply-To"] == named[-1]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"title": "Vedtak i 2026/12", "sender_reference": ""}, "case/2026/12"),
        ({"title": "Vedtak", "sender_reference": "Vår ref./17"}, "reference/Vår ref./17"),
    ],
)
def test_threads_from_before_go_on(fields: dict[str, Any], text: str) -> None:
    """A sender with an organisation number keeps the thread that earlier versions began."""
    document = document_of(fields)
    before = uuid5(NAMESPACE, f"{document.party}/{document.sender.organisation}/{text}")
    assert thread_ids(document, "example.no") == (f"<thread.{before}@example.no>",)
