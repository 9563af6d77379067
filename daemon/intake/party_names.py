"""What the organisations are called that letters are for."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection

from daemon.config.loader import Configuration, MailboxConfiguration
from daemon.store import Store

_FRESH = 60.0
"""Seconds for which a name that was found is not looked up again."""


PartyNames = Callable[[str, str], str]
"""Returns what an organisation is called, by the mailbox and its number; empty if unknown."""


class KnownNames:
    """Names from the configuration, and else as they were found for the mailbox.

    May be called from several threads. A number without a name is looked up each time, because
    another process may just have found it; but once where the configuration lists whose mail it is:
    nobody looks for organisations then. Raises StoreError.
    """

    def __init__(self, store: Store, mailboxes: Collection[MailboxConfiguration]) -> None:
        self._store = store
        self._configured = {each.name: dict(each.settings.party_names) for each in mailboxes}
        self._listed = {each.name: frozenset(each.settings.organisations) for each in mailboxes}
        self._found: dict[tuple[str, str], tuple[str, float]] = {}

    def __call__(self, mailbox: str, party: str) -> str:
        """Return what the organisation is called now."""
        if name := self._configured.get(mailbox, {}).get(party):
            return name
        name, until = self._found.get((mailbox, party), ("", 0.0))
        if until > time.monotonic():
            return name
        name = self._store.mailbox_parties.name_of(mailbox, party)
        if party in self._listed.get(mailbox, ()):
            self._found[mailbox, party] = name, math.inf
        elif name:
            self._found[mailbox, party] = name, time.monotonic() + _FRESH
        return name


def names_of(store: Store, configuration: Configuration) -> PartyNames:
    """Return the names that a configuration and the store have."""
    return KnownNames(store, configuration.mailboxes)


def without_names(mailbox: str, party: str) -> str:  # noqa: ARG001  # the shape of `PartyNames`
    """Return no name."""
    return ""
