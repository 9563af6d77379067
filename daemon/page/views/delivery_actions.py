"""Retry, hold, release and resend: first a question that says how many, then the change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from urllib.parse import urlencode
from uuid import UUID

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from daemon.core.rights import Right, UserAccess
from daemon.page.context import Page, back_to, page_of, require
from daemon.page.deliveries.actions import ACTIONS, Action
from daemon.page.deliveries.shown import limits
from daemon.page.values import known_id, number_of
from daemon.page.views.deliveries import address, known_filter, result_of
from daemon.store import DeliveryFilter
from daemon.store.bulk import in_bulk

_TICKED = 50  # as many as a page of the list has
_FIELDS = _TICKED + 10
_FEW = 20
"""So many deliveries an event names."""


@dataclass(frozen=True, kw_only=True)
class ActionForm:
    """What a form asks for: an action, on deliveries that are ticked or on all that match."""

    action: Action
    wanted: DeliveryFilter
    ids: Sequence[UUID]
    all: bool
    confirmed: int
    """How many the question said that was answered; 0 if none was asked yet."""
    on_one: bool
    """Whether it was asked on the page of a single delivery."""


@dataclass(frozen=True, kw_only=True)
class ActedOn:
    """The deliveries that an action is about."""

    ids: Sequence[UUID]
    """Those that are there and within the user's limits, in whatever state."""
    missing: Sequence[UUID]
    possible: int
    """To how many it can be done as they are now."""
    to: Counter[str]
    """How many of these there are to each destination."""


def routes() -> list[Route]:
    """Return the addresses."""
    return [Route("/deliveries/actions", act, methods=["POST"])]


async def act(request: Request) -> Response:
    """Ask whether to do it, or do it."""
    async with request.form(max_files=0, max_fields=_FIELDS) as form:
        return await run_in_threadpool(_act, request, form)


def _act(request: Request, form: FormData) -> Response:
    page, user = page_of(request), require(request, Right.OPERATE)
    asked = _asked(form, user)
    if not (asked.ids or asked.all):
        return back_to(address(asked.wanted, did="nothing"))
    chosen = _chosen(page, asked, user)
    # what has come since the question must not be sent twice by an answer to it
    has_grown = asked.action.name == "resend" and chosen.possible > asked.confirmed
    if chosen.possible and (not asked.confirmed or has_grown):
        return page.render(
            request, "deliveries/confirm.html", asked=asked, chosen=chosen, back=_start(asked)
        )
    done, left = _change(request, page, asked, chosen)
    if done and asked.action.wakes:
        page.wake()
    return back_to(_back(asked, len(done), left))


def _asked(form: FormData, user: UserAccess) -> ActionForm:
    """Return what the form asks for. Raises HTTPException if the page's own forms cannot."""
    action = ACTIONS.get(str(form.get("action", "")))
    ids = [known_id(str(each)) for each in form.getlist("id")]
    known = [each for each in dict.fromkeys(ids) if each]
    if action is None or None in ids or len(known) > _TICKED:
        raise HTTPException(HTTPStatus.BAD_REQUEST)
    state, destination = (str(form.get(name, "")) for name in ("state", "destination"))
    return ActionForm(
        action=action,
        wanted=known_filter(state, destination, user),
        ids=known,
        all=form.get("all") == "1",
        confirmed=number_of(str(form.get("confirmed", ""))),
        on_one=form.get("on") == "one",
    )


def _chosen(page: Page, asked: ActionForm, user: UserAccess) -> ActedOn:
    if asked.all:
        return _all_that_match(page, asked)
    rows = page.store.delivery_list.rows(asked.ids, limits(user))
    to = Counter(
        each.delivery.destination for each in rows if each.delivery.state in asked.action.states
    )
    there = [each.delivery.id for each in rows]
    missing = [key for key in asked.ids if key not in there]
    return ActedOn(ids=there, missing=missing, possible=to.total(), to=to)


def _all_that_match(page: Page, asked: ActionForm) -> ActedOn:
    """Return all that the filter has, of those states in which it can be done."""
    states = [each for each in asked.action.states if asked.wanted.state in {None, each}]
    ids: list[UUID] = []
    for state in states:
        wanted = replace(asked.wanted, state=state)
        ids += [key for some in page.store.delivery_list.ids(wanted) for key in some]
    counts = page.store.delivery_list.counts(asked.wanted.limits)
    to = Counter[str]()
    for (destination, state), count in counts.items():
        if state in states and asked.wanted.destination in {"", destination}:
            to[destination] += count
    # within limits, what has ended is not counted
    return ActedOn(
        ids=ids, missing=(), possible=len(ids), to=+to if to.total() == len(ids) else Counter()
    )


def _change(
    request: Request, page: Page, asked: ActionForm, chosen: ActedOn
) -> tuple[list[UUID], list[UUID]]:
    """Do it to those that still allow it. Return them, and those that had changed meanwhile."""
    done: list[UUID] = []
    left = list(chosen.missing)

    def change(ids: Sequence[UUID]) -> None:
        asked.action.act(page.store.outbox, ids, page.clock())

    try:
        for key, is_done in in_bulk(chosen.ids, change):
            (done if is_done else left).append(key)
    finally:  # also where the store fails in the middle
        if done:
            _note(request, page, asked, done, len(left))
    return done, left


def _note(request: Request, page: Page, asked: ActionForm, done: Sequence[UUID], left: int) -> None:
    details: dict[str, object] = {"count": len(done), "left": left}
    if asked.all:
        details |= {"state": asked.wanted.state or "", "destination": asked.wanted.destination}
    if len(done) <= _FEW:
        details["ids"] = [str(key) for key in done]
    alone = page.store.queries.delivery_by_id(done[0]) if len(done) == 1 else None
    page.note(
        request,
        asked.action.event,
        message_id=alone.message_id if alone else None,
        about=alone.destination if alone else asked.wanted.destination,
        details=details,
    )


def _back(asked: ActionForm, done: int, left: Sequence[UUID]) -> str:
    """Return the address that says what was done: of the list, or of the one that was asked for."""
    said = urlencode(result_of(asked.action.name, done, left))
    start = _start(asked)
    return f"{start}{'&' if '?' in start else '?'}{said}"


def _start(asked: ActionForm) -> str:
    """Return the address of the page on which it was asked."""
    return f"/deliveries/{asked.ids[0]}" if asked.on_one and asked.ids else address(asked.wanted)
