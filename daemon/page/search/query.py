"""What is asked of a list of letters, as a value and as the parameters of an address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from enum import StrEnum

from daemon.core.folding import fold_whole
from daemon.core.model import DeliveryState

FACETS = ("service", "sender", "route", "recipient", "party", "state")
"""What letters are counted by; one value of each can be chosen."""
_LONGEST = 200  # characters of a value; a browser's user writes fewer
_MOST_WORDS = 20
_TRIGRAM = 3
_STATES = frozenset(
    {
        DeliveryState.PENDING,
        DeliveryState.HELD,
        DeliveryState.DEAD,
        DeliveryState.DELIVERED,
    }
)


class DueWhen(StrEnum):
    """When an answer is due."""

    OVERDUE = "overdue"
    WEEK = "week"  # within seven days from now
    MONTH = "month"  # within thirty
    ANY = "any"  # there is a deadline
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class LetterQuery:
    """What letters must have; what is empty or None does not matter.

    `text` are words that must all occur, each anywhere inside a word. `sender` is an organisation
    number, or the name of a sender without one. `recipient` and `route` are those of the newest
    decision, `state` is that of a delivery that counts, in which a claimed one is pending. `since`
    and `until` are days of arrival in Norway, both included.
    """

    text: str = ""
    service: str = ""
    sender: str = ""
    route: str = ""
    recipient: str = ""
    party: str = ""
    state: str = ""
    due: DueWhen | None = None
    since: date | None = None
    until: date | None = None

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> LetterQuery:
        """Read the parameters of an address. What is unknown or malformed does not count."""
        values = {
            name: _clean(parameters.get("q" if name == "text" else name, ""))
            for name in ("text", *FACETS)
        }
        if values["state"] not in _STATES:
            values["state"] = ""
        return cls(
            **values,
            due=_due(parameters.get("due", "")),
            since=_day(parameters.get("since", "")),
            until=_day(parameters.get("until", "")),
        )

    def parameters(self) -> dict[str, str]:
        """Return the parameters of an address from which `of` reads this query."""
        named = {"q" if name == "text" else name: value for name, value in asdict(self).items()}
        return {name: str(value) for name, value in named.items() if value}

    def with_choice(self, facet: str, value: str) -> LetterQuery:
        """Return the query with this value chosen; with none of the facet, for an empty text."""
        if facet not in FACETS:
            raise ValueError(f"{facet!r} is not a valid facet")
        return replace(self, **{facet: value})  # type: ignore[arg-type]  # facets are texts

    @property
    def words(self) -> list[str]:
        """The words of the text, folded as the index is."""
        return list(dict.fromkeys(fold_whole(self.text).split()))[:_MOST_WORDS]

    @property
    def long_words(self) -> list[str]:
        """Those that are looked up in the index."""
        return [word for word in self.words if len(word) >= _TRIGRAM]

    @property
    def short_words(self) -> list[str]:
        """Those too short for the index, which are searched in titles only."""
        return [word for word in self.words if len(word) < _TRIGRAM]


def _clean(value: str) -> str:
    """Return a text that can be looked up: what is not text is left out, and its end."""
    return value[:_LONGEST].encode("utf-8", "ignore").decode().replace("\0", "").strip()


def _due(value: str) -> DueWhen | None:
    return DueWhen(value) if value in list(DueWhen) else None


def _day(value: str) -> date | None:
    try:
        return date.fromisoformat(value.strip())
    except ValueError:
        return None
