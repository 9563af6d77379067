"""What of a query SQLite decides for each letter: words, days and deadlines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from daemon.core.times import shifted
from daemon.page.search.moments import to_number
from daemon.page.search.query import DueWhen, LetterQuery

_SOON = {DueWhen.WEEK: timedelta(days=7), DueWhen.MONTH: timedelta(days=30)}
_MATCHED = "number IN (SELECT number FROM matched)"
_Condition = tuple[str, Sequence[object]]


@dataclass(frozen=True, kw_only=True)
class LetterCondition:
    """A condition of SQL for rows of `letter`, and its values."""

    sql: str
    values: Sequence[object]
    by_letter: bool
    """Whether more is asked of a letter than its words."""
    words: str
    """What letters must match in the index of words, as FTS5 reads it; empty for all letters.

    The condition reads them from the table `matched`, see `daemon.page.search.matching`.
    """


def conditions(query: LetterQuery, now: datetime) -> LetterCondition:
    """Return what letters must have, but for what is chosen of the facets."""
    found = [*_short_words(query), *_days(query), *_due(query.due, to_number(now), now)]
    words = [_MATCHED] if query.long_words else []
    return LetterCondition(
        sql=" AND ".join([*words, *(sql for sql, _ in found)]) or "1",
        values=[value for _, values in found for value in values],
        by_letter=bool(found),
        words=_expression(query.long_words),
    )


def _short_words(query: LetterQuery) -> Iterator[_Condition]:
    for word in query.short_words:
        yield "instr(folded_title, ?) > 0", [word]


def _expression(words: Sequence[str]) -> str:
    # in double quotes everything is text, but for themselves
    return " AND ".join('"' + word.replace('"', '""') + '"' for word in words)


def _days(query: LetterQuery) -> Iterator[_Condition]:
    if query.since:
        yield "day >= ?", [query.since.toordinal()]
    if query.until:
        yield "day <= ?", [query.until.toordinal()]


def _due(due: DueWhen | None, now: int, moment: datetime) -> Iterator[_Condition]:
    if due is DueWhen.OVERDUE:
        yield "due_at < ?", [now]
    elif due is DueWhen.NONE:
        yield "due_at IS NULL", []
    elif due is DueWhen.ANY:
        yield "due_at IS NOT NULL", []
    elif due is not None:
        yield "due_at BETWEEN ? AND ?", [now, to_number(shifted(moment, _SOON[due]))]
