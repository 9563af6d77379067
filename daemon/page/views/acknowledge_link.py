"""The link in a mail: shows for which letter it is, and acknowledges it when asked to.

Who has the link was sent it, so it needs no log-in. Opening it changes nothing, because mail
scanners open links too. It shows nothing of a letter but its sender and title, and of a
confidential one not even these: that takes a log-in.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from daemon.core.awaited import Reminder
from daemon.core.bookkeeping import Acknowledgement, AcknowledgementState
from daemon.core.errors import NotFound
from daemon.core.model import Message
from daemon.core.signed_links import reminder_of
from daemon.page.context import address_of, back_to, page_of
from daemon.page.guard.signed_in import ACKNOWLEDGE
from daemon.page.secret_letters import is_secret
from daemon.store.users import Actor


@dataclass(frozen=True, kw_only=True)
class LinkedLetter:
    """What a link leads to."""

    reminder: Reminder
    message: Message
    answer: Acknowledgement | None
    is_moved: bool
    """Whether the letter went to others after the mail."""


def routes() -> list[Route]:
    """Return the addresses."""
    return [
        Route(f"{ACKNOWLEDGE}{{link}}", show, methods=["GET"]),
        Route(f"{ACKNOWLEDGE}{{link}}", acknowledge, methods=["POST"]),
    ]


def show(request: Request) -> Response:
    """Show the letter's sender and title, and a button."""
    found = _found(request)
    if is_secret(found.message):
        return back_to(f"/letters/{found.message.id}")
    return _render(request, found)


def acknowledge(request: Request) -> Response:
    """Record that the person who was sent the link has the letter."""
    page, found = page_of(request), _found(request)
    if is_secret(found.message):
        return back_to(f"/letters/{found.message.id}")
    if found.is_moved:
        return _render(request, found, HTTPStatus.CONFLICT)
    person = found.reminder.person
    actor = Actor(name=person, address=address_of(request))
    page.store.acknowledgements.acknowledge(found.message.id, person, page.clock(), actor)
    page.wake()
    return back_to(request.url.path)


def _found(request: Request) -> LinkedLetter:
    """Return what the link leads to. Raises NotFound, also for a person who has left."""
    store, text = page_of(request).store, request.path_params["link"]
    key = store.link_keys.find()
    reminder_id = key and reminder_of(text, key)
    reminder = reminder_id and store.awaited.reminder(reminder_id)
    if not reminder or store.awaited.directory().address(reminder.person) is None:
        raise NotFound("The link is not valid, or no longer")
    awaited = store.awaited.of(reminder.message_id)
    answers = store.acknowledgements.of(reminder.message_id)
    last = answers[-1] if answers else None
    return LinkedLetter(
        reminder=reminder,
        message=store.queries.message(str(reminder.message_id)),
        answer=last if last and last.state is AcknowledgementState.ACKNOWLEDGED else None,
        is_moved=awaited is None or awaited.decision != reminder.decision,
    )


def _render(request: Request, found: LinkedLetter, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return page_of(request).render(request, "letter/link.html", status, found=found)
