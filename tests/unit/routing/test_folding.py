"""What cannot be seen never decides where a letter goes, on whichever side it stands."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon.core.errors import ConfigurationError
from daemon.routing.conditions import matches
from daemon.routing.decide import decide
from daemon.routing.explain import explain
from daemon.routing.facts import Facts
from daemon.routing.spreadsheet.diff import toml_text
from daemon.routing.table import Table, parse_table
from tests.unit.routing.random_tables import DESTINATIONS, letters, scanned, tables

NOW = datetime(2026, 12, 1, tzinfo=UTC)
UNSEEN = (
    "\u00ad\u034f\u061c\u115f\u180b\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202e"
    "\u2060\u2063\u2066\u2069\u3164\ufe0f\ufeff\U000e0041\U000e0100"
)
BLANKS = (
    "  ",
    "\u00a0",
    "\u2007",
    "\u2009",
    "\u202f",
    "\u3000",
    "\u2028",
    "\t",
    "\r\n",
    "\u2800",
    " \u00ad ",
)
WORDS = {
    "title_contains": ("merverdiavgift", "Krav om MVA", "Sør-Øst", "ærlig å gå"),
    "title_matches": ("(?i)krav om mva", "Sør.Øst$", "å g[åa]"),
    "senders": ("Sør-Varanger kommune", "*kommune", "Skatteetaten"),
    "case_numbers": ("2026/1234", "2026/*"),
    "senders_reference": ("Vår ref. 17", "vår*17"),
    "language": ("nb",),
    "attachment_types": ("pdf", "application/pdf"),
}
LETTER = Facts(
    service="4255/8",
    at=NOW,
    title="Krav om mva og merverdiavgift i sak 2026/1234: ærlig å gå Sør-Øst",
    sender_name="Skatteetaten i Sør-Varanger kommune",
    reference="Vår ref. 17",
    language="nb",
    attachment_names=("Krav.pdf",),
    attachment_types=("application/pdf",),
)


@st.composite
def disguised(draw: st.DrawFn, text: str) -> str:
    """Text that looks the same and is written otherwise."""
    form: Literal["NFC", "NFD"] = draw(st.sampled_from(("NFC", "NFD")))
    pieces: list[str] = []
    for letter in unicodedata.normalize(form, text):
        shown = draw(st.sampled_from((" ", *BLANKS))) if letter == " " else letter
        pieces.append(draw(st.sampled_from(("", "", "", *UNSEEN))) + shown)
    last: str = draw(st.sampled_from(("", *UNSEEN)))
    return "".join(pieces) + last


def table_of(condition: str, value: object) -> Table:
    rows = {
        "recipient": [{"name": "post", "deliver_to": ["erp"]}],
        "route": [
            {"name": "valgt", condition: value, "to": ["post"]},
            {"name": "rest", "to": ["post"]},
        ],
    }
    return parse_table(toml_text(rows), "routing.toml", DESTINATIONS)


def route_of(table: Table, facts: Facts) -> str:
    decision = decide(table, facts)
    assert decision
    return decision.route


@pytest.mark.parametrize("condition", WORDS)
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_what_cannot_be_seen_decides_nothing(condition: str, data: Any) -> None:
    """A letter meets a condition that it seems to meet, however both are written, by the fast way
    and by the slow one."""
    word = data.draw(st.sampled_from(WORDS[condition]))
    wanted = word if condition == "title_matches" else data.draw(disguised(word))
    table = table_of(condition, wanted if condition == "title_matches" else [wanted])
    facts = replace(
        LETTER,
        title=data.draw(disguised(LETTER.title)),
        sender_name=data.draw(
            disguised("Skatteetaten" if word == "Skatteetaten" else "Sør-Varanger kommune")
        ),
        reference=data.draw(disguised(LETTER.reference)),
        language=data.draw(disguised(LETTER.language)),
        attachment_names=(data.draw(disguised("Krav.pdf")),),
        attachment_types=(data.draw(disguised("application/pdf")),),
    )
    assert route_of(table, facts) == "valgt"
    assert [route.name for route in scanned(table, facts)] == ["valgt", "rest"]


@given(tables(), letters, st.data())
@settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
def test_a_disguised_letter_goes_where_the_plain_one_goes(
    table: Table, facts: Facts, data: Any
) -> None:
    """Whatever the table, invisible characters in a letter change nothing, and the index leaves out
    no route that matches."""
    written = replace(
        facts,
        title=data.draw(disguised(facts.title)),
        sender_name=data.draw(disguised(facts.sender_name)),
    )
    assert scanned(table, written) == scanned(table, facts)
    assert [route for route in table.candidates(written) if matches(route, written)] == scanned(
        table, written
    )
    assert len(written.threads) == len(facts.threads)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Straße", "STRASSE"),
        ("İstanbul", "istanbul"),
        ("A\u2011melding", "a-melding"),
        ("ﬁn", "FIN"),
    ],
)
def test_letters_that_people_take_for_the_same(one: str, other: str) -> None:
    """Case, composed or not, and the hyphen of word processors make no difference, in either
    direction."""
    for wanted, title in ((one, other), (other, one)):
        assert (
            route_of(table_of("title_contains", [wanted]), replace(LETTER, title=f"om {title} nå"))
            == "valgt"
        )


def test_an_expression_for_what_cannot_be_seen() -> None:
    """An expression still finds what it found before: the title as it was sent, invisible
    characters and all."""
    table = table_of("title_matches", r"merver\x{00AD}di|a {2}b")
    assert route_of(table, replace(LETTER, title="merver\u00addi")) == "valgt"
    assert route_of(table, replace(LETTER, title="a  b")) == "valgt"
    assert route_of(table, replace(LETTER, title="merverdi")) == "rest"


@pytest.mark.parametrize("expression", ["merver\u00addi", "krav\u00a0om  mva", "a\u0301"])
def test_an_expression_with_what_cannot_be_seen(expression: str) -> None:
    """An expression that was pasted with invisible characters finds what it seems to say."""
    assert (
        route_of(
            table_of("title_matches", expression), replace(LETTER, title="merverdi, krav om mva, á")
        )
        == "valgt"
    )


def test_a_blank_around_a_word_is_also_the_edge_of_the_title() -> None:
    """A blank at the end of a word, which nobody sees in a spreadsheet, loses no letter whose title
    ends there."""
    table = table_of("title_contains", [" mva "])
    assert route_of(table, replace(LETTER, title="Krav om mva")) == "valgt"
    assert route_of(table, replace(LETTER, title="mva")) == "valgt"
    assert route_of(table, replace(LETTER, title="mva-krav")) == "rest"


@pytest.mark.parametrize(
    "condition",
    [
        "senders",
        "title_contains",
        "case_numbers",
        "senders_reference",
        "language",
        "attachment_types",
    ],
)
@pytest.mark.parametrize("value", [" ", "\u00ad", "\u00a0\u200b"])
def test_a_word_of_nothing_is_refused(condition: str, value: str) -> None:
    """A value in which nothing can be seen is a mistake: it would be in every title, or stand for a
    letter that says nothing."""
    with pytest.raises(ConfigurationError):
        table_of(condition, [value])


def test_a_sender_number_with_odd_blanks_is_a_number() -> None:
    """An organisation number as it is copied from a web page is one."""
    table = table_of("senders", ["974\u00a0761\u202f076\u200b"])
    assert route_of(table, replace(LETTER, sender_org="974761076")) == "valgt"


def test_explain_shows_what_cannot_be_seen() -> None:
    """An administrator who asks why sees the characters that look like nothing, in the title and in
    the table's words."""
    table = table_of("title_contains", ["mer\u200bverdier"])
    reason = (
        explain(table, replace(LETTER, title="merver\u00addi\u00a0og  a\u030a \U000e0041"))
        .tried[0]
        .reason
    )
    assert r"the title must contain mer\u200bverdier" in reason
    assert r"'merver\u00addi\u00a0og \u0020a\u030a \U000e0041'" in reason
    assert reason.isprintable()
    held = explain(table, replace(LETTER, title="Merverdier")).tried[0].reason
    assert held == r"title_contains: mer\u200bverdier"
