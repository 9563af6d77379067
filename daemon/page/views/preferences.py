"""The visitor's own choices: language and colours. They are cookies, and say nothing of anyone."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from daemon.page.context import back_to
from daemon.page.guard.signed_in import safe_next
from daemon.page.words import LANGUAGES

_YEAR = 365 * 86400  # seconds
_CHOICES = {"lang": LANGUAGES, "scheme": ("auto", "light", "dark")}


def routes() -> list[Route]:
    """Return the addresses."""
    return [Route("/login/preferences", choose, methods=["POST"])]


async def choose(request: Request) -> Response:
    """Keep a choice, and go back to the page that it was made on."""
    async with request.form(max_files=0, max_fields=5) as form:
        values = {name: str(value) for name, value in form.items()}
    answer = back_to(safe_next(values.get("next", "/")))
    for name, known in _CHOICES.items():
        if values.get(name) in known:
            answer.set_cookie(name, values[name], max_age=_YEAR, httponly=True, samesite="lax")
    return answer
