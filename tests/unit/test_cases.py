"""Which letters belong to one case."""

from __future__ import annotations

from typing import Any

import pytest

from daemon.core.cases import MOST_NUMBERS, case_keys

LETTER: dict[str, Any] = {
    "party": "991825827",
    "sender_org": "974761076",
    "sender_name": "Skatteetaten",
    "text": "Vedtak i 2026/12 og 26/345",
    "reference": " Vår  ref. 17 ",
}


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        (
            {},
            (
                "case:991825827:974761076:2026/12",
                "case:991825827:974761076:26/345",
                "reference:991825827:974761076:Vår ref. 17",
            ),
        ),
        ({"text": "", "sender_org": None}, ("reference:991825827:skatteetaten:Vår ref. 17",)),
        ({"text": "", "reference": "\u200b "}, ()),
        ({"sender_org": None, "sender_name": " \u00ad"}, ()),
    ],
)
def test_keys_keep_their_form(changes: dict[str, Any], keys: tuple[str, ...]) -> None:
    """The keys are the texts that stores already hold."""
    assert case_keys(**(LETTER | changes)) == keys


def test_case_numbers_are_bounded() -> None:
    """A title full of case numbers makes neither rows nor a mail's header without end."""
    text = " ".join(f"2026/{number}" for number in range(10_000))
    assert len(case_keys(**(LETTER | {"text": text}))) == MOST_NUMBERS + 1
