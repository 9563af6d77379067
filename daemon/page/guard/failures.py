"""Answers a request that failed: always a page with the page's headers, never a broken connection.

Starlette's own handler for what nobody expected stands outside of all other guards, so its answer
would lack their headers, and what they raise themselves would reach no handler at all.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.datastructures import State
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from daemon.page.words import chosen_language
from daemon.store.busy import wait_limit

_WAIT = 5.0  # seconds that a request waits for a busy database
Answer = Callable[[Request, Exception], Response]


class Failures:
    """Answers instead of the application when that raises; bounds how long it waits."""

    def __init__(self, app: ASGIApp, *, answer: Answer) -> None:
        self._app, self._answer = app, answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application does; if it raises before it began to, as `answer` does."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request, begun = _prepared(scope), False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            with wait_limit(_WAIT):
                await self._app(scope, receive, noted)
        except Exception as error:
            if begun:  # then only the end of the connection says that the answer is not whole
                raise
            await self._answer(request, error)(scope, receive, send)


def _prepared(scope: Scope) -> Request:
    """Return the request, with what every page needs, before it is known who asks."""
    request = Request(scope)
    state = State(scope.setdefault("state", {}))
    state.user = None
    state.language = chosen_language(
        request.cookies.get("lang"), request.headers.get("accept-language", "")
    )
    return request
