"""Compares what is read with what was and what is registered, for `coverage`.

Rights and what expires are compared once an hour, which costs a read of the bookmarks; the registry
is asked once a day. It goes by what is in the store, so a restart repeats nothing.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta

import structlog

from daemon.config.loader import Configuration
from daemon.core.connector_calls import call_connector
from daemon.core.coverage import WHOLE_STORE, CoverageFinding, CoverageLook, FindingKind
from daemon.core.errors import PostmottakError
from daemon.core.ports import FindsResources, Mailbox
from daemon.core.times import has_passed
from daemon.monitoring import coverage_findings as compare
from daemon.service.room import without_room
from daemon.store import Store

_log = structlog.get_logger(__name__)
_EVERY = timedelta(hours=1)
_DAILY = timedelta(hours=23)  # less, for it is looked whether it is due once an hour


class CoverageWatch:
    """Keeps what coverage lacks. Its methods may be called from several threads."""

    def __init__(
        self,
        mailboxes: Sequence[Mailbox],
        store: Store,
        configuration: Callable[[], Configuration],
        clock: Callable[[], datetime],
    ) -> None:
        self._mailboxes = {each.name: each for each in mailboxes}
        self._store, self._configuration = store, configuration
        self._clock, self._one = clock, threading.Lock()

    def refresh(self, name: str) -> None:
        """Compare a mailbox if that is due. A full disk is waited out. Raises StoreError."""
        look, now = self._store.coverage.look(name), self._clock()
        if not has_passed(_EVERY, look.compared_at if look else None, now):
            return
        with without_room("coverage is compared when there is room"):
            self._compare(name, now)
            asked = self._ask(name, look, now)
            with self._one:
                self._compare_all(now)
            look = CoverageLook(mailbox=name, compared_at=now, registry_at=asked)
            self._store.coverage.looked(look)

    def _compare(self, name: str, now: datetime) -> None:
        settings = {each.name: each.settings for each in self._configuration().mailboxes}
        bookmarks = [each for each in self._store.queries.bookmarks() if each.mailbox == name]
        parties = self._store.mailbox_parties.of(name)
        excluded: Collection[str] = getattr(settings.get(name), "exclude", ())
        found = compare.of_channels(name, bookmarks, parties, excluded, now)
        note(self._store, name, compare.OF_CHANNELS, list(found), now)

    def _compare_all(self, now: datetime) -> None:
        """Compare what is of no mailbox, or of all."""
        expiring = list(compare.of_expiry(self._configuration(), now))
        note(self._store, WHOLE_STORE, (FindingKind.EXPIRY,), expiring, now)
        self._store.coverage.end_others(list(self._mailboxes), now)

    def _ask(self, name: str, look: CoverageLook | None, now: datetime) -> datetime | None:
        """Ask the registry where resources are configured; return when it last answered.

        The first comparison does not: `postmottak check` has just been run.
        """
        mailbox, last = self._mailboxes[name], look.registry_at if look else None
        if not isinstance(mailbox, FindsResources) or mailbox.finds_resources:
            note(self._store, name, (FindingKind.RESOURCE,), (), now)
            return None
        if look is None or not has_passed(_DAILY, last, now):
            return last
        answer = call_connector(mailbox.find_resources, mailbox=name)
        if isinstance(answer, PostmottakError):
            _log.warning(
                "it is not known whether new resources carry letters; it is asked again in an hour",
                mailbox=name,
                reason=str(answer),
            )
            return last
        read = {(each.service, each.resource) for each in mailbox.channels()}
        found = list(compare.of_registry(name, answer, read, now))
        note(self._store, name, (FindingKind.RESOURCE,), found, now)
        return now


def note(
    store: Store,
    mailbox: str,
    kinds: Collection[FindingKind],
    found: Collection[CoverageFinding],
    now: datetime,
) -> None:
    """Record and log all that is so of these kinds in a mailbox. Raises StoreError."""
    changed = store.coverage.note(mailbox, kinds, found, now)
    for rows, event, log in (
        (changed.begun, "something may keep letters away", _log.warning),
        (changed.ended, "what may have kept letters away is mended", _log.info),
    ):
        for kind, count in sorted(Counter(each.kind.value for each in rows).items()):
            log(event, mailbox=mailbox, kind=kind, count=count)
