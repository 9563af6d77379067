"""The overview: what needs attention, numbers, letters a day, destinations and deadlines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from daemon.core.model import DeliveryState, SightingState
from daemon.core.rights import Right, UserAccess
from daemon.page.context import Page, page_of, sees_titles, user_of
from daemon.page.problem_links import shown
from daemon.page.problems_of_user import health_for, own_counts, own_sightings, sees_all
from daemon.page.search.query import LetterQuery
from daemon.page.views.completeness import completeness_for

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
    sees_service = user.may(Right.OPERATE) or sees_all(user)
    limits = user.limits(Right.LIST)
    fresh = page.follower.catch_up()
    return page.render(
        request,
        "overview/overview.html",
        fresh=fresh,
        sees_service=sees_service,
        shows_titles=sees_titles(request),
        now=page.clock(),
        sees_all=sees_all(user),
        problems=_problems(page, user) if sees_service else [],
        whole=completeness_for(page, user) if sees_service else None,
        facts=_facts(page, user),
        days=page.finder.days(limits) if limits else [],
        destinations=_destinations(page, user) if sees_service else [],
        deadlines=page.finder.deadlines(limits, _DEADLINES) if limits else [],
    )


def _problems(page: Page, user: UserAccess) -> Sequence[Mapping[str, object]]:
    return [shown(each) for each in health_for(page, user, page.clock()).problems]


def _facts(page: Page, user: UserAccess) -> Sequence[Fact]:
    """Return the numbers of the letters that the user may know of.

    Without limits, they are those of `status --json`.
    """
    if sees_all(user):
        counts = page.store.queries.counts()
        waiting = counts.sightings[SightingState.WAITING]
        return _of_service(counts.messages, counts.deliveries, waiting)
    total = page.finder.total(LetterQuery(), user.limits(Right.LIST))
    if not user.may(Right.OPERATE):
        return (Fact(name="messages", count=total, address="/letters"),)
    states = Counter(dict.fromkeys(_COUNTED, 0))
    for (_, state), count in own_counts(page, user).items():
        states[state] += count
    return _of_service(total, states, len(own_sightings(page, user, SightingState.WAITING)))


def _of_service(
    messages: int, states: Mapping[DeliveryState, int], confidential: int
) -> Sequence[Fact]:
    waiting = states[DeliveryState.PENDING] + states[DeliveryState.CLAIMED]
    return (
        Fact(name="messages", count=messages, address="/letters"),
        Fact(name="waiting", count=waiting, address="/deliveries?state=pending"),
        Fact(name="dead", count=states[DeliveryState.DEAD], address="/deliveries?state=dead"),
        Fact(name="held", count=states[DeliveryState.HELD], address="/deliveries?state=held"),
        Fact(
            name="confidential",
            count=confidential,
            address="/confidential",
        ),
    )


def _destinations(page: Page, user: UserAccess) -> Sequence[Mapping[str, object]]:
    """Return how many deliveries of each destination wait, are held or are dead."""
    queues = page.store.queries.queues() if sees_all(user) else own_counts(page, user)
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
