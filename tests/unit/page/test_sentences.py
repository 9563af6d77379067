"""What the core says in English is said in Norwegian on the page."""

from __future__ import annotations

import re

import pytest

from daemon.page.sentences import SENTENCES, said
from daemon.page.words import translations
from tests.unit.page.core_sentences import sentences

_PLACE = re.compile(r"%\(\w\)s")
_IN_PARTS = re.compile(
    r"X0 \(X2\)|the last route, X1, X3|X0 must be X2|Write X1|X0 is already used by another X2"
)
"""The place of a fault, and sentences whose values are words themselves: see below."""


@pytest.mark.parametrize("language", ["nb", "nn"])
def test_every_sentence_of_the_checks_has_a_translation(language: str) -> None:
    """A fault or warning of the routing table, in a file or a spreadsheet, is never English."""
    translate = translations(language).gettext
    every = {each for each in sentences() if " " in each and not _IN_PARTS.fullmatch(each)}
    assert len(every) > 90
    assert sorted(each for each in every if said(each, translate) is None) == []


@pytest.mark.parametrize("language", ["nb", "nn"])
def test_a_translation_has_the_values_of_its_sentence(language: str) -> None:
    """None is lost, and none stands for another."""
    translate = translations(language).gettext
    for each in SENTENCES:
        assert sorted(_PLACE.findall(translate(each))) == sorted(_PLACE.findall(each))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "the route 'A: x' can never match: the earlier route 'B' takes all its letters",
            "ruten 'A: x' kan aldri slå til: den tidligere ruten 'B' tar alle brevene dens",
        ),
        ("'post' is already used by another route", "'post' er alt i bruk for en annen rute"),
        ("'%(a)s' is not a date", "'%(a)s' er ikke en dato"),
        ("Did you mean 'regnskap'?", "Mente du 'regnskap'?"),
        ("'x' must be ja or nei", "'x' må være ja eller nei"),
        ("the last route, 'A', has conditions", "den siste ruten, 'A', har vilkår"),
        (
            'Add a value under "Til" with the name of a recipient',
            'Fyll ut "Til" med navnet på en mottaker',
        ),
        ("something else", None),
    ],
)
def test_values_stand_in_the_translation(text: str, expected: str | None) -> None:
    """Whatever a name or a value looks like, it stays as it is."""
    assert said(text, translations("nb").gettext) == expected
