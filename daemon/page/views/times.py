"""How long letters take from one step to the next, by service and destination."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from daemon.core.rights import Right
from daemon.monitoring.passages import PERCENTS, STEPS, Durations, PassageTimes
from daemon.page.context import page_of, require
from daemon.page.problems_of_user import sees_all
from daemon.page.wording import N_

STEP_WORDS: Mapping[str, str] = {
    "published_to_listed": N_("from publishing to listing"),
    "listed_to_stored": N_("from listing to storing"),
    "stored_to_delivered": N_("from storing to delivery"),
    "delivered_to_taken": N_("from delivery to pickup"),
    "delivered_to_acknowledged": N_("from delivery to acknowledgement"),
    "published_to_delivered": N_("from publishing to delivery"),
}


@dataclass(frozen=True, kw_only=True)
class TimeRow:
    """What one step took, for all letters or those of a service and a destination."""

    step: str
    service: str
    destination: str
    letters: int
    percentiles: Sequence[timedelta]


def routes() -> list[Route]:
    """Return the addresses."""
    return [Route("/times", show)]


def show(request: Request) -> Response:
    """Show the percentiles; to those who operate all letters, as they are of all."""
    page, user = page_of(request), require(request, Right.OPERATE)
    if not sees_all(user):
        raise HTTPException(403, Right.OPERATE.value)
    found = page.passages.recent()
    return page.render(
        request,
        "times/times.html",
        found=found,
        rows=list(_rows(found)),
        percents=PERCENTS,
        step_words=STEP_WORDS,
    )


def _rows(found: PassageTimes) -> Iterator[TimeRow]:
    """Yield each step of all letters, and then by service and destination."""
    for step in STEPS:
        whole = found.of_step(step.name)
        if whole:
            yield _row(step.name, "", "", whole, found.every)
        for (name, service, destination), each in found.by_key.items():
            if name == step.name:
                yield _row(name, service, destination, each, found.every)


def _row(step: str, service: str, destination: str, each: Durations, every: int) -> TimeRow:
    return TimeRow(
        step=step,
        service=service,
        destination=destination,
        letters=len(each.seconds) * every,
        percentiles=[each.percentile(percent) for percent in PERCENTS],
    )
