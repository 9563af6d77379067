"""Refuses requests that another site or a stranger to this page sent in a user's name.

A request that changes something must say that it comes from this page itself: by `Sec-Fetch-Site`,
which scripts cannot set, or by `Origin` (OWASP, Cross-Site Request Forgery Prevention). Every
request must be to the page's own host, or a page of another name could be pointed at this address
(DNS rebinding).
"""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from daemon.config.web import WebSettings
from daemon.page.guard.proxy import ForeignIdentity, ProxyLogin, is_trusted

_SAFE = frozenset({"GET", "HEAD"})
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})


class OwnOrigin:
    """Lets requests pass that are addressed to the page.

    Those that change something must come from the page itself. Sets `request.state.named`, the user
    whom a reverse proxy names.
    """

    def __init__(self, app: ASGIApp, *, settings: WebSettings, proxy: ProxyLogin) -> None:
        self._app, self._settings, self._proxy = app, settings, proxy
        self._is_encrypted = settings.is_local or settings.tls_cert_file is not None
        self._public = _host(settings.url) if settings.public_url else ""
        self._hosts = _LOOPBACK | ({self._public} if self._public else set())
        if settings.listen.host and not settings.is_local:
            self._hosts |= {settings.listen.host.lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application does, or refuse."""
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        if refusal is None:
            await self._app(scope, receive, send)
            return
        status, why = refusal
        await PlainTextResponse(why + "\n", status)(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[HTTPStatus, str] | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if _without_port(host) not in self._hosts:
            return (
                HTTPStatus.MISDIRECTED_REQUEST,
                "This page is not known under that name; set public_url in [web].",
            )
        if not self._is_encrypted and not is_trusted(self._settings, scope.get("client")):
            return HTTPStatus.FORBIDDEN, "Only the reverse proxy may connect here."
        try:
            named = self._proxy.user(headers, scope.get("client"))
        except ForeignIdentity:
            return HTTPStatus.BAD_REQUEST, "Only the reverse proxy may name the user."
        scope.setdefault("state", {})["named"] = named
        if scope["method"] in _SAFE:
            return None
        if not is_own(headers, self._origins(host)):
            return HTTPStatus.FORBIDDEN, "This request did not come from this page."
        return None

    def _origins(self, host: str) -> set[str]:
        """Return the page's origins under a name. Of the public name only `public_url` is ours.

        So http is not, if that is https, whatever the proxy makes of the port in `Host`.
        """
        if _without_port(host) == self._public:
            return {self._settings.url.lower()}
        scheme = "https" if self._settings.tls_cert_file else "http"
        return {f"{scheme}://{host.lower()}"}


def is_own(headers: Headers, origins: set[str]) -> bool:
    """Whether the page itself sent a request. `same-site` is not enough."""
    if site := headers.get("sec-fetch-site"):
        return site == "same-origin"
    return headers.get("origin", "").lower() in origins


def _host(url: str) -> str:
    found = urlsplit(url).hostname or ""
    return f"[{found}]" if ":" in found else found


def _without_port(host: str) -> str:
    name, _, port = host.lower().rpartition(":")
    return name if name and port.isdigit() else host.lower()
