"""Finds senders that no letter can have: numbers that are not an organisation number.

Without this they would be taken for names, and their route would silently match nothing.
"""

from __future__ import annotations

import re

from daemon.core.folding import readable
from daemon.core.organisation import is_organisation_number

_NINE = re.compile(r"(?<![0-9])[0-9]{3}[ .-]?[0-9]{3}[ .-]?[0-9]{3}(?![0-9])")
_SCIENTIFIC = re.compile(r"[0-9]+(?:[.,][0-9]+)?E[+-]?[0-9]+", re.IGNORECASE)


def why_never_a_sender(text: str) -> tuple[str, str] | None:
    """Return what is wrong with a sender, and the remedy; None if it can be a name or a number.

    A name has letters, or a `*` that stands for some, and no organisation number within it.
    """
    seen = readable(text)
    for found in _NINE.findall(seen):
        digits = re.sub("[^0-9]", "", found)
        if is_organisation_number(digits):
            whole = seen.replace(" ", "") == digits
            problem = f"{text!r} is more than an organisation number, so no sender is called that"
            return None if whole else (problem, f"Write only the number: {digits}")
    if _SCIENTIFIC.fullmatch(seen):
        return (
            f"Excel has turned an organisation number into {text}",
            "Format the cell as text, and enter the nine digits again",
        )
    if any(each.isdigit() for each in seen) and not any(
        each.isalpha() or each == "*" for each in seen
    ):
        return (
            f"{text!r} is neither a name nor a valid organisation number",
            "Write the nine digits of the organisation number",
        )
    return None
