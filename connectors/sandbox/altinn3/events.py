"""A pretend Altinn Events: subscriptions, their validation, and events of published letters.

Source: Altinn/altinn-events, SubscriptionController.cs, SubscriptionService.cs,
ValidateSubscriptionHandler.cs; the errors of a request are plain text there, not problem details.
Events are sent at least once, in any order, without a signature.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.error import URLError
from urllib.request import Request as Sending
from urllib.request import urlopen
from uuid import uuid4

from connectors.sandbox.altinn3.access import EVENTS_SCOPE, Access
from connectors.sandbox.altinn3.records import Record
from connectors.sandbox.altinn3.tokens import Bearer, Tokens, bearer_text
from connectors.sandbox.clock import Clock
from connectors.sandbox.http_server import Request, Response

ENDPOINTS = frozenset({"subscribe", "subscriptions", "subscription", "unsubscribe"})
_JSON = (("Content-Type", "application/json; charset=utf-8"),)
_PLAIN = (("Content-Type", "text/plain; charset=utf-8"),)
_RESOURCE, _SUBJECT = "urn:altinn:resource:", "urn:altinn:organization:identifier-no:"
_PUBLISHED = "no.altinn.correspondence.correspondencepublished"
_WAIT = 5.0  # seconds


@dataclass
class PretendSubscription:
    """A subscription as the server keeps it."""

    id: int
    consumer: str
    created: datetime
    told: Mapping[str, Any]
    validated: bool = False
    tried: int = 0
    """How many times its validation was sent."""

    @property
    def endpoint(self) -> str:
        """Where its events are sent."""
        return str(self.told["endPoint"])

    def document(self) -> dict[str, Any]:
        """Return it as the API shows it."""
        return {
            "id": self.id,
            "endPoint": self.endpoint,
            "sourceFilter": None,
            "resourceFilter": self.told["resourceFilter"],
            "subjectFilter": self.told.get("subjectFilter"),
            "alternativeSubjectFilter": None,
            "typeFilter": self.told.get("typeFilter"),
            "consumer": self.consumer,
            "createdBy": self.consumer,
            "created": self.created.isoformat(),
            "validated": self.validated,
            "includeSubunits": False,
        }


@dataclass
class Events:
    """The subscriptions of all consumers. May be used from any thread.

    `doors` is the reverse proxy: what a public address begins with, and what it is handed on to.
    """

    access: Access
    tokens: Tokens
    clock: Clock
    platform_url: str
    doors: dict[str, str] = field(default_factory=dict)
    retries: tuple[float, ...] = (10, 30, 60, 300, 600, 1800, 3600)
    """Seconds after which what was not taken is sent again."""
    sent: list[tuple[str, int]] = field(default_factory=list)
    """The type of each event that was sent, and the status of the answer; 0 without one."""

    def __post_init__(self) -> None:
        self._lock, self._stopped = threading.Lock(), threading.Event()
        self._next = 4711
        self._kept: dict[int, PretendSubscription] = {}

    def close(self) -> None:
        """Send nothing more."""
        self._stopped.set()

    def all(self) -> list[PretendSubscription]:
        """Return every subscription."""
        with self._lock:
            return list(self._kept.values())

    def lose_all(self) -> None:
        """Remove every subscription, as the other side may at any time."""
        with self._lock:
            self._kept.clear()

    def answer(self, kind: str, request: Request, ids: tuple[str, ...]) -> Response:
        """Answer a request."""
        text = bearer_text(request.headers.get("authorization"))
        bearer = self.tokens.read(text) if text else None
        if not bearer or bearer.issuer != "altinn":
            return Response(status=401)
        if EVENTS_SCOPE not in bearer.scopes:
            return Response(status=403)
        if kind == "subscribe":
            return self._subscribe(bearer, request)
        if kind == "subscriptions":
            own = [each.document() for each in self.all() if each.consumer == _consumer(bearer)]
            return _json({"count": len(own), "subscriptions": own})
        return self._one(kind, bearer, ids[0])

    def _one(self, kind: str, bearer: Bearer, number: str) -> Response:
        with self._lock:
            found = self._kept.get(int(number)) if number.isdigit() else None
            if not found:
                return Response(status=404)
            if found.consumer != _consumer(bearer):
                return Response(status=403)
            if kind == "unsubscribe":
                del self._kept[found.id]
                return Response(status=200)
        return _json(found.document())

    def _subscribe(self, bearer: Bearer, request: Request) -> Response:
        if "json" not in request.headers.get("content-type", ""):
            return Response(status=415)
        try:
            told = json.loads(request.body)
        except ValueError:
            return _bad("The request body is not valid JSON")
        if wrong := _fault_of(told):
            return _bad(wrong)
        resource = str(told["resourceFilter"]).removeprefix(_RESOURCE)
        party = str(told.get("subjectFilter") or "").removeprefix(_SUBJECT)
        if not self.access.may_read(bearer.system_user, party, resource):
            return Response(status=403)
        consumer = _consumer(bearer)
        with self._lock:
            same = [
                each
                for each in self._kept.values()
                if each.consumer == consumer and each.told == told
            ]
            kept = same[0] if same else self._new(consumer, told)
        if not same:
            self._later(0.05, partial(self._validate, kept, self.retries))
        location = (("Location", f"/events/api/v1/subscription/{kept.id}"),)
        return Response(
            status=201, body=json.dumps(kept.document()).encode(), headers=(*_JSON, *location)
        )

    def _new(self, consumer: str, told: Mapping[str, Any]) -> PretendSubscription:
        kept = PretendSubscription(self._next, consumer, self.clock.now(), told)
        self._kept[kept.id] = kept
        self._next += 1
        return kept

    def _validate(self, subscription: PretendSubscription, retries: tuple[float, ...]) -> None:
        if subscription.id not in self._kept:
            return
        subscription.tried += 1
        source = f"{self.platform_url}/events/api/v1/subscriptions/{subscription.id}"
        event = {"type": "platform.events.validatesubscription", "source": source}
        if self._post(subscription.endpoint, event):
            subscription.validated = True
        elif retries:
            self._later(retries[0], partial(self._validate, subscription, retries[1:]))

    def about(self, record: Record) -> None:
        """Tell those who have subscribed, if a letter is published."""
        if record.published_at is not None:
            self.published(record.letter.party, record.letter.resource, str(record.id))

    def published(self, party: str, resource: str, letter_id: str) -> None:
        """Tell those who have subscribed that a letter was published."""
        event = {
            "type": _PUBLISHED,
            "resource": _RESOURCE + resource,
            "resourceinstance": letter_id,
            "source": f"{self.platform_url}/correspondence/api/v1/correspondence",
            "subject": _SUBJECT + party,
            "alternativesubject": f"/organisation/{party}",
        }
        for each in self.all():
            is_wanted = (
                each.validated
                and each.told["resourceFilter"] == event["resource"]
                and each.told.get("subjectFilter") in {None, event["subject"]}
                and each.told.get("typeFilter") in {None, _PUBLISHED}
            )
            if is_wanted:
                whole = {**event, "id": str(uuid4())}
                self._later(0.0, partial(self._deliver, each, whole, self.retries))

    def _deliver(
        self, to: PretendSubscription, event: Mapping[str, Any], retries: tuple[float, ...]
    ) -> None:
        if not self._post(to.endpoint, event) and retries:
            self._later(retries[0], partial(self._deliver, to, event, retries[1:]))

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        def do() -> None:
            if not self._stopped.is_set():
                what()

        timer = threading.Timer(seconds, do)
        timer.daemon = True
        timer.start()

    def _post(self, endpoint: str, event: Mapping[str, Any]) -> bool:
        """Send an event; return whether it was taken."""
        time = self.clock.now().isoformat()
        whole = {"specversion": "1.0", "id": str(uuid4()), "time": time, "data": None, **event}
        sending = Sending(  # noqa: S310  # the address is a test's own
            self._inside(endpoint),
            json.dumps(whole).encode(),
            {"Content-Type": "application/json"},
        )
        status = 0
        try:
            with urlopen(sending, timeout=_WAIT) as answer:  # noqa: S310  # as above
                status = answer.status
        except URLError as error:
            status = getattr(error, "code", 0)
        except OSError:
            pass
        with self._lock:
            self.sent.append((str(event["type"]), status))
        return status // 100 == 2  # noqa: PLR2004

    def _inside(self, endpoint: str) -> str:
        """Return where the reverse proxy hands an address on to; nowhere without a door."""
        for public, inner in self.doors.items():
            if endpoint.startswith(public):
                return inner + endpoint.removeprefix(public)
        return "http://127.0.0.1:9/"


def _fault_of(told: Any) -> str:
    """Return what is wrong with a subscription, in the server's way."""
    if not isinstance(told, dict):
        return "The request body is not valid JSON"
    if not str(told.get("endPoint", "")).startswith("https://"):
        return "Invalid subscription endpoint. Endpoint must be a https url"
    if told.get("sourceFilter"):
        return "Source filter is not supported for subscriptions on resource"
    if told.get("alternativeSubjectFilter"):
        return "AlternativeSubject is not supported for subscriptions on resource"
    if not str(told.get("resourceFilter") or "").startswith(_RESOURCE):
        return "Resource filter must be provided"
    return ""


def _consumer(bearer: Bearer) -> str:
    return f"/systemuser/{bearer.system_user}"


def _bad(text: str) -> Response:
    return Response(status=HTTPStatus.BAD_REQUEST, body=text.encode(), headers=_PLAIN)


def _json(value: object) -> Response:
    return Response(status=200, body=json.dumps(value).encode(), headers=_JSON)
