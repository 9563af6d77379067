"""How a sheet in each language writes yes and no, and a day.

Faults and previews write them as the sheet does. Without a language it is as in routing.toml.
"""

from __future__ import annotations

import re
from datetime import date

YES_AND_NO = {"": ("true", "false"), "en": ("yes", "no"), "nb": ("ja", "nei")}
EXCELS_TRUTHS = {"": ("TRUE", "FALSE"), "en": ("TRUE", "FALSE"), "nb": ("SANN", "USANN")}
"""How Excel shows them where it has taken them for its own."""
DAY_FORMATS = {"": "yyyy-mm-dd", "en": "yyyy-mm-dd", "nb": "dd.mm.yyyy"}
"""The number format of a day in Excel."""
EXAMPLE = date(2026, 12, 21)
_DAY_IN_TEXT = re.compile(
    r"""(?P<quoted>'[^']*'|"[^"]*")|(?<![\w-])(?P<day>\d{4}-\d\d-\d\d)(?![\w-])"""
)


def yes_or_no(value: bool, language: str) -> str:  # one value, and no switch
    """Return the word for true or false."""
    return YES_AND_NO[language][0 if value else 1]


def day_text(day: date, language: str) -> str:
    """Return a day as it is written."""
    return f"{day.day:02}.{day.month:02}.{day.year:04}" if language == "nb" else day.isoformat()


def with_days(text: str, language: str) -> str:
    """Return a sentence with its days, such as 2026-12-21, as they are written.

    What stands in quotes is somebody's own, and stays.
    """
    return _DAY_IN_TEXT.sub(lambda found: found["quoted"] or _day_in(found["day"], language), text)


def _day_in(text: str, language: str) -> str:
    try:
        return day_text(date.fromisoformat(text), language)
    except ValueError:
        return text
