"""Access in the sandbox: Maskinporten clients, keys and scopes, system users and rights."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import uuid4

from joserfc.jwk import RSAKey

from connectors.sandbox.altinn3.tokens import rsa_key

READ_SCOPE = "altinn:correspondence.read"
WRITE_SCOPE = "altinn:correspondence.write"
PORTAL_SCOPE = "altinn:portal/enduser"
SERVICE_OWNER_SCOPE = "altinn:serviceowner"
DIALOGPORTEN_SCOPE = "digdir:dialogporten"
EVENTS_SCOPE = "altinn:events.subscribe"
RECIPIENT_SCOPES = (READ_SCOPE, DIALOGPORTEN_SCOPE, EVENTS_SCOPE)


@dataclass(frozen=True, kw_only=True)
class ClientKey:
    """A public key that is registered on a client."""

    key: RSAKey
    expires: datetime | None = None


@dataclass(kw_only=True)
class Client:
    """A Maskinporten client."""

    id: str
    organisation: str
    scopes: frozenset[str]
    keys: dict[str, ClientKey] = field(default_factory=dict)
    """By key id. A client may have several, so that a new one can be registered beside the old."""
    enabled: bool = True


@dataclass(kw_only=True)
class SystemUser:
    """A system user: one customer's grant to one client."""

    id: str
    client_id: str
    party: str
    resources: set[str] = field(default_factory=set)
    clients: dict[str, set[str]] = field(default_factory=dict)
    """Of an agent system user: the resources of each client that was given to it."""

    def rights(self) -> dict[str, frozenset[str]]:
        """Return what it may read, by party."""
        own = {self.party: self.resources} if self.resources else {}
        return {party: frozenset(held) for party, held in {**self.clients, **own}.items()}


@dataclass(frozen=True, kw_only=True)
class ReadyClient:
    """What a program needs to authenticate to Maskinporten."""

    client_id: str
    key_id: str
    private_key: str
    """PKCS#8 in PEM. One key pair serves a whole process."""
    organisation: str


def ready_client(organisation: str) -> ReadyClient:
    """Return a new client id, with this process's key pair."""
    key = rsa_key("client")
    return ReadyClient(
        client_id=str(uuid4()),
        key_id=str(key.kid),
        private_key=key.as_pem(private=True).decode(),
        organisation=organisation,
    )


class Access:
    """The registers of clients and system users. May be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clients: dict[str, Client] = {}
        self._users: dict[tuple[str, str, str], SystemUser] = {}
        self._by_id: dict[str, SystemUser] = {}

    def add_client(self, client: Client) -> None:
        """Register a client, replacing one with the same id."""
        with self._lock:
            self._clients[client.id] = client

    def add_key(self, client_id: str, key_id: str, key: ClientKey) -> None:
        """Register one more key on the client, in place of one with the same id."""
        with self._lock:
            client = self._clients[client_id]
            self._clients[client_id] = replace(client, keys={**client.keys, key_id: key})

    def enable(self, client_id: str, *, enabled: bool) -> None:
        """Switch the client on or off."""
        with self._lock:
            self._clients[client_id] = replace(self._clients[client_id], enabled=enabled)

    def client(self, client_id: str) -> Client | None:
        """Return the client with that id."""
        with self._lock:
            return self._clients.get(client_id)

    def allow(
        self, client_id: str, party: str, resources: Iterable[str], external_ref: str | None = None
    ) -> str:
        """Give the client's system user for `party` the right to read `resources`.

        Returns the system user's id.
        """
        key = (client_id, party, external_ref or party)
        with self._lock:
            user = self._users.get(key) or SystemUser(
                id=str(uuid4()), client_id=client_id, party=party
            )
            self._users[key] = self._by_id[user.id] = user
            user.resources |= set(resources)
            return user.id

    def revoke(
        self,
        client_id: str,
        party: str,
        resources: Iterable[str] | None,
        external_ref: str | None = None,
    ) -> None:
        """Remove rights; without `resources`, the whole system user."""
        key = (client_id, party, external_ref or party)
        with self._lock:
            if resources is not None:
                self._users[key].resources -= set(resources)
                return
            user = self._users.pop(key)
            del self._by_id[user.id]

    def allow_client(
        self,
        client_id: str,
        house: str,
        party: str,
        resources: Iterable[str],
        external_ref: str | None = None,
    ) -> str:
        """Give the agent system user of `house` the client `party`, with these resources.

        The token is the house's; rights are judged for the client. Returns the system user's id.
        Source: Altinn/altinn-authentication, SystemUserClientDelegationController.cs.
        """
        user_id = self.allow(client_id, house, (), external_ref)
        with self._lock:
            self._by_id[user_id].clients.setdefault(party, set()).update(resources)
        return user_id

    def revoke_client(
        self, client_id: str, house: str, party: str, external_ref: str | None = None
    ) -> None:
        """Take a client away from the agent system user."""
        with self._lock:
            del self._users[client_id, house, external_ref or house].clients[party]

    def find_user(self, client_id: str, party: str, external_ref: str | None) -> SystemUser | None:
        """Return the system user with exactly this reference.

        Without one, the reference is the organisation number on both sides.
        """
        with self._lock:
            return self._users.get((client_id, party, external_ref or party))

    def may_read(self, system_user: str | None, party: str, resource: str) -> bool:
        """Return whether the system user may read the resource on behalf of `party`."""
        with self._lock:
            user = self._by_id.get(system_user or "")
            return user is not None and resource in user.rights().get(party, ())

    def rights_of(self, system_user: str) -> dict[str, frozenset[str]]:
        """Return all that the system user may read, by party."""
        with self._lock:
            user = self._by_id.get(system_user)
            return user.rights() if user else {}

    def resources_of(self, system_user: str | None, party: str) -> frozenset[str]:
        """Return all resources that the system user may read on behalf of `party`."""
        with self._lock:
            user = self._by_id.get(system_user or "")
            return user.rights().get(party, frozenset()) if user else frozenset()


def public_key(material: str | bytes | dict[str, Any], key_id: str) -> RSAKey:
    """Return a public key from PEM or a JWK, with the id that it is registered under."""
    return RSAKey.import_key(material, {"kid": key_id})
