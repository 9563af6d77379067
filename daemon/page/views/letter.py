"""One letter: its text, its attachments, why it went where it went, and what became of it.

A confidential letter opens only for those with the right for it, and for whom its route appoints a
recipient; each opening needs a reason and is an event. Other letters are opened by reading them,
which is an event too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from urllib.parse import quote
from uuid import UUID

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from daemon.core.accounts import Event
from daemon.core.errors import (
    ContentMissing,
    ContentUnavailable,
    NotFound,
    OperatorError,
    StoreError,
)
from daemon.core.model import KEPT_STATES, Attachment, DecisionRow, Message
from daemon.core.rights import Right
from daemon.core.safe_html import safe_html
from daemon.intake.rerouting import facts_of_stored
from daemon.maintenance.evidence.pdf import has_library
from daemon.page.context import Page, page_of, user_of
from daemon.page.inline_kinds import LONGEST, inline_type
from daemon.page.movable import current_table, recipients_for
from daemon.page.secret_letters import is_secret
from daemon.page.timeline import REFUSED, timeline
from daemon.routing.decide import followed
from daemon.routing.explain import Explanation, explain
from daemon.service import stack
from daemon.web.held_file import HeldFileResponse

_OPENED_FOR = timedelta(hours=8)
"""How long the attachments of a confidential letter can be had after it was opened."""
_OPENED, _DOWNLOADED = "letter-opened", "attachment-downloaded"
_LONGEST_REASON = 500
_INLINE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; object-src 'self'; frame-ancestors 'none'"
)
_DOWNLOAD_POLICY = "sandbox; default-src 'none'"


@dataclass(frozen=True, kw_only=True)
class OpenedLetter:
    """A letter that the user may see."""

    message: Message
    decisions: Sequence[DecisionRow]

    @property
    def people(self) -> Sequence[str]:
        """The recipients of the newest decision."""
        return self.decisions[-1].recipients if self.decisions else ()


def routes() -> list[Route]:
    """Return the addresses."""
    return [
        Route("/letters/{id}", show),
        Route("/letters/{id}/open", open_confidential, methods=["POST"]),
        Route("/letters/{id}/attachments/{place:int}", download),
    ]


def show(request: Request) -> Response:
    """Show a letter; of a confidential one, ask for the reason first."""
    page, found = page_of(request), letter_of(request)
    if is_secret(found.message):
        return page.render(request, "letter/reason.html", message=found.message, fault=False)
    page.note(request, _OPENED, message_id=found.message.id)
    return show_opened(request, found)


async def open_confidential(request: Request) -> Response:
    """Show a confidential letter to a user who has said why."""
    async with request.form(max_files=0, max_fields=3) as form:
        reason = str(form.get("reason", "")).strip()[:_LONGEST_REASON]
    return await run_in_threadpool(_open_confidential, request, reason)


def _open_confidential(request: Request, reason: str) -> Response:
    page, found = page_of(request), letter_of(request)
    if not reason:
        return page.render(
            request,
            "letter/reason.html",
            HTTPStatus.UNPROCESSABLE_ENTITY,
            message=found.message,
            fault=True,
        )
    page.note(request, _OPENED, message_id=found.message.id, details={"reason": reason})
    return show_opened(request, found)


def letter_of(request: Request) -> OpenedLetter:
    """Return the letter, if the user may open it.

    404 for one of others; 403, and an event, where only the right to open it is missing.
    """
    page, user = page_of(request), user_of(request)
    try:
        message = page.store.queries.message(request.path_params["id"])
    except OperatorError as error:  # there is none, it was deleted, or several begin so
        raise NotFound(str(error)) from error
    found = OpenedLetter(message=message, decisions=page.store.queries.decisions(message.id))
    party, people = message.party, found.people
    if not is_secret(message) and not user.may_with(Right.LIST, party, people):
        raise HTTPException(HTTPStatus.NOT_FOUND)
    needed = Right.CONFIDENTIAL if is_secret(message) else Right.OPEN
    if not user.may_with(needed, party, people):
        page.note(
            request, REFUSED, message_id=message.id, done=False, details={"right": needed.value}
        )
        raise HTTPException(HTTPStatus.FORBIDDEN, needed.value)
    return found


def show_opened(
    request: Request,
    found: OpenedLetter,
    status: HTTPStatus = HTTPStatus.OK,
    *,
    lacks_reason: bool = False,
    lacks_day: bool = False,
) -> Response:
    """Show a letter that the user may open.

    With `lacks_reason`, ask for that of a rejection; with `lacks_day`, for that of a deadline.
    """
    page, message = page_of(request), found.message
    answers = page.store.acknowledgements.of(message.id)
    deliveries = page.store.queries.deliveries(message_id=message.id)
    attachments = page.store.queries.attachments(message.id)
    attempts = {each.id: page.store.queries.attempts(each.id) for each in deliveries}
    return page.render(
        request,
        "letter/letter.html",
        status,
        message=message,
        text=safe_html(message.body, message.body_type),
        attachments=attachments,
        missing=page.store.missing_files.of(message.id),
        inline={each.position for each in attachments if _inline(page, each)},
        decision=found.decisions[-1] if found.decisions else None,
        earlier=_earlier(page, request, found),
        explanation=_explanation(page, message),
        deliveries=deliveries,
        attempts=attempts,
        answer=answers[-1] if answers else None,
        acknowledge_by=page.store.awaited.due_of(message.id),
        reminders=[each for each in page.store.awaited.reminders(message.id) if each.told_at],
        may_answer=may_answer(request, found),
        lacks_reason=lacks_reason,
        lacks_day=lacks_day,
        deadline=page.store.deadlines.facts(message.id),
        now=page.clock(),
        timeline=timeline(page.store, message, found.decisions, deliveries, attempts),
        movable=recipients_for(current_table(page), message) if may_move(request, found) else (),
        may_route=user_of(request).may_with(Right.DRAFT, message.party, found.people),
        may_operate=user_of(request).may(Right.OPERATE),
        may_export=may_export(request),
    )


def may_answer(request: Request, found: OpenedLetter) -> bool:
    """Whether the user may acknowledge or reject the letter: it goes to a recipient of theirs."""
    return user_of(request).may_with(Right.RECEIVE, found.message.party, found.people)


def may_move(request: Request, found: OpenedLetter) -> bool:
    """Whether the user may send the letter to another recipient."""
    return user_of(request).may_with(Right.PUBLISH, found.message.party, found.people)


def may_export(request: Request) -> bool:
    """Whether the user, who may open a letter, may have its evidence."""
    return user_of(request).may_with_all(Right.ADMINISTER) and has_library()


def _earlier(page: Page, request: Request, found: OpenedLetter) -> str:
    """Return the id of the earlier letter of the same case; empty if the user may not know it."""
    thread = found.decisions[-1].why.get("thread") if found.decisions else None
    if not thread:
        return ""
    try:
        earlier = page.store.decisions.decided(UUID(thread["earlier"]))
    except NotFound:
        return ""
    message, people = earlier.message, earlier.decision.recipients
    needed = Right.CONFIDENTIAL if is_secret(message) else Right.LIST
    is_known = user_of(request).may_with(needed, message.party, people)
    return str(message.id) if is_known else ""


def _explanation(page: Page, message: Message) -> Explanation | None:
    """Return why it went where it went, by the table that decided; None if that cannot be read."""
    letter = page.store.decisions.decided(message.id)
    try:
        table = stack.table_of(page.store, letter.decision.routing_version)
    except OperatorError:
        return None
    facts = facts_of_stored(letter, letter.decision.decided_at)
    return explain(table, facts, followed(letter.decision))


def download(request: Request) -> Response:
    """Send an attachment as a file, or with `open=1` for the browser to show, where that is safe.

    Those of a confidential letter only for a while after the user has opened it.
    """
    page, found = page_of(request), letter_of(request)
    message = found.message
    if is_secret(message) and not was_opened(request, message):
        return page.render(request, "letter/reason.html", message=message, fault=False)
    attachment = next(
        (
            each
            for each in page.store.queries.attachments(message.id)
            if each.position == request.path_params["place"]
        ),
        None,
    )
    if attachment is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    if attachment.state not in KEPT_STATES or not attachment.sha256:
        raise HTTPException(HTTPStatus.GONE, attachment.state.value)
    page.note(request, _DOWNLOADED, message_id=message.id, details={"place": attachment.position})
    return _file(page, attachment, as_page=request.query_params.get("open") == "1")


def was_opened(request: Request, message: Message) -> bool:
    """Whether the user has opened the confidential letter, and not too long ago."""
    return _opening(request, message) is not None


def reason_of_opening(request: Request, message: Message) -> str:
    """Return why the user opened the letter; empty if not, or if that was too long ago."""
    found = _opening(request, message)
    return str(found.details.get("reason", "")) if found else ""


def _opening(request: Request, message: Message) -> Event | None:
    page = page_of(request)
    recent = page.store.events.page(
        limit=1, kind=_OPENED, user=user_of(request).name, message_id=message.id
    )
    return recent[0] if recent and page.clock() - recent[0].at < _OPENED_FOR else None


def _inline(page: Page, attachment: Attachment) -> str:
    """Return the type by which a browser may show it; empty for what it must not."""
    if attachment.state not in KEPT_STATES or not attachment.sha256:
        return ""
    try:
        return inline_type(page.content.beginning(attachment.sha256, LONGEST))
    except (ContentMissing, StoreError):
        return ""


def _file(page: Page, attachment: Attachment, *, as_page: bool) -> Response:
    assert attachment.sha256
    kind = _inline(page, attachment) if as_page else ""
    name = quote(attachment.safe_name, safe="")
    how = "inline" if kind else "attachment"
    try:
        return HeldFileResponse(
            page.content,
            attachment.sha256,
            media_type=kind or "application/octet-stream",
            headers={
                "Content-Disposition": f'{how}; filename="{_ascii(attachment.safe_name)}"; '
                f"filename*=UTF-8''{name}",
                "Content-Security-Policy": _INLINE_POLICY if kind else _DOWNLOAD_POLICY,
            },
        )
    except ContentUnavailable:
        raise
    except ContentMissing as error:
        raise HTTPException(HTTPStatus.GONE, "missing") from error


def _ascii(name: str) -> str:
    """Return a name for browsers that do not read the other one (RFC 6266, appendix D)."""
    return "".join(
        each if each.isascii() and each.isprintable() and each not in '"\\%' else "_"
        for each in name
    )
