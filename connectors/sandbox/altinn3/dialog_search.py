"""The query of a dialog search: its parameters, what makes each invalid, and its pages.

Source: Altinn/dialogporten, …/EndUser/Dialogs/Queries/Search (SearchDialogQueryValidator.cs) and
PaginationParameter. Only the orders and filters that a recipient needs are here; others are a 400,
where the real server would accept some.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import parse_qs

from connectors.sandbox.altinn3.dialog_records import DialogRecord
from connectors.sandbox.altinn3.dialog_views import written_utc
from connectors.sandbox.letters import urn
from daemon.core.organisation import is_organisation_number

_RESOURCE = "urn:altinn:resource:"
_KNOWN = frozenset(
    {"party", "serviceResource", "contentUpdatedAfter", "contentUpdatedBefore", "orderBy", "limit"}
    | {"continuationToken", "org", "acceptLanguage"}
)
_ORDERS: Mapping[str, tuple[bool, bool]] = {
    "contentUpdatedAt_asc,id_asc": (False, False),
    "contentUpdatedAt_asc": (False, True),
    "contentUpdatedAt_desc": (True, True),
    "contentUpdatedAt_desc,id_asc": (True, False),
}
"""Whether the times and the ids go down; `id` is appended, and goes down unless it is written."""
_DEFAULT_LIMIT, _LARGEST_LIMIT = 100, 1000
_TOKEN = re.compile(r"contentupdatedat_([^,]+),id_([0-9a-f-]{36})")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits in force, which are public and may change with the load."""

    parties: int = 100
    resources: int = 20


class BadSearch(Exception):
    """A search whose parameters are refused, with the reasons by parameter."""

    def __init__(self, errors: Mapping[str, list[str]]) -> None:
        self.errors = dict(errors)
        super().__init__("the search is refused")


class _Place(NamedTuple):
    at: datetime
    id: str


@dataclass(frozen=True, kw_only=True)
class DialogSearch:
    """A valid search."""

    parties: frozenset[str]
    """Organisation numbers; empty for all that the caller has rights for."""
    resources: frozenset[str]
    """Names with their URN; empty for all."""
    orgs: frozenset[str]
    after: datetime | None
    before: datetime | None
    order: str
    limit: int
    continuation: str | None

    def matches(self, record: DialogRecord) -> bool:
        """Return whether the dialog is wanted. Both ends of a period are included."""
        at, dialog = record.content_updated_at, record.dialog
        return (
            (self.after is None or at >= self.after)
            and (self.before is None or at <= self.before)
            and (not self.resources or f"{_RESOURCE}{dialog.resource}" in self.resources)
            and (not self.orgs or dialog.org in self.orgs)
        )

    def page(self, records: Sequence[DialogRecord]) -> tuple[list[DialogRecord], bool, str | None]:
        """Return the page, whether there is another, and the token that continues it.

        An empty page echoes the token of the request.
        """
        time_down, id_down = _ORDERS[self.order]
        ordered = sorted(records, key=lambda each: each.id, reverse=id_down)
        ordered.sort(key=lambda each: each.content_updated_at, reverse=time_down)
        if self.continuation:
            place = _place(self.continuation)
            ordered = [each for each in ordered if _is_after(each, place, time_down, id_down)]
        found = ordered[: self.limit]
        token = _token(found[-1]) if found else self.continuation
        return found, len(ordered) > self.limit, token


def read_search(query: str, limits: Limits) -> DialogSearch:
    """Return the search. Raises BadSearch."""
    given = parse_qs(query, keep_blank_values=True)
    errors: dict[str, list[str]] = {
        name: [f"'{name}' is not known here."] for name in given.keys() - _KNOWN
    }
    parties, resources = given.get("party", []), given.get("serviceResource", [])
    if not parties and not resources:
        errors[""] = ["Either ServiceResource or Party must be specified."]
    _check_length(errors, "party", parties, limits.parties)
    _check_length(errors, "serviceResource", resources, limits.resources)
    numbers = [each.removeprefix(urn("")) for each in parties]
    if not all(map(_is_party, parties)):
        errors.setdefault("party", []).append("'Party' must be a valid party identifier.")
    after, before = (
        _moment(errors, name, given) for name in ("contentUpdatedAfter", "contentUpdatedBefore")
    )
    if after and before and after > before:
        errors["contentUpdatedAfter"] = ["'ContentUpdatedAfter' must not be after the other."]
    order = given.get("orderBy", ["contentUpdatedAt_desc"])[0]
    if order not in _ORDERS:
        errors["orderBy"] = ["'OrderBy' is not valid."]
    limit = _limit(errors, given.get("limit", [str(_DEFAULT_LIMIT)])[0])
    continuation = given.get("continuationToken", [None])[0]
    if continuation and not _TOKEN.fullmatch(continuation):
        errors["continuationToken"] = ["'ContinuationToken' is not valid."]
    if errors:
        raise BadSearch(errors)
    return DialogSearch(
        parties=frozenset(numbers),
        resources=frozenset(resources),
        orgs=frozenset(given.get("org", [])),
        after=after,
        before=before,
        order=order,
        limit=limit,
        continuation=continuation or None,
    )


def order_text(order: str) -> str:
    """Return the order as an answer names it: in lower case, with the id."""
    id_order = "desc" if _ORDERS[order][1] else "asc"
    return f"{order.partition(',')[0].lower()},id_{id_order}"


def _is_party(text: str) -> bool:
    return text.startswith(urn("")) and is_organisation_number(text.removeprefix(urn("")))


def _check_length(
    errors: dict[str, list[str]], name: str, values: Sequence[str], most: int
) -> None:
    if len(values) > most:
        errors[name] = [f"'{name}' must contain {most} items or fewer. It had {len(values)}."]


def _limit(errors: dict[str, list[str]], text: str) -> int:
    limit = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= limit <= _LARGEST_LIMIT:
        errors["limit"] = [f"'Limit' must be between 1 and 1000. You entered {text}."]
    return limit


def _moment(
    errors: dict[str, list[str]], name: str, given: Mapping[str, list[str]]
) -> datetime | None:
    text = given.get(name, [""])[0]
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        errors[name] = [f"The value '{text}' is not valid for '{name}'."]
        return None
    return moment.astimezone(UTC)


def _token(record: DialogRecord) -> str:
    return f"contentupdatedat_{written_utc(record.content_updated_at)},id_{record.id}"


def _place(token: str) -> _Place:
    found = _TOKEN.fullmatch(token)
    assert found
    return _Place(datetime.fromisoformat(found[1].replace("0Z", "+00:00")), found[2])


def _is_after(record: DialogRecord, place: _Place, time_down: bool, id_down: bool) -> bool:
    if record.content_updated_at != place.at:
        return (record.content_updated_at < place.at) is time_down
    return record.id != place.id and (record.id < place.id) is id_down
