"""The simulated Altinn: Maskinporten and Altinn's platform on one port.

The platform's parts are the token exchange, Correspondence, Dialogporten and the resource registry.
It is meant to be no friendlier than the real ones. Its modules name the sources of what it knows of
them; there, COR is Altinn/altinn-correspondence, and API, APP, COM, CORE, INT and PER are its
src/Altinn.Correspondence.API, .Application, .Common, .Core, .Integrations and .Persistence.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connectors.sandbox.altinn3 import correspondence_api, events
from connectors.sandbox.altinn3.access import (
    RECIPIENT_SCOPES,
    Access,
    Client,
    ClientKey,
    ReadyClient,
    public_key,
    ready_client,
)
from connectors.sandbox.altinn3.correspondence import Correspondences
from connectors.sandbox.altinn3.correspondence_api import CorrespondenceApi
from connectors.sandbox.altinn3.dialog_records import Dialogs
from connectors.sandbox.altinn3.dialogporten import Dialogporten
from connectors.sandbox.altinn3.discovery import Discovery, PretendResource
from connectors.sandbox.altinn3.exchange import Exchange
from connectors.sandbox.altinn3.faults import Faults
from connectors.sandbox.altinn3.maskinporten import Maskinporten
from connectors.sandbox.altinn3.rate_limit import RateLimit
from connectors.sandbox.altinn3.records import Record, StatusRow
from connectors.sandbox.altinn3.routes import DIALOGPORTEN, nothing_here, route
from connectors.sandbox.altinn3.tokens import Tokens, rsa_key
from connectors.sandbox.clock import Clock
from connectors.sandbox.dialogs import PretendDialog
from connectors.sandbox.http_server import LoopbackServer, Request, Response
from connectors.sandbox.letters import AttachmentStatus, PretendLetter, Status
from connectors.sandbox.loopback import Peer

_WITHOUT_GATEWAY = {"token", "metadata", "keys"}
_POLL = 0.05
_PATIENCE = 30.0  # seconds; on a busy machine a service takes many to start


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request and its result."""

    kind: str
    """list, overview, details, content, markasread, confirm, purge, download, token, exchange,
    metadata, keys, serviceresources, servicemetadata, resourcelist, resource, dialogsearch,
    dialog, transmissions, transmission, dialoglookup, dialogparties, dialoglimits, subscribe,
    subscriptions, subscription, unsubscribe, or other.
    """
    method: str
    path: str
    query: str
    status: int
    """The status of the response; if a fault kept the response back, the status it would have had.
    """
    fault: str | None
    """The name of the fault that acted on it."""
    at: datetime


