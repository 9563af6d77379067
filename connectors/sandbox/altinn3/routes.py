"""Which endpoint of the simulated Altinn a request is for."""

from __future__ import annotations

import re
from urllib.parse import unquote

from connectors.sandbox.altinn3 import correspondence_api
from connectors.sandbox.http_server import Request, Response

_LETTER = re.escape(correspondence_api.BASE) + r"/([^/]+)"
_DIALOGS = "/dialogporten/api/v1/enduser/dialogs"
_EVENTS = "/events/api/v1/subscriptions"
_ROUTES = tuple(
    (kind, method, re.compile(pattern))
    for kind, method, pattern in (
        ("list", "GET", re.escape(correspondence_api.BASE) + "/?"),
        ("overview", "GET", _LETTER),
        ("download", "GET", _LETTER + r"/attachment/([^/]+)/download"),
        ("details", "GET", _LETTER + "/details"),
        ("content", "GET", _LETTER + "/content"),
        ("markasread", "POST", _LETTER + "/markasread"),
        ("confirm", "POST", _LETTER + "/confirm"),
        ("purge", "DELETE", _LETTER + "/purge"),
        ("token", "POST", "/token"),
        ("exchange", "GET", "/authentication/api/v1/exchange/([^/]+)"),
        ("metadata", "GET", r"/\.well-known/oauth-authorization-server"),
        ("keys", "GET", "/jwk"),
        ("serviceresources", "GET", "/dialogporten/api/v1/enduser/serviceresources"),
        ("servicemetadata", "GET", "/dialogporten/api/v1/metadata/serviceresources"),
        ("resourcelist", "GET", "/resourceregistry/api/v1/resource/resourcelist"),
        ("resource", "GET", "/resourceregistry/api/v1/resource/([^/]+)"),
        ("dialogsearch", "GET", _DIALOGS),
        ("transmissions", "GET", _DIALOGS + "/([^/]+)/transmissions"),
        ("transmission", "GET", _DIALOGS + "/([^/]+)/transmissions/([^/]+)"),
        ("dialog", "GET", _DIALOGS + "/([^/]+)"),
        ("dialoglookup", "GET", "/dialogporten/api/v1/enduser/dialoglookup"),
        ("dialogparties", "GET", "/dialogporten/api/v1/enduser/parties"),
        ("subscribe", "POST", _EVENTS),
        ("subscriptions", "GET", _EVENTS),
        ("subscription", "GET", _EVENTS + "/([^/]+)"),
        ("unsubscribe", "DELETE", _EVENTS + "/([^/]+)"),
        ("dialoglimits", "GET", "/dialogporten/api/v1/metadata/limits"),
    )
)
DIALOGPORTEN = frozenset(
    {
        *("dialogsearch", "transmissions", "transmission", "dialog", "dialoglookup"),
        *("dialogparties", "dialoglimits"),
    }
)
"""The kinds of request that Dialogporten answers."""


def route(request: Request) -> tuple[str, tuple[str, ...]]:
    """Return the kind of the request, and the ids in its path."""
    for kind, method, pattern in _ROUTES:
        found = pattern.fullmatch(request.path) if method == request.method else None
        if found:
            return kind, tuple(unquote(part) for part in found.groups())
    return "other", ()


def nothing_here(request: Request) -> Response:
    """Answer a request that no endpoint is for."""
    allowed = [method for _, method, pattern in _ROUTES if pattern.fullmatch(request.path)]
    if not allowed:
        return Response(status=404)
    return Response(status=405, headers=(("Allow", ", ".join(allowed)),))
