"""The overview: what needs attention, numbers, letters a day, destinations and deadlines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from daemon.core.model import DeliveryState, SightingState
from daemon.core.rights import Grant, Right
from daemon.monitoring.health import assess
from daemon.page.context import Page, page_of, sees_titles, user_of
from daemon.page.problem_links import shown
from daemon.page.search.query import LetterQuery
from daemon.store.queries import Counts

_COUNTED = (
    DeliveryState.PENDING,
    DeliveryState.CLAIMED,
    DeliveryState.DEAD,
    DeliveryState.HELD,
)
_DEADLINES = 6


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One number of the overview: its name, as tests and templates know it, and where it leads."""

    name: str
    count: int
    address: str


def routes() -> list[Route]:
    """Return the addresses."""
    return [Route("/", show)]


def show(request: Request) -> Response:
    """Show how everything is."""
    page, user = page_of(request), user_of(request)
    health = assess(page.configuration, page.store, page.clock(), page.edited.faults())
    sees_service = user.may(Right.OPERATE) or user.may(Right.ADMINISTER)
    limits = user.limits(Right.LIST)
    fresh = page.follower.catch_up()
    counts = page.store.queries.counts(_COUNTED) if sees_service else None
    return page.render(
        request,
        "overview/overview.html",
        fresh=fresh,
        sees_service=sees_service,
        shows_titles=sees_titles(request),
        now=page.clock(),
        problems=[shown(each) for each in health.problems] if sees_service else [],
        facts=_of_service(counts) if counts else _of_reader(page, limits),
        days=page.finder.days(limits) if limits else [],
        destinations=_destinations(page) if sees_service else [],
        deadlines=page.finder.deadlines(limits, _DEADLINES) if limits else [],
    )


def _of_service(counts: Counts) -> Sequence[Fact]:
    """Return the numbers of all letters; they are those of `status --json`."""
    states = counts.deliveries
    waiting = states[DeliveryState.PENDING] + states[DeliveryState.CLAIMED]
    return (
        Fact(name="messages", count=counts.messages, address="/letters"),
        Fact(name="waiting", count=waiting, address="/deliveries?state=pending"),
        Fact(name="dead", count=states[DeliveryState.DEAD], address="/deliveries?state=dead"),
        Fact(name="held", count=states[DeliveryState.HELD], address="/deliveries?state=held"),
        Fact(
            name="confidential",
            count=counts.sightings[SightingState.WAITING],
            address="/confidential",
        ),
    )


def _of_reader(page: Page, limits: Sequence[Grant]) -> Sequence[Fact]:
    """Return the number of letters that a user may see."""
    return (
        Fact(name="messages", count=page.finder.total(LetterQuery(), limits), address="/letters"),
    )


def _destinations(page: Page) -> Sequence[Mapping[str, object]]:
    """Return how many deliveries of each destination wait, are held or are dead."""
    queues = page.store.queries.queues()
    names = [each.name for each in page.configuration.destinations]
    names += sorted({name for name, _ in queues} - set(names))
    return [
        {
            "name": name,
            "waiting": sum(
                queues.get((name, state), 0)
                for state in (DeliveryState.PENDING, DeliveryState.CLAIMED)
            ),
            "held": queues.get((name, DeliveryState.HELD), 0),
            "dead": queues.get((name, DeliveryState.DEAD), 0),
        }
        for name in names
    ]
