"""Case numbers as Norwegian archives write them (2026/1234, 26/1234), found in a letter's text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from daemon.core.folding import readable

_CASE_NUMBER = re.compile(r"\b(?:((?:19|20)\d{2})/(\d{1,7})|(\d{2})/(\d{3,7}))\b", re.ASCII)
_MONTH = re.compile(r"(?:0[1-9]|1[0-2])/(?:19|20)\d{2}")


def case_numbers(text: str) -> tuple[str, ...]:
    """Return the case numbers in the text, each once, in their order.

    Months (12/2026), school years (2026/27, 2026/2027) and days (21/12) look like case numbers and
    are left out. Invisible characters do not split a number.
    """
    return tuple(dict.fromkeys(_found(readable(text)))) if "/" in text else ()


def _found(text: str) -> Iterator[str]:
    for found in _CASE_NUMBER.finditer(text):
        year, number = found[1], found[2]
        is_span = year is not None and int(number) in {int(year) + 1, (int(year) + 1) % 100}
        if not is_span and not _MONTH.fullmatch(found[0]):
            yield found[0]
