"""Deliveries: the list with its filters, and one with all its attempts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from urllib.parse import urlencode
from uuid import UUID

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from daemon.core.errors import OperatorError
from daemon.core.model import DeliveryState
from daemon.core.rights import Right, UserAccess
from daemon.page.context import Page, page_of, require
from daemon.page.deliveries.actions import ACTIONS, possible
from daemon.page.deliveries.shown import ShownDelivery, limits, shown
from daemon.page.values import known_id, number_of
from daemon.store import DeliveryFilter, ListPlace
from daemon.store.delivery_list import ORDER

_PAGE = 50  # deliveries
_NAMED = 5
"""So many of those that had changed meanwhile are named."""
_ENDED = frozenset({DeliveryState.DELIVERED, DeliveryState.WITHDRAWN})
Counts = Mapping[tuple[str, DeliveryState], int]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A value of a filter, with how many deliveries there are; None if they were not counted."""

    value: str
    count: int | None
    chosen: bool


def routes() -> list[Route]:
    """Return the addresses."""
    return [Route("/deliveries", show), Route("/deliveries/{name}", show_one)]


def known_filter(state: str, destination: str, user: UserAccess) -> DeliveryFilter:
    """Return the filter of an address or a form, within the user's limits. Raises HTTPException.

    An unknown state is refused: a list of all, for one that was misspelt, could be acted upon.
    """
    if state and state not in set(DeliveryState):
        raise HTTPException(HTTPStatus.BAD_REQUEST)
    return replace(
        limits(user), state=DeliveryState(state) if state else None, destination=destination
    )


def show(request: Request) -> Response:
    """Show a page of the list."""
    page, user = page_of(request), require(request, Right.OPERATE)
    asked = request.query_params
    wanted = known_filter(asked.get("state", ""), asked.get("destination", ""), user)
    after = ListPlace.parse(asked.get("after", ""))
    counts = page.store.delivery_list.counts(wanted.limits)
    found = page.store.delivery_list.page(wanted, after, _PAGE)
    states, destinations = _states(counts, wanted), _destinations(page, counts, wanted)
    return page.render(
        request,
        "deliveries/list.html",
        rows=[shown(page, user, each) for each in found.rows],
        wanted=wanted,
        states=states,
        destinations=destinations,
        total=_sum(states) if wanted.state is None else _chosen(states),
        actions=possible(wanted.state),
        first=address(wanted) if after else "",
        next=address(wanted, after=str(found.next)) if found.next else "",
        result=result(request, page, user),
    )


def address(wanted: DeliveryFilter, **more: str) -> str:
    """Return the address of the list with this filter."""
    values = {"state": wanted.state or "", "destination": wanted.destination, **more}
    query = urlencode({name: value for name, value in values.items() if value})
    return f"/deliveries?{query}" if query else "/deliveries"


def _states(counts: Counts, wanted: DeliveryFilter) -> Sequence[Choice]:
    """Return every state with its deliveries at the chosen destination."""
    return [
        Choice(
            value=state,
            count=None
            if wanted.is_limited and state in _ENDED
            else sum(
                count
                for (destination, of), count in counts.items()
                if of == state and wanted.destination in {"", destination}
            ),
            chosen=state is wanted.state,
        )
        for state in ORDER
    ]


def _destinations(page: Page, counts: Counts, wanted: DeliveryFilter) -> Sequence[Choice]:
    """Return every destination with its deliveries in the chosen state; a chosen one stays."""
    names = dict.fromkeys(each.name for each in page.configuration.destinations)
    others = {name for name, _ in counts} | {wanted.destination} - {""}
    names |= dict.fromkeys(sorted(others - set(names)))
    is_known = not wanted.is_limited or (wanted.state is not None and wanted.state not in _ENDED)
    return [
        Choice(
            value=name,
            count=sum(
                count
                for (destination, state), count in counts.items()
                if destination == name and wanted.state in {None, state}
            )
            if is_known
            else None,
            chosen=name == wanted.destination,
        )
        for name in names
    ]


def _sum(choices: Sequence[Choice]) -> int | None:
    counts = [each.count for each in choices if each.count is not None]
    return sum(counts) if len(counts) == len(choices) else None


def _chosen(choices: Sequence[Choice]) -> int | None:
    return next(each.count for each in choices if each.chosen)


def show_one(request: Request) -> Response:
    """Show one delivery with every attempt, its receipt, and the letter's other deliveries."""
    page, user = page_of(request), require(request, Right.OPERATE)
    found = _find(page, user, request.path_params["name"])
    delivery = found.listed.delivery
    others = [
        each.id
        for each in page.store.queries.deliveries(message_id=delivery.message_id)
        if each.id != delivery.id
    ]
    return page.render(
        request,
        "deliveries/one.html",
        shown=found,
        delivery=delivery,
        attempts=page.store.queries.attempts(delivery.id),
        others=[each.delivery for each in page.store.delivery_list.rows(others, limits(user))],
        actions=possible(delivery.state),
        result=result(request, page, user),
    )


def _find(page: Page, user: UserAccess, name: str) -> ShownDelivery:
    """Return the delivery with this id or beginning of one.

    Raises HTTPException if there is none that the user may operate, or more than one.
    """
    try:
        key = page.store.queries.delivery(name).id
    except OperatorError as error:
        raise HTTPException(HTTPStatus.NOT_FOUND) from error
    rows = page.store.delivery_list.rows([key], limits(user))
    if not rows:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return shown(page, user, rows[0])


def result(request: Request, page: Page, user: UserAccess) -> Mapping[str, object] | None:
    """Return what was done last, as the address says it; None if it says nothing."""
    asked = request.query_params
    did = asked.get("did", "")
    if did not in {*ACTIONS, "nothing"}:
        return None
    named = [key for text in asked.getlist("one")[:_NAMED] if (key := known_id(text))]
    return {
        "did": did,
        "done": number_of(asked.get("done", "")),
        "left": number_of(asked.get("left", "")),
        "named": [each.delivery for each in page.store.delivery_list.rows(named, limits(user))],
    }


def result_of(action: str, done: int, left: Sequence[UUID]) -> list[tuple[str, str]]:
    """Return what `result` reads: how many were done, and which had changed meanwhile."""
    return [
        ("did", action),
        ("done", str(done)),
        ("left", str(len(left))),
        *(("one", str(key)) for key in left[:_NAMED]),
    ]