class FakeAltinn(Peer):
    """A context manager that serves on 127.0.0.1 from entry to exit.

    All methods may be called from any thread. `port` 0 takes a free one. With a `subscription_key`,
    the platform's gateway requires it in every call.

    Its parts may be set while it runs: `clock.skew` (server's clock wrong), `clock.advance(...)`,
    `latency` (seconds for each request), `maskinporten.token_lifetime`, `exchange.lifetime`,
    `dialogs` (add, change, delete and restore them), `dialogporten.rights_cached`, `rate_limit`,
    `events.doors`, `letters.confirm_delay`, `letters.confirmations_take`,
    `correspondence.announce_lengths`, `faults.inject(...)`, `faults.storm(...)`.
    """

    def __init__(self, *, port: int = 0, subscription_key: str = "", seed: int = 1) -> None:
        self.clock = Clock()
        self.latency = 0.0
        self.faults = Faults(seed)
        self.access = Access()
        self.letters = Correspondences(self.clock)
        self._subscription_key = subscription_key
        self._server = LoopbackServer(self._answer, port=port, clock=self.clock)
        self.platform_url = self._server.url
        """Without a slash at its end."""
        self.maskinporten_url = f"{self._server.url}/"
        """The issuer, and so the audience of grants; the token endpoint is this and `token`."""
        issuer = f"{self.platform_url}/authentication/api/v1/openid/"
        tokens = self.tokens = Tokens(
            self.clock, {"maskinporten": self.maskinporten_url, "altinn": issuer}
        )
        self.maskinporten = Maskinporten(self.maskinporten_url, self.access, tokens, self.clock)
        self.exchange = Exchange(tokens, self.clock)
        self.correspondence = CorrespondenceApi(self.letters, self.access, tokens)
        self.discovery = Discovery(self.letters, self.access, tokens)
        self.dialogs = Dialogs(self.clock)
        self.dialogporten = Dialogporten(self.dialogs, self.access, tokens, self.clock)
        self.events = events.Events(self.access, tokens, self.clock, self.platform_url)
        self.rate_limit = RateLimit(tokens, self.clock)
        self._changed = threading.Condition()
        self._calls: list[Call] = []
        self._counts: Counter[str] = Counter()

    # Who may do what

    def ready_client(
        self, organisation: str = "991825827", scopes: Iterable[str] = RECIPIENT_SCOPES
    ) -> ReadyClient:
        """Register a client of `organisation`; return what a program needs to act as it."""
        ready = ready_client(organisation)
        self.add_client(
            ready.client_id,
            rsa_key("client").as_dict(private=False),
            ready.key_id,
            organisation,
            scopes=scopes,
        )
        return ready

    def add_client(
        self,
        client_id: str,
        key: str | bytes | dict[str, Any],
        key_id: str,
        organisation: str,
        *,
        scopes: Iterable[str] = RECIPIENT_SCOPES,
        key_expires: datetime | None = None,
    ) -> None:
        """Register a client with its public key, in PEM or as a JWK."""
        registered = ClientKey(key=public_key(key, key_id), expires=key_expires)
        self.access.add_client(
            Client(
                id=client_id,
                organisation=organisation,
                scopes=frozenset(scopes),
                keys={key_id: registered},
            )
        )

    def add_key(
        self,
        client_id: str,
        key: str | bytes | dict[str, Any],
        key_id: str,
        *,
        key_expires: datetime | None = None,
    ) -> None:
        """Register one more public key on a client, in PEM or as a JWK, beside those it has."""
        registered = ClientKey(key=public_key(key, key_id), expires=key_expires)
        self.access.add_key(client_id, key_id, registered)

    def allow(
        self, client_id: str, party: str, resources: Iterable[str], external_ref: str | None = None
    ) -> str:
        """Let the client's system user for `party` also read `resources`.

        Returns the system user's id.
        """
        wanted = tuple(resources)
        for resource in wanted:
            self.discovery.add_missing(resource)
        return self.access.allow(client_id, party, wanted, external_ref)

    def revoke(
        self,
        client_id: str,
        party: str,
        resources: Iterable[str] | None = None,
        external_ref: str | None = None,
    ) -> None:
        """Remove rights: 4001 from now on.

        Without `resources`, the whole system user: MP-303 from now on.
        """
        self.access.revoke(client_id, party, resources, external_ref)

    def token(
        self,
        client_id: str,
        party: str,
        *,
        scopes: Iterable[str] = RECIPIENT_SCOPES,
        external_ref: str | None = None,
        exchanged: bool = True,
    ) -> str:
        """Return a token as Maskinporten gives it, exchanged or not, without a request.

        For exploring the sandbox by hand. Raises LookupError if the client or the system user is
        unknown.
        """
        client, user = (
            self.access.client(client_id),
            self.access.find_user(client_id, party, external_ref),
        )
        if not client or not user:
            raise LookupError(f"client {client_id} has no system user for {party}")
        raw = self.maskinporten.issue(client, " ".join(scopes), user)
        bearer = self.tokens.read(raw)
        return self.exchange.issue(bearer) if exchanged and bearer else raw

    def allow_client(self, client_id: str, house: str, party: str, resources: Iterable[str]) -> str:
        """Give the agent system user of `house` the client `party`; returns the user's id."""
        return self.access.allow_client(client_id, house, party, resources)

    def revoke_tokens(self) -> None:
        """Refuse every token that was issued before now."""
        self.tokens.revoke_all()

    def add_resource(self, resource: PretendResource) -> None:
        """Add a resource to the registry, and to Dialogporten once it has letters."""
        self.discovery.add(resource)

    # Letters

    def publish(self, letter: PretendLetter) -> str:
        """Add a letter and return its id. Takes tens of thousands a second."""
        self.discovery.add_missing(letter.resource)
        letter_id = self.letters.publish(letter)
        if letter.external_references is None:
            self._mirror(letter_id)
        self.events.about(self.letters.record(letter_id))
        return letter_id

    def _mirror(self, letter_id: str) -> None:
        """Let the letter's dialog be there, as Correspondence does before it publishes it."""
        record = self.letters.record(letter_id)
        letter = record.letter
        dialog = PretendDialog(
            id=dict(record.references)["DialogportenDialogId"],
            party=letter.party,
            resource=letter.resource,
            resource_type="correspondenceservice",
            org="digdir",
            title=letter.title,
            external_reference=letter.senders_reference,
            correspondence=letter_id,
        )
        is_migrated = letter.altinn2_id is not None
        self.dialogs.mirror(dialog, record.requested_at, migrated=is_migrated)

    def complete(self, letter_id: str) -> None:
        """Publish a letter that was added unpublished. Its requested time stays the same."""
        self.letters.advance(letter_id, Status.Published)
        self.events.about(self.letters.record(letter_id))

    def withdraw(self, letter_id: str, status: Status = Status.PurgedByAltinn) -> None:
        """Withdraw a letter: it stays in the list, but cannot be fetched.

        The status Failed, as for malware, also hides it from the list.
        """
        self.letters.advance(letter_id, status)
        self.dialogs.forget_mirror(letter_id)

    def set_attachment(self, letter_id: str, attachment_id: str, status: AttachmentStatus) -> None:
        """Let an attachment expire, be purged, or fail its scan."""
        self.letters.set_attachment(letter_id, attachment_id, status)

    def record(self, letter_id: str) -> Record:
        """Return the letter as the server keeps it, with the ids of its attachments.

        Raises Problem for an unknown id.
        """
        return self.letters.record(letter_id)

    def history(self, letter_id: str) -> tuple[StatusRow, ...]:
        """Return the letter's status rows by time, Fetched included."""
        with self.letters.lock:
            return self.letters.record(letter_id).history

    def statuses(self, letter_id: str) -> tuple[str, ...]:
        """Return the names of the same rows."""
        return tuple(row.status.name for row in self.history(letter_id))

    # What was asked

    def calls(self, kind: str | None = None) -> tuple[Call, ...]:
        """Return the requests so far, in the order in which they were answered."""
        with self._changed:
            return tuple(call for call in self._calls if kind in {None, call.kind})

    def count(self, *kinds: str) -> int:
        """Return how many requests of these kinds there were; of all kinds, if none is named."""
        with self._changed:
            return sum(self._counts[kind] for kind in kinds) if kinds else len(self._calls)

    def forget_calls(self) -> None:
        """Reset the counts to zero."""
        with self._changed:
            self._calls.clear()
            self._counts.clear()

    def wait_for(self, condition: Callable[[], bool], timeout: float = _PATIENCE) -> bool:
        """Wait until a condition holds; return whether it did in time.

        `condition` is tried after each request, and often.
        """
        deadline = time.monotonic() + timeout
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            with self._changed:
                self._changed.wait(min(left, _POLL))
        return True

    def wait_for_calls(self, kind: str, number: int, timeout: float = _PATIENCE) -> bool:
        """Wait until there were this many requests of a kind."""
        return self.wait_for(lambda: self.count(kind) >= number, timeout)

    def wait_for_status(self, letter_id: str, status: str, timeout: float = _PATIENCE) -> bool:
        """Wait until a letter has a status row of that name."""
        return self.wait_for(lambda: status in self.statuses(letter_id), timeout)

    # Outages

    @contextlib.contextmanager
    def outage(self) -> Iterator[None]:
        """Be unreachable for the length of a block."""
        self.go_down()
        try:
            yield
        finally:
            self.come_up()

    # Answering

    def _answer(self, request: Request) -> Response:
        if self.latency:
            self._server.stopping.wait(self.latency)
        kind, ids = route(request)
        fault = self.faults.next(kind)
        if fault and fault.instead:
            response = fault.instead()
        else:
            response = self._right_answer(kind, request, ids)
            response = fault.spoil(response) if fault and fault.spoil else response
        self._note(request, kind, response.status, fault.name if fault else None)
        return response

    def _right_answer(self, kind: str, request: Request, ids: tuple[str, ...]) -> Response:
        if kind not in _WITHOUT_GATEWAY:
            given = request.headers.get("ocp-apim-subscription-key")
            if self._subscription_key not in {"", given}:
                return _no_subscription()
            if refused := self.rate_limit.refusal(request):
                return refused
        if kind in events.ENDPOINTS:
            return self.events.answer(kind, request, ids)
        if kind in DIALOGPORTEN:
            return self.dialogporten.answer(kind, request, ids)
        if kind in correspondence_api.ENDPOINTS:
            return self.correspondence.answer(kind, request, ids)
        return self._plain_endpoint(kind, ids)(request)

    def _plain_endpoint(self, kind: str, ids: tuple[str, ...]) -> Callable[[Request], Response]:
        return {
            "token": self.maskinporten.token,
            "metadata": self.maskinporten.metadata,
            "keys": self.maskinporten.keys,
            "exchange": lambda request: self.exchange.answer(request, ids[0]),
            "serviceresources": self.discovery.service_resources,
            "servicemetadata": self.discovery.metadata,
            "resourcelist": self.discovery.resource_list,
            "resource": lambda _: self.discovery.resource(ids[0]),
        }.get(kind, nothing_here)

    def _note(self, request: Request, kind: str, status: int, fault: str | None) -> None:
        now = self.clock.now()
        call = Call(
            kind=kind,
            method=request.method,
            path=request.path,
            query=request.query,
            status=status,
            fault=fault,
            at=now,
        )
        with self._changed:
            self._calls.append(call)
            self._counts[kind] += 1
            self._changed.notify_all()


def _no_subscription() -> Response:
    body = (
        b'{"statusCode":401,"message":"Access denied due to missing or invalid subscription key."}'
    )
    return Response(status=401, body=body, headers=(("Content-Type", "application/json"),))
