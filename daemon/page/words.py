"""The page's words in Norwegian (bokmål and nynorsk) and English, by gettext.

The message ids are English. Each domain, a folder of `locale`, belongs to one part of the page, so
that parts can be translated one by one. `make words` collects and compiles them.
"""

from __future__ import annotations

from functools import cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path

LANGUAGES = ("nb", "nn", "en")
DEFAULT = "nb"
_LOCALE = Path(__file__).parent / "locale"


@cache
def translations(language: str) -> NullTranslations:
    """Return all words in a language, one of `LANGUAGES`. They are read once."""
    found = NullTranslations()
    for path in sorted(_LOCALE.glob(f"{language}/*.mo")):
        with path.open("rb") as file:
            part = GNUTranslations(file)
        part.add_fallback(found)
        found = part
    return found


def chosen_language(cookie: str | None, accepted: str) -> str:
    """Return the language for a visitor: the one of the cookie, or the first that they accept.

    `accepted` is the header Accept-Language (RFC 9110, 12.5.4).
    """
    if cookie in LANGUAGES:
        return cookie
    for tag in _by_weight(accepted):
        language = {"no": "nb"}.get(tag.partition("-")[0].lower(), tag.partition("-")[0].lower())
        if language in LANGUAGES:
            return language
    return DEFAULT


def _by_weight(accepted: str) -> list[str]:
    weighed = []
    for each in accepted.split(","):
        tag, _, rest = each.strip().partition(";")
        weight = rest.strip().removeprefix("q=")
        try:
            weighed.append((float(weight or 1), tag))
        except ValueError:
            continue
    return [tag for weight, tag in sorted(weighed, key=lambda each: -each[0]) if weight > 0]
