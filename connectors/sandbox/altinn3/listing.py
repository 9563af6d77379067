"""The query of a list request: its parameters, and what makes each of them invalid.

Sources: COR API/Controllers/CorrespondenceController.cs,
API/ValidationAttributes/OnBehalfOfAttribute.cs, RequiredEnumAttribute.cs. Values of enums must have
their exact case here; the real server is more lenient.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

from connectors.sandbox.altinn3.correspondence import Filters
from connectors.sandbox.altinn3.problems import validation_problem
from connectors.sandbox.http_server import Response
from connectors.sandbox.letters import Status

_ROLES = {"Recipient", "Sender", "RecipientAndSender"}
_REQUIRED = ("resourceId", "role")
_ORGANISATION = re.compile(r"(?:0192:|urn:altinn:organization:identifier-no:)([0-9]{9})")
_PERSON = re.compile(r"(?:urn:altinn:person:identifier-no:)?([0-9]{11})")
_WEIGHTS = ((3, 7, 6, 1, 8, 9, 4, 5, 2, 1), (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1))


class BadRequest(Exception):
    """A request whose parameters cannot be understood."""

    def __init__(self, response: Response) -> None:
        self.response = response
        super().__init__("the parameters cannot be understood")


def guid(text: str) -> str:
    """Return a GUID as the server writes it. Raises ValueError."""
    if not re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", text):
        raise ValueError(text)
    return str(UUID(text))


def guids(**values: str) -> tuple[str, ...]:
    """Return the GUIDs of a path. Raises BadRequest."""
    faults = {name: _invalid(value) for name, value in values.items() if not _is(guid, value)}
    if faults:
        raise BadRequest(
            validation_problem(faults, [name for name in values if name not in faults])
        )
    return tuple(guid(value) for value in values.values())


def list_filters(query: str, default_party: str) -> tuple[str, Filters]:
    """Return the role and the filters. Raises BadRequest."""
    given = {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()}
    by_lower_name = {name.lower(): value for name, value in given.items()}
    values: dict[str, Any] = {}
    faults = {
        name: f"The {name} field is required."
        for name in _REQUIRED
        if not by_lower_name.get(name.lower())
    }
    for name, read in _READERS.items():
        text = by_lower_name.get(name.lower())
        if text and _is(read, text):
            values[name] = read(text)
        elif text or (text is not None and name == "onBehalfOf"):
            faults[name] = _invalid(text)
    if faults:
        raise BadRequest(
            validation_problem(faults, [name for name in values if name not in faults])
        )
    return values["role"], _filters(values, default_party)


def _filters(values: dict[str, Any], default_party: str) -> Filters:
    return Filters(
        resource=values["resourceId"],
        party=values.get("onBehalfOf", default_party),
        since=values.get("from"),
        until=values.get("to"),
        status=values.get("status"),
        senders_reference=values.get("sendersReference"),
        idempotent_key=values.get("idempotentKey"),
        altinn2_id=values.get("altinn2CorrespondenceId"),
    )


def _is(read: Callable[[str], Any], text: str) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return True


def _invalid(text: str) -> str:
    return f"The value '{text}' is not valid."


def _role(text: str) -> str:
    if text not in _ROLES:
        raise ValueError(text)
    return text


def _status(text: str) -> Status:
    if text not in Status.__members__:
        raise ValueError(text)
    return Status[text]


def _moment(text: str) -> datetime:
    """Return a time; without an offset it counts as UTC.

    A `+` that was not encoded has become a space, and is refused.
    """
    if not re.fullmatch(
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:]{5,8}(\.[0-9]{1,7})?(Z|[+-][0-9]{2}:[0-9]{2})?)?", text
    ):
        raise ValueError(text)
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _on_behalf_of(text: str) -> str:
    organisation = _ORGANISATION.fullmatch(text)
    if organisation:
        return organisation[1]
    person = _PERSON.fullmatch(text)
    if not person or not _is_person(person[1]):
        raise ValueError(text)
    return person[1]


def _is_person(number: str) -> bool:
    """Return whether both check digits of a national identity number are right."""
    digits = [int(digit) for digit in number]
    return all(
        sum(weight * digit for weight, digit in zip(weights, digits, strict=False)) % 11 == 0
        for weights in _WEIGHTS
    )


_READERS: dict[str, Callable[[str], Any]] = {
    "resourceId": str,
    "role": _role,
    "from": _moment,
    "to": _moment,
    "status": _status,
    "onBehalfOf": _on_behalf_of,
    "sendersReference": str,
    "idempotentKey": guid,
    "altinn2CorrespondenceId": int,
}
