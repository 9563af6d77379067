"""What the routing pages have in common: forms, and who may see the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from http import HTTPStatus
from typing import ParamSpec
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from daemon.core.errors import NotFound, OperatorError
from daemon.core.rights import Right, UserAccess
from daemon.page.context import page_of, require, user_of
from daemon.page.editing.draft import Draft
from daemon.page.views.routing.fields import PLACES

P = ParamSpec("P")
Form = Mapping[str, str]
_FIELDS = 100
_LONGEST = 500  # characters of a reason


async def with_form(request: Request, answer: Callable[[Request, Form], Response]) -> Response:
    """Read a form and answer it in a thread; of several values of a field the last one counts."""
    async with request.form(max_files=0, max_fields=_FIELDS) as found:
        form = {name: value for name, value in found.multi_items() if isinstance(value, str)}
    return await run_in_threadpool(explained(answer), request, form)


def explained(answer: Callable[P, Response]) -> Callable[P, Response]:
    """Return the view, which says why the table or its file cannot be used, with 409."""

    @wraps(answer)
    def explain(*args: P.args, **kwargs: P.kwargs) -> Response:
        try:
            return answer(*args, **kwargs)
        except NotFound:
            raise
        except OperatorError as error:
            request = next(each for each in args if isinstance(each, Request))
            return page_of(request).render(
                request, "routing/problem.html", HTTPStatus.CONFLICT, problem=str(error)
            )

    return explain


def reader(request: Request) -> UserAccess:
    """Return the user, who may see the table; raise 403 otherwise."""
    user = user_of(request)
    return user if user.may(Right.DRAFT) else require(request, Right.LIST)


def kind_of(text: str) -> str:
    """Return a kind of row by its name in a form. Raises 400."""
    if text not in PLACES:
        raise HTTPException(HTTPStatus.BAD_REQUEST)
    return text


def address_of_row(kind: str, key: str) -> str:
    """Return the address of a row's form."""
    return PLACES[kind] + quote(key)


def keep(request: Request, draft: Draft) -> None:
    """Keep the user's draft, or forget it if nothing is changed in it, and record it."""
    page, user = page_of(request), user_of(request)
    if not draft.is_changed and page.store.drafts.find(user.name) is None:
        return
    page.workshop.keep(user.name, draft)
    kind = "routing-draft-saved" if draft.is_changed else "routing-draft-discarded"
    page.note(request, kind, about=draft.version)


def reason_of(form: Form) -> str:
    """Return why something is published; empty if it is not said."""
    return " ".join(form.get("reason", "").split())[:_LONGEST]
