"""Correspondence's refusals: its error codes, and the formats of problem+json.

Codes and their statuses: COR APP/Errors.cs; formats: COR API/Helpers/ProblemDetailsHelper.cs. The
texts of 1001, 1025 and 4001 are part of the wire contract; the others are the sandbox's own, and
clients should rely on `errorCode`.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from connectors.sandbox.http_server import Response

_RFC9110 = "https://tools.ietf.org/html/rfc9110#section-"
_SECTIONS = {400: "15.5.1", 401: "15.5.2", 403: "15.5.4", 404: "15.5.5", 500: "15.6.1"}
_PROBLEM_JSON = (("Content-Type", "application/problem+json"),)
_NO_ACCESS = (
    "You must use an Altinn token, DialogToken or log in to IDPorten as someone with access "
    "to the resource and organization in "
    "Altinn Authorization"
)

_CODES: dict[int, tuple[int, str]] = {
    1001: (404, "The requested correspondence was not found"),
    1014: (400, "Correspondence is purged already"),
    1024: (400, "Correspondence must be fetched before it can be marked as read"),
    1025: (400, "Correspondence must be fetched before it can be confirmed"),
    1026: (400, "Correspondence needs a confirmation before it can be purged"),
    1027: (400, "The from date must not be later than the to date"),
    1040: (400, "Correspondence was marked as read before"),
    1041: (400, "Correspondence was confirmed before"),
    1043: (400, "Correspondence is a transmission in another dialog and cannot be purged"),
    2001: (404, "Attachment was not found"),
    2019: (400, "Attachment is purged and cannot be downloaded"),
    2020: (400, "Attachment has expired and cannot be downloaded"),
    4001: (401, _NO_ACCESS),
    4006: (401, "The caller is not known"),
}


class Problem(Exception):
    """A rule of Correspondence that a request broke. `code` is the number that clients rely on."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"{code}: {_CODES[code][1]}")

    def response(self) -> Response:
        """Return the problem as a response."""
        status, detail = _CODES[self.code]
        return _problem(
            status,
            detail,
            {"code": f"CORR-{self.code:05}", "traceId": _trace(), "errorCode": self.code},
        )


def validation_problem(faults: Mapping[str, str], sound: Sequence[str]) -> Response:
    """Return the 400 for invalid parameters: one text each.

    `sound` names the valid parameters.
    """
    errors = {name: [faults[name]] if name in faults else [] for name in (*sound, *faults)}
    listed = [
        {"code": "CORR.VLD-00000", "detail": text, "paths": [name]} for name, text in faults.items()
    ]
    rest = {"code": "STD-00000", "validationErrors": listed, "errors": errors, "traceId": _trace()}
    return _problem(400, "One or more validation errors occurred.", rest)


def unhandled(path: str) -> Response:
    """Return the 500 for anything that the server did not expect.

    Source: COR INT/Slack/SlackExceptionNotificationHandler.cs.
    """
    return _problem(500, "", {"instance": path, "traceId": _trace()})


def exchange_first() -> Response:
    """Return the 403 for a Maskinporten token where an Altinn token is needed.

    Source: COR API/Auth/AltinnTokenEventsHelper.cs.
    """
    body = {
        "title": "IDX10205: Issuer validation failed",
        "status": 403,
        "detail": "Exchange the Maskinporten token to an Altinn token",
    }
    return Response(
        status=403,
        body=json.dumps(body).encode(),
        headers=(*_PROBLEM_JSON, ("WWW-Authenticate", 'Bearer error="invalid_token"')),
    )


def _problem(status: int, detail: str, rest: Mapping[str, Any]) -> Response:
    head = {
        "type": _RFC9110 + _SECTIONS[status],
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    return Response(
        status=status, body=json.dumps({**head, **rest}).encode(), headers=_PROBLEM_JSON
    )


def _trace() -> str:
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"
