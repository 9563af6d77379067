"""Dialogporten's endpoints for end users: who may call, what is accepted, and what is answered.

Searches, lookups and transmissions leave no trace; GET of a dialog always writes the seen log.
Rights are cached, so that a new delegation shows after a quarter of an hour. Sources:
Altinn/dialogporten, WebApi/Endpoints/V1/EndUser, InfrastructureExtensions.cs,
DialogSeenLogWriter.cs, …/EndUser/IdentifierLookup, …/EndUser/Parties.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs
from uuid import NAMESPACE_URL, uuid4, uuid5

from connectors.sandbox.altinn3 import dialog_views
from connectors.sandbox.altinn3.access import DIALOGPORTEN_SCOPE, Access
from connectors.sandbox.altinn3.dialog_records import DialogRecord, Dialogs
from connectors.sandbox.altinn3.dialog_search import BadSearch, Limits, order_text, read_search
from connectors.sandbox.altinn3.tokens import Bearer, Tokens, bearer_text
from connectors.sandbox.clock import Clock
from connectors.sandbox.http_server import Request, Response
from connectors.sandbox.letters import urn
from daemon.core.times import in_utc

BASE = "/dialogporten/api/v1"
_JSON = (("Content-Type", "application/json; charset=utf-8"),)
_PROBLEM = (("Content-Type", "application/problem+json"),)
_RFC = "https://datatracker.ietf.org/doc/html/rfc7231#section-6.5."
_TYPES = {400: f"{_RFC}1", 403: f"{_RFC}3", 404: f"{_RFC}4", 410: f"{_RFC}9"}
_DIALOG, _LETTER = "urn:altinn:dialog-id:", "urn:altinn:correspondence-id:"
_Answer = Callable[[Bearer, Request, tuple[str, ...]], Response]


class Dialogporten:
    """Answers end users.

    `rights_cached`, `limits`, `widest` (parties in a search before it takes too long; None for no
    bound) may be set while it runs.
    """

    def __init__(self, dialogs: Dialogs, access: Access, tokens: Tokens, clock: Clock) -> None:
        self.dialogs = dialogs
        self.rights_cached = timedelta(minutes=15)
        self.limits = Limits()
        self.widest: int | None = None
        self.names: dict[str, str] = {}
        """Names of parties, by organisation number."""
        self.main_units: dict[str, str] = {}
        """The main unit of each sub unit; the list of parties shows units below it."""
        self.deleted_parties: set[str] = set()
        self._access, self._tokens, self._clock = access, tokens, clock
        self._lock = threading.Lock()
        self._rights: dict[str, tuple[datetime, Mapping[str, frozenset[str]]]] = {}

    def answer(self, kind: str, request: Request, ids: tuple[str, ...]) -> Response:
        """Answer a request of one of the kinds that are here; `ids` are those in its path."""
        if kind == "dialoglimits":
            return self._limits()
        text = bearer_text(request.headers.get("authorization"))
        bearer = self._tokens.read(text) if text else None
        if not bearer:
            return Response(status=401, headers=(("WWW-Authenticate", "Bearer"),) * 3)
        if DIALOGPORTEN_SCOPE not in bearer.scopes:
            return Response(status=403)
        if not bearer.system_user:
            return _problem(403, request, {"Type": ["The caller is not a system user."]})
        answers: Mapping[str, _Answer] = {
            "dialogsearch": self._search,
            "dialog": self._dialog,
            "transmissions": self._transmissions,
            "transmission": self._transmission,
            "dialoglookup": self._lookup,
            "dialogparties": self._parties,
        }
        with self.dialogs.lock:
            return answers[kind](bearer, request, ids)

    def _limits(self) -> Response:
        search = {
            "maxPartyFilterValues": self.limits.parties,
            "maxServiceResourceFilterValues": self.limits.resources,
            "maxOrgFilterValues": 20,
            "maxExtendedStatusFilterValues": 20,
        }
        return _json({"endUserSearch": search})

    def _search(self, bearer: Bearer, request: Request, _: tuple[str, ...]) -> Response:
        try:
            search = read_search(request.query, self.limits)
        except BadSearch as bad:
            return _problem(400, request, bad.errors)
        if self.widest is not None and len(search.parties) > self.widest:
            return _problem(422, request, {"Search": ["The search took too long."]})
        rights, now = self._rights_of(bearer), self._clock.now()
        wanted = search.parties or rights.keys()
        found = [
            each
            for each in self.dialogs.of_parties(wanted)
            if each.is_listed(now)
            and search.matches(each)
            and each.dialog.resource in rights.get(each.dialog.party, ())
        ]
        page, more, token = search.page(found)
        answer = {
            "items": [dialog_views.item(each) for each in page],
            "hasNextPage": more,
            "orderBy": order_text(search.order),
        }
        return _json(answer | ({"continuationToken": token} if token else {}))

    def _dialog(self, bearer: Bearer, request: Request, ids: tuple[str, ...]) -> Response:
        record = self._admitted(bearer, request, ids[0], forbidden=403)
        if isinstance(record, Response):
            return record
        self.dialogs.see(record, f"system user {bearer.system_user}")
        return _json(dialog_views.whole(record, self._clock.now()), ("ETag", record.revision))

    def _transmissions(self, bearer: Bearer, request: Request, ids: tuple[str, ...]) -> Response:
        """List them; of those that are withheld it says nothing."""
        record = self._admitted(bearer, request, ids[0], forbidden=404)
        if isinstance(record, Response):
            return record
        now = self._clock.now()
        shown = (each for each in record.transmissions if not each.sent.withheld)
        return _json([dialog_views.transmission(each, now) for each in shown])

    def _transmission(self, bearer: Bearer, request: Request, ids: tuple[str, ...]) -> Response:
        record = self._admitted(bearer, request, ids[0], forbidden=404)
        if isinstance(record, Response):
            return record
        for each in record.transmissions:
            if each.id == ids[1].lower():
                if each.sent.withheld:
                    return _problem(403, request, {"Forbidden": ["Forbidden"]})
                return _json(dialog_views.transmission(each, self._clock.now()))
        return _problem(404, request, {"DialogTransmissionEntity": ["It was not found."]})

    def _lookup(self, bearer: Bearer, request: Request, _: tuple[str, ...]) -> Response:
        """Say what a dialog stands for: its correspondence before itself."""
        asked = parse_qs(request.query).get("instanceRef", [""])[0]
        if asked.startswith(_DIALOG):
            record = self.dialogs.record(asked.removeprefix(_DIALOG))
        elif asked.startswith(_LETTER):
            record = self.dialogs.mirror_of(asked.removeprefix(_LETTER))
        else:
            return _problem(400, request, {"instanceRef": ["'InstanceRef' is not valid."]})
        if record is None or record.deleted:
            return _problem(404, request, {"InstanceRef": ["It was not found."]})
        if not self._may_read(bearer, record):
            return _problem(403, request, {"Forbidden": ["Forbidden"]})
        dialog = record.dialog
        stands_for = f"{_LETTER}{dialog.correspondence}" if dialog.correspondence else ""
        answer = {
            "dialogId": record.id,
            "instanceRef": stands_for or f"{_DIALOG}{record.id}",
            "party": urn(dialog.party),
            "serviceResource": {"id": dialog.resource, "isDelegable": True, "name": []},
            "serviceOwner": {"orgNumber": "991825827", "code": dialog.org, "name": []},
            "title": [{"value": dialog.title, "languageCode": "nb"}],
            "authorizationEvidence": {"currentAuthenticationLevel": 3, "evidence": []},
        }
        return _json(answer)

    def _parties(self, bearer: Bearer, request: Request, _: tuple[str, ...]) -> Response:
        accept = request.headers.get("accept", "*/*")
        if not any(kind in accept for kind in ("application/json", "*/*")):
            return Response(status=406)
        numbers = self._rights_of(bearer).keys()
        mains = sorted({self.main_units.get(each, each) for each in numbers})
        return _json({"authorizedParties": [self._party(each, numbers) for each in mains]})

    def _party(self, number: str, allowed: Collection[str]) -> dict[str, Any]:
        units = sorted(each for each in allowed if self.main_units.get(each) == number)
        return {
            "party": urn(number),
            "partyUuid": str(uuid5(NAMESPACE_URL, number)),
            "partyId": int(number) % 100_000_000,
            "name": self.names.get(number, f"VIRKSOMHET {number}"),
            "partyType": "Organization",
            "isDeleted": number in self.deleted_parties,
            "hasOnlyAccessToSubParties": number not in allowed,
            "subParties": [self._party(each, allowed) for each in units],
        }

    def _admitted(
        self, bearer: Bearer, request: Request, dialog_id: str, *, forbidden: int
    ) -> DialogRecord | Response:
        """Return the dialog, or the refusal, which is decided in the real server's order."""
        record, now = self.dialogs.record(dialog_id), self._clock.now()
        unknown = {"DialogEntity": [f"Entity with the following key(s) was not found: {dialog_id}"]}
        if record is None:
            return _problem(404, request, unknown)
        if not self._may_read(bearer, record):
            return _problem(forbidden, request, {"Forbidden": ["Forbidden"]})
        if record.deleted:
            return _problem(410, request, {"DialogEntity": [f"It is removed: {record.id}."]})
        if not record.is_visible(now):
            assert record.dialog.visible_from
            expires = in_utc(record.dialog.visible_from).isoformat()
            return _problem(404, request, unknown, ("Expires", expires))
        return _problem(404, request, unknown) if record.has_expired(now) else record

    def _may_read(self, bearer: Bearer, record: DialogRecord) -> bool:
        rights = self._rights_of(bearer)
        return record.dialog.resource in rights.get(record.dialog.party, ())

    def _rights_of(self, bearer: Bearer) -> Mapping[str, frozenset[str]]:
        """Return what the system user may read, by party, as it was when it was last looked up."""
        user, now = bearer.system_user or "", self._clock.now()
        with self._lock:
            at, known = self._rights.get(user, (None, {}))
            if at is None or now - at >= self.rights_cached:
                known = self._access.rights_of(user)
                self._rights[user] = now, known
            return known


def _json(document: Any, *headers: tuple[str, str]) -> Response:
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(status=200, body=body, headers=(*_JSON, *headers))


def _problem(
    status: int, request: Request, errors: Mapping[str, list[str]], *headers: tuple[str, str]
) -> Response:
    """Return the refusal; its `instance` lacks `/dialogporten`."""
    problem = {
        "type": _TYPES.get(status, "https://datatracker.ietf.org/doc/html/rfc4918#section-11.2"),
        "title": "One or more validation errors occurred." if status == 400 else "Refused.",  # noqa: PLR2004
        "status": status,
        "instance": request.path.removeprefix("/dialogporten"),
        "traceId": f"00-{uuid4().hex}-0000000000000000-01",
        "errors": errors,
    }
    return Response(status=status, body=json.dumps(problem).encode(), headers=(*_PROBLEM, *headers))
