"""Calendars that other programs read by a secret address, without a session.

One of a user has what that user sees on the desk, at each moment; one that the command line made
for a recipient has that recipient's letters, and none that is confidential. Titles are in it only
if that was chosen, because calendars are kept by others; those of confidential letters never are.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from daemon.core.bookkeeping import Calendar
from daemon.core.dpv import find_service
from daemon.core.errors import NotFound
from daemon.core.rights import Right, UserAccess
from daemon.core.times import in_norway, written
from daemon.page.calendar_file import CalendarEntry, calendar_bytes
from daemon.page.context import Page, address_of, back_to, page_of, require, user_of
from daemon.page.search.desk import BY_SYSTEM
from daemon.page.search.finder import Limits
from daemon.page.views.deadlines.shown import ShownDeadline, confidential, of_index
from daemon.page.wording import N_, SOURCES
from daemon.page.words import DEFAULT, LANGUAGES
from daemon.store.users import Actor

_LONGEST = 200  # characters of a recipient's name
_NAME = N_("Deadlines: %(whose)s")
_WITH_TITLE = N_("Deadline: %(title)s")
_WITHOUT_TITLE = N_("Deadline: letter from %(sender)s")
_CONFIDENTIAL = N_("Deadline: confidential letter")
_UNKNOWN = N_("unknown sender")
_DETAILS = N_("%(service)s. Due %(due)s, %(source)s.")


def routes() -> list[Route]:
    """Return the addresses."""
    return [
        Route("/deadlines/calendars", show),
        Route("/deadlines/calendars", make, methods=["POST"]),
        Route("/deadlines/calendars/revoke", revoke, methods=["POST"]),
        Route("/deadlines/{token}.ics", read),
    ]


def show(request: Request) -> Response:
    """Show the user's calendars, and a form for another one."""
    require(request, Right.LIST)
    page_of(request).follower.catch_up()
    return _shown(request)


async def make(request: Request) -> Response:
    """Make a calendar, and show its address, which is kept nowhere."""
    async with request.form(max_files=0, max_fields=3) as form:
        recipient = str(form.get("recipient", "")).strip()[:_LONGEST]
        titles = bool(form.get("titles"))
    return await run_in_threadpool(_make, request, recipient, titles=titles)


def _make(request: Request, recipient: str, *, titles: bool) -> Response:
    user, page = require(request, Right.LIST), page_of(request)
    page.follower.catch_up()
    if recipient and recipient not in page.desk.recipients(user.limits(Right.LIST)):
        raise HTTPException(HTTPStatus.NOT_FOUND)
    by = Actor(name=user.name, address=address_of(request))
    token = page.store.calendars.make(
        page.clock(), by, user=user.name, recipient=recipient, titles=titles
    )
    return _shown(request, f"{page.settings.url}/deadlines/{token}.ics")


async def revoke(request: Request) -> Response:
    """End one of the user's calendars."""
    async with request.form(max_files=0, max_fields=2) as form:
        name = str(form.get("calendar", ""))
    return await run_in_threadpool(_revoke, request, name)


def _revoke(request: Request, name: str) -> Response:
    page, user = page_of(request), require(request, Right.LIST)
    by = Actor(name=user.name, address=address_of(request))
    page.store.calendars.revoke(name, page.clock(), by, user.name)
    return back_to("/deadlines/calendars?notice=calendar-revoked")


def _shown(request: Request, address: str = "") -> Response:
    page, user = page_of(request), user_of(request)
    return page.render(
        request,
        "deadlines/calendars.html",
        calendars=page.store.calendars.all(user.name),
        recipients=page.desk.recipients(user.limits(Right.LIST)),
        address=address,
    )


def read(request: Request) -> Response:
    """Return the calendar of a token, to anybody who has it."""
    page = page_of(request)
    page.store_file.check()
    calendar = page.store.calendars.find(request.path_params["token"], page.clock())
    user = page.store.users.access(calendar.user) if calendar and calendar.user else None
    if calendar is None or (calendar.user and user is None):  # who was disabled just now
        raise NotFound("The calendar does not exist, or was revoked")
    page.follower.catch_up()
    writer = _Writer(
        page=page,
        language=_language(page, calendar),
        with_titles=_shows_titles(page, calendar, user),
    )
    name = writer.say(_NAME, whose=calendar.recipient or calendar.user)
    entries = [writer.entry(each) for each in _lines(page, calendar, user)]
    return Response(
        calendar_bytes(name, entries),
        media_type="text/calendar; charset=utf-8",
        headers={"Content-Disposition": 'inline; filename="deadlines.ics"'},
    )


def _lines(page: Page, calendar: Calendar, user: UserAccess | None) -> list[ShownDeadline]:
    """Return the deadlines of the desk, and those that have ended lately."""
    now, recipient = page.clock(), calendar.recipient
    limits: Limits = user.limits(Right.LIST) if user else None
    open_ones = [of_index(each, now) for each in page.desk.open(limits, recipient)]
    secret = confidential(page, user, recipient) if user else []
    ended = page.desk.ended(limits, recipient)
    return [*open_ones, *secret, *(of_index(each, now, is_over=True) for each in ended)]


def _shows_titles(page: Page, calendar: Calendar, user: UserAccess | None) -> bool:
    """Whether it was chosen, and the user may still read titles."""
    may = user is None or page.settings.operators_see_titles or user.may(Right.OPEN)
    return calendar.titles and may


def _language(page: Page, calendar: Calendar) -> str:
    user = page.store.users.find(calendar.user) if calendar.user else None
    return user.language if user and user.language in LANGUAGES else DEFAULT


@dataclass(frozen=True, kw_only=True)
class _Writer:
    """Writes entries in a language."""

    page: Page
    language: str
    with_titles: bool

    def say(self, text: str, **values: object) -> str:
        return self.page.templates.gettext(self.language, text, **values)

    def entry(self, line: ShownDeadline) -> CalendarEntry:
        day, service = in_norway(line.due_at), find_service(line.service)
        details = self.say(
            _DETAILS,
            service=getattr(service, self.language) if service else line.service,
            due=written(day, "%d.%m.%Y"),
            source=self.say(SOURCES[line.source]) if line.source else "",
        )
        return CalendarEntry(
            letter=line.id,
            day=day.date(),
            summary=self._summary(line),
            description=details,
            url=f"{self.page.settings.url}/letters/{line.id}",
            revision=line.revision,
            changed_at=line.changed_at,
            is_certain=line.source != BY_SYSTEM,
            is_over=line.is_over,
        )

    def _summary(self, line: ShownDeadline) -> str:
        if line.is_confidential:
            return self.say(_CONFIDENTIAL)
        if self.with_titles and line.title:
            return self.say(_WITH_TITLE, title=line.title)
        return self.say(_WITHOUT_TITLE, sender=line.sender or self.say(_UNKNOWN))
