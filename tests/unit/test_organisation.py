"""Organisation numbers: nine digits whose last one proves the others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.organisation import is_organisation_number, organisation_number

REAL = ["991825827", "974761076", "964965226", "910075918"]


@pytest.mark.parametrize("number", REAL)
def test_a_right_number_is_one(number: str) -> None:
    """Nine digits with a right check digit are an organisation number."""
    assert is_organisation_number(number)


@pytest.mark.parametrize("number", REAL)
def test_any_other_last_digit_is_wrong(number: str) -> None:
    """Only one check digit is right for each number."""
    assert not any(
        is_organisation_number(number[:8] + digit) for digit in "0123456789" if digit != number[8]
    )


@given(st.text("0123456789", min_size=8, max_size=8))
def test_no_number_has_two_check_digits(first: str) -> None:
    """Every eight digits have one check digit, or none where it would be ten."""
    assert sum(is_organisation_number(first + digit) for digit in "0123456789") in {0, 1}


@given(st.sampled_from(REAL), st.integers(0, 8), st.sampled_from("0123456789"))
def test_one_mistyped_digit_is_found(number: str, place: int, digit: str) -> None:
    """A single wrong digit never makes another organisation's number."""
    mistyped = number[:place] + digit + number[place + 1 :]
    assert is_organisation_number(mistyped) == (mistyped == number)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "99182582",
        "9918258270",
        "99182582a",
        " 991825827",
        "991825827\n",
        "991 825 827",
        "٩٩١٨٢٥٨٢٧",
    ],
)
def test_other_texts_are_none(text: str) -> None:
    """Anything but nine plain digits is not a valid organisation number."""
    assert not is_organisation_number(text)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("urn:altinn:organization:identifier-no:991825827", "991825827"),
        ("0192:991825827", "991825827"),
        (" 991825827 ", "991825827"),
        ("991825820", "991825820"),
        ("urn:altinn:person:identifier-no:991825827", None),
        ("0192:99182582", None),
        ("Skatteetaten", None),
        ("", None),
        (None, None),
    ],
)
def test_a_number_is_found_in_the_forms_of_altinn(text: str | None, number: str | None) -> None:
    """A number is read from each of Altinn's notations and kept as it came, right or wrong."""
    assert organisation_number(text) == number
