"""Proposals for routes, from the letters that people moved in the last year."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta

from daemon.routing.dryrun import HistoricLetter
from daemon.routing.proposals import CorrectedLetter, Proposal, proposals, with_dry_runs
from daemon.routing.table import Table
from daemon.store import Moved, Store

LEARNED_FROM = timedelta(days=365)
"""How long a correction counts."""


def proposed(
    store: Store,
    table: Table,
    now: datetime,
    letters: Callable[[], Iterable[HistoricLetter]],
    may_know: Callable[[Moved], bool] = lambda _: True,
) -> list[Proposal]:
    """Return what people's corrections propose for the table, with their dry runs.

    `letters` returns those to try, the oldest first; it is not called where nothing is proposed.
    Only corrections of letters that `may_know` allows count. Changes nothing.
    """
    corrections = _corrections(store.moves.since(now - LEARNED_FROM), may_know)
    found = proposals(table, corrections, store.moves.dismissed())
    return with_dry_runs(table, found, letters()) if found else []


def _corrections(
    moved: Iterable[Moved], may_know: Callable[[Moved], bool]
) -> Iterator[CorrectedLetter]:
    for each in moved:
        if may_know(each):
            yield CorrectedLetter(
                message=str(each.id), facts=each.facts, route=each.route, was=each.was, to=each.to
            )
