"""Norwegian organisation numbers: nine digits, the last one a check digit.

Source of the rule: Brønnøysundregistrene, weights 3 2 7 6 5 4 3 2, modulus 11.
"""

from __future__ import annotations

import re

_WEIGHTS = (3, 2, 7, 6, 5, 4, 3, 2)


def is_organisation_number(text: str) -> bool:
    """Whether `text` is nine digits with a valid check digit."""
    if not re.fullmatch(r"[0-9]{9}", text):
        return False
    rest = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, text[:8], strict=True)) % 11
    check = 0 if rest == 0 else 11 - rest
    return check == int(text[8])


def organisation_number(text: str | None) -> str | None:
    """Return the nine digits of an organisation number, or None.

    They may be plain, or in `urn:altinn:organization:identifier-no:NNNNNNNNN` or
    `0192:NNNNNNNNN`. The check digit is not checked: a received number is kept as it came.
    """
    found = re.fullmatch(
        r"(?:urn:altinn:organization:identifier-no:|0192:)?([0-9]{9})", (text or "").strip()
    )
    return found.group(1) if found else None
