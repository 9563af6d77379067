"""Where a rejected letter belongs, as far as people's corrections and the sender's letters say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from daemon.core.times import shifted
from daemon.routing.conditions import matches
from daemon.routing.facts import Facts
from daemon.routing.proposals import CorrectedLetter, proposals
from daemon.routing.rows import Route
from daemon.routing.table import Table
from daemon.store import Outline, Store

_CORRECTED = timedelta(days=-365)
"""How far back corrections count, as for the proposals that the page shows."""
_SENT = timedelta(days=-90)
"""How far back the sender's other letters count."""
_MOST = 20  # letters of the sender, the newest


@dataclass(frozen=True, kw_only=True)
class Belonging:
    """Where other letters like a rejected one are."""

    to: str
    """The recipient, as people call it."""
    count: int
    """How many letters it got."""
    of: int = 0
    """How many letters of the sender were looked at; 0 if people moved all of them by hand."""


def where_it_belongs(
    store: Store, table: Table, message_id: UUID, now: datetime
) -> Belonging | None:
    """Return where a letter like this went; None if nothing is known, and for a confidential one.

    A proposal that takes the letter comes first; then the recipient that got most of the sender's
    other letters. Neither ever names one that has the letter now.
    """
    letter = store.decisions.outline(message_id)
    if letter is None or letter.facts.confidential:
        return None
    return _proposed(store, table, letter, now) or _usual(store, table, letter, now)


def _proposed(store: Store, table: Table, letter: Outline, now: datetime) -> Belonging | None:
    moved = store.moves.since(shifted(now, _CORRECTED))
    corrections = (
        CorrectedLetter(
            message=str(each.id), facts=each.facts, route=each.route, was=each.was, to=each.to
        )
        for each in moved
    )
    for each in proposals(table, corrections, store.moves.dismissed()):
        if each.to not in letter.decision.recipients and _takes(each.values, letter.facts):
            return Belonging(to=_called(table, each.to), count=len(each.corrections))
    return None


def _takes(values: Mapping[str, object], facts: Facts) -> bool:
    return matches(Route.model_validate(values), facts)


def _usual(store: Store, table: Table, letter: Outline, now: datetime) -> Belonging | None:
    others = _of_sender(store, letter, now)
    got = Counter(
        name
        for each in others
        for name in dict.fromkeys(each.decision.recipients)
        if name in table.recipients and name not in letter.decision.recipients
    )
    if not got:
        return None
    name, count = got.most_common(1)[0]
    return Belonging(to=_called(table, name), count=count, of=len(others))


def _of_sender(store: Store, letter: Outline, now: datetime) -> Sequence[Outline]:
    sender = letter.facts.sender_org
    if not sender:
        return ()
    found = store.decisions.of_sender(sender, shifted(now, _SENT), _MOST)
    return [each for each in found if each.id != letter.id and not each.facts.confidential]


def _called(table: Table, name: str) -> str:
    title = table.recipients[name].title
    return f"{title} ({name})" if title else name
