"""Subscriptions of Altinn Events, made and renewed: one for each organisation and resource.

Source: Altinn/altinn-events, SubscriptionController.cs, SubscriptionService.cs. Answers repeat the
endpoint, which has a secret in it, so nothing of an answer's text is ever put into an error.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from connectors.altinn3.platform import Platform
from connectors.net.http_response import HttpResponse, json_object
from daemon.core.errors import AccessRefused, MailboxError, MailboxUnavailable
from daemon.core.ports import Channel
from daemon.core.push import Door, Subscribed

SCOPE = "altinn:events.subscribe"
PUBLISHED = "no.altinn.correspondence.correspondencepublished"
MOST = 500
"""Subscriptions of one mailbox; a bell is the cheaper way for more."""
_AT_A_TIME = 50
"""Subscriptions that are made in one go, so that the service can stop between two."""
_BASE = "/events/api/v1/subscriptions"
_OK, _CREATED, _BAD, _FORBIDDEN, _NOT_FOUND = 200, 201, 400, 403, 404
_Place = tuple[str, str]
"""An organisation and a resource."""


class Subscriptions:
    """The subscriptions of one mailbox. For one thread."""

    def __init__(self, platform: Platform, holder_of: Callable[[str], str]) -> None:
        """`holder_of` returns the organisation whose system user acts for another."""
        self._platform, self._holder_of = platform, holder_of
        self._unvalidated: set[int] = set()
        self._may_make = 0

    @property
    def unvalidated(self) -> Collection[int]:
        """Those that were not validated when they were last looked at."""
        return frozenset(self._unvalidated)

    def renew(
        self, channels: Iterable[Channel], door: Door, again: Collection[int] = ()
    ) -> Subscribed:
        """Make some of what is missing, and remove what is ours and not wanted.

        What is in `again`, and still not validated, is made again.

        Raises MailboxUnavailable or AccessRefused if none can be looked at.
        """
        places = _places_of(channels)
        wanted = places[:MOST]
        by_holder = self._by_holder(wanted)
        self._unvalidated.clear()
        self._may_make = _AT_A_TIME
        validated, problems = 0, list[MailboxError]()
        for holder, own in by_holder.items():
            try:
                validated += self._of_holder(holder, own, door, again)
            except MailboxError as error:
                problems.append(error)
        if problems and len(problems) == len(by_holder):
            raise problems[0]
        return Subscribed(
            wanted=len(wanted),
            validated=validated,
            waiting=len(self._unvalidated),
            missing=0 if problems else len(wanted) - validated - len(self._unvalidated),
            left_out=len(places) - len(wanted),
            problem=str(problems[0]) if problems else "",
        )

    def look(self, channels: Iterable[Channel], door: Door) -> Subscribed:
        """Return how the subscriptions stand; changes nothing. Raises as `renew` does."""
        places = _places_of(channels)
        wanted, validated, waiting = places[:MOST], set[_Place](), set[_Place]()
        for holder in self._by_holder(wanted):
            for each in self._listed(holder):
                if each.get("endPoint") == door.endpoint:
                    into = validated if each.get("validated") is True else waiting
                    into.add(_place_of(each))
        return Subscribed(
            wanted=len(wanted),
            validated=len(validated.intersection(wanted)),
            waiting=len(waiting.intersection(wanted) - validated),
            left_out=len(places) - len(wanted),
        )

    def _by_holder(self, places: Iterable[_Place]) -> Mapping[str, Sequence[_Place]]:
        found: defaultdict[str, list[_Place]] = defaultdict(list)
        for place in places:
            found[self._holder_of(place[0])].append(place)
        return found

    def _of_holder(
        self, holder: str, wanted: Sequence[_Place], door: Door, again: Collection[int]
    ) -> int:
        """Return how many of a system user's subscriptions are validated."""
        kept: dict[_Place, Mapping[str, Any]] = {}
        for each in self._listed(holder):
            place = _place_of(each)
            is_late = each.get("validated") is not True and each["id"] in again
            is_good = each.get("endPoint") == door.endpoint and not is_late
            if is_good and place in wanted and place not in kept:
                kept[place] = each
            elif str(each.get("endPoint", "")).startswith(door.address):
                self._remove(holder, each["id"])
        for place in wanted:
            if place not in kept and self._may_make > 0:
                self._may_make -= 1
                kept[place] = self._make(holder, place, door)
        validated = [each for each in kept.values() if each.get("validated") is True]
        self._unvalidated |= {
            each["id"] for each in kept.values() if each.get("validated") is not True
        }
        return len(validated)

    def _listed(self, holder: str) -> Sequence[Mapping[str, Any]]:
        answer = self._platform.get(holder, _BASE, json_object, SCOPE)
        found = answer.value.get("subscriptions") if answer.status == _OK else None
        if not isinstance(found, list):
            raise _refusal(answer, holder)
        return [
            each for each in found if isinstance(each, dict) and isinstance(each.get("id"), int)
        ]

    def _make(self, holder: str, place: _Place, door: Door) -> Mapping[str, Any]:
        party, resource = place
        told = {
            "endPoint": door.endpoint,
            "resourceFilter": f"urn:altinn:resource:{resource}",
            "subjectFilter": f"urn:altinn:organization:identifier-no:{party}",
            "typeFilter": PUBLISHED,
        }
        answer = self._platform.post_json(holder, _BASE, json.dumps(told).encode(), SCOPE)
        if answer.status not in {_OK, _CREATED}:
            raise _refusal(answer, party, resource)
        try:
            made = json_object(answer.body)
        except ValueError:
            made = {}
        if not isinstance(made.get("id"), int):
            raise MailboxUnavailable("Altinn's answer to a subscription makes no sense")
        return made

    def _remove(self, holder: str, number: int) -> None:
        answer = self._platform.delete(holder, f"{_BASE}/{number}", SCOPE)
        if answer.status not in {_OK, _NOT_FOUND}:
            raise _refusal(answer, holder)


def _places_of(channels: Iterable[Channel]) -> list[_Place]:
    return list(dict.fromkeys((each.party, each.resource) for each in channels))


def _place_of(subscription: Mapping[str, Any]) -> _Place:
    subject = str(subscription.get("subjectFilter") or "")
    resource = str(subscription.get("resourceFilter") or "")
    return subject.rpartition(":")[2], resource.rpartition(":")[2]


def _refusal(answer: HttpResponse, party: str, resource: str = "") -> MailboxError:
    what = f" to {resource}" if resource else ""
    if answer.status == _FORBIDDEN:
        return AccessRefused(
            f"Altinn does not let the system user of {party} subscribe{what}; order the scope "
            f"{SCOPE} for the Maskinporten client, and have the right granted"
        )
    if answer.status == _BAD:
        return MailboxUnavailable(
            f"Altinn did not accept the subscription of {party}{what} (400); see that `public_url` "
            "is an address that it can reach"
        )
    return MailboxUnavailable(f"Altinn answered {answer.status} to a subscription of {party}{what}")
