"""What a user sees of a delivery: without the letter's names where those are not for the user."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from daemon.core.causes import cause_of
from daemon.core.model import AttemptRow, DeliveryState
from daemon.core.rights import Right, UserAccess
from daemon.page.context import Page
from daemon.store import DeliveryFilter, ListedDelivery

_WAITS = frozenset({DeliveryState.PENDING, DeliveryState.CLAIMED})


@dataclass(frozen=True, kw_only=True)
class ShownDelivery:
    """A delivery as one user sees it."""

    listed: ListedDelivery
    is_named: bool
    """Whether the user may see the letter's title, and what may have it in its name."""
    may_open: bool
    """Whether the user may open the letter."""

    @property
    def title(self) -> str:
        """Return the letter's title; empty if it has none or is not for the user."""
        return self.listed.title if self.is_named else ""

    @property
    def reason(self) -> str:
        """Return why the last attempt failed; empty if none has, or it does not matter any more."""
        found = self.listed.delivery
        return "" if found.state == DeliveryState.DELIVERED else self.words(found.last_error or "")

    @property
    def since(self) -> datetime:
        """Return since when it is as it is, as far as is recorded."""
        found = self.listed.delivery
        dead = self.listed.tried_at if found.state == DeliveryState.DEAD else None
        return found.delivered_at or dead or found.created_at

    @property
    def next_attempt(self) -> datetime | None:
        """Return when it is tried next; None if it is not."""
        found = self.listed.delivery
        return found.due_at if found.state in _WAITS else None

    @property
    def receipt(self) -> Sequence[tuple[str, Sequence[str]]]:
        """Return the destination's receipt as names and values, each value once."""
        evidence = self.listed.delivery.evidence if self.is_named else None
        by_value: dict[Sequence[str], str] = {}
        for name, values in facts(evidence or {}):
            by_value.setdefault(tuple(values), name)
        return [(name, values) for values, name in by_value.items()]

    def words(self, reason: str) -> str:
        """Return a reason; without the names of persons, letters and files if those are hidden."""
        return reason if self.is_named else cause_of(reason)

    def attempt_reason(self, attempt: AttemptRow) -> str:
        """Return why an attempt failed."""
        return self.words(attempt.reason)


def limits(user: UserAccess) -> DeliveryFilter:
    """Return the deliveries that a user may operate."""
    return DeliveryFilter(limits=user.limits(Right.OPERATE))


def shown(page: Page, user: UserAccess, listed: ListedDelivery) -> ShownDelivery:
    """Return the delivery as the user sees it.

    Titles of confidential letters are for nobody here.
    """
    opens = user.may_with(Right.OPEN, listed.party, listed.delivery.recipients)
    return ShownDelivery(
        listed=listed,
        is_named=not listed.is_secret and (opens or page.settings.operators_see_titles),
        may_open=opens and not listed.is_secret,
    )


def facts(values: Mapping[str, Any]) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield names and values of JSON for people; what is empty is left out."""
    for name, value in values.items():
        texts = [_text(each) for each in (value if isinstance(value, list) else [value])]
        if kept := [each for each in texts if each]:
            yield name.replace("_", " "), kept


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {', '.join(texts)}" for name, texts in facts(value))
    if isinstance(value, list):
        return ", ".join(filter(None, map(_text, value)))
    return str(value)
