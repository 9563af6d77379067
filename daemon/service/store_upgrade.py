"""Brings the tables of a store up to date for those who separate the right to do that."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from urllib.parse import quote, urlsplit, urlunsplit

from sqlalchemy import Connection

from daemon.config.store import StoreSettings
from daemon.core.errors import StoreError
from daemon.service.store_access import (
    lock_of,
    refuse_closed_store,
    refuse_hidden_store,
    store_exists,
)
from daemon.store import BusyWait
from daemon.store.database import as_store_errors, engine_of
from daemon.store.grants import grant_use
from daemon.store.migrations import HEAD
from daemon.store.postgresql_server import server_facts
from daemon.store.upgrade import upgrade


@dataclass(frozen=True, kw_only=True)
class UpgradedStore:
    """What an upgrade has done."""

    before: str | None
    """The number that the tables had; None if there were none."""
    after: str
    service_user: str = ""
    """Who was given the rights that the service needs, if another user owns the tables."""


def upgrade_store(settings: StoreSettings, owner: StoreSettings | None = None) -> UpgradedStore:
    """Bring the tables up to date, on PostgreSQL as the user of `owner` if that is not None.

    The service's own user then has the rights that it needs, also on new tables. Raises StoreError,
    also where the store is a file that a service uses.
    """
    if settings.is_file:
        return _upgrade_file(settings)
    if owner is None:
        return UpgradedStore(before=_upgraded(settings), after=HEAD)
    service_user = server_facts(settings.database, settings.password).user
    before = _upgraded(owner, service_user)
    return UpgradedStore(before=before, after=HEAD, service_user=service_user)


def url_as(url: str, user: str) -> str:
    """Return the URL with this user, whom libpq then prefers to that of a service file."""
    found = urlsplit(url)
    hosts = found.netloc.rpartition("@")[2]
    query = "&".join(each for each in found.query.split("&") if not each.startswith("user="))
    netloc = f"{quote(user, safe='')}@{hosts}"
    return urlunsplit((found.scheme, netloc, found.path, query, ""))


def _upgrade_file(settings: StoreSettings) -> UpgradedStore:
    refuse_hidden_store(settings)
    if not store_exists(settings):
        raise StoreError(
            f"the database {settings.beside} does not exist; `postmottak run` and `postmottak "
            "poll` create it"
        )
    refuse_closed_store(settings)
    with ExitStack() as ends:
        ends.callback(lock_of(settings).release)
        return UpgradedStore(before=_upgraded(settings), after=HEAD)


def _upgraded(settings: StoreSettings, service_user: str = "") -> str | None:
    def then(connection: Connection) -> None:
        if service_user:
            grant_use(connection, service_user)

    engine = engine_of(settings.database, BusyWait(), settings.password)
    try:
        with as_store_errors(engine):
            return upgrade(engine, then, alone=True)
    finally:
        engine.reader.dispose()
