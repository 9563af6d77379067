"""Compares what is read with what was, what is registered and who wrote: `coverage`.

Rights and what expires are compared once an hour, which costs a read of the bookmarks; the registry
is asked, and all senders are looked at, once a day. It goes by what is in the store, so a restart
repeats nothing.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta

import structlog

from daemon.config.loader import Configuration
from daemon.core.connector_calls import call_connector
from daemon.core.coverage import CoverageFinding, CoverageLook, FindingKind
from daemon.core.errors import PostmottakError
from daemon.core.ports import FindsResources, Mailbox
from daemon.core.silences import YEAR
from daemon.core.times import has_passed
from daemon.monitoring import coverage_findings as compare
from daemon.service.room import without_room
from daemon.store import Store

_log = structlog.get_logger(__name__)
_EVERY = timedelta(hours=1)
_DAILY = timedelta(days=1)
_WHOLE_STORE = ""


class CoverageWatch:
    """Keeps what coverage lacks. Its methods may be called from several threads.

    `is_certain` says whether the clock can be trusted; until then no sender is looked at.
    """

    def __init__(
        self,
        mailboxes: Sequence[Mailbox],
        store: Store,
        configuration: Callable[[], Configuration],
        clock: Callable[[], datetime],
        is_certain: Callable[[], bool],
    ) -> None:
        self._mailboxes = {each.name: each for each in mailboxes}
        self._store, self._configuration = store, configuration
        self._clock, self._is_certain = clock, is_certain
        self._one = threading.Lock()

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
        self._note(name, compare.OF_CHANNELS, list(found), now)

    def _compare_all(self, now: datetime) -> None:
        """Compare what is of no mailbox, or of all."""
        expiring = list(compare.of_expiry(self._configuration(), now))
        self._note(_WHOLE_STORE, (FindingKind.EXPIRY,), expiring, now)
        self._store.coverage.end_others(list(self._mailboxes), now)
        self._look_at_senders(now)

    def _ask(self, name: str, look: CoverageLook | None, now: datetime) -> datetime | None:
        """Ask the registry where resources are configured; return when it last answered.

        The first comparison does not: `postmottak check` has just been run.
        """
        mailbox, last = self._mailboxes[name], look.registry_at if look else None
        if not isinstance(mailbox, FindsResources) or mailbox.finds_resources:
            self._note(name, (FindingKind.RESOURCE,), (), now)
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
        self._note(name, (FindingKind.RESOURCE,), found, now)
        return now

    def _look_at_senders(self, now: datetime) -> None:
        coverage, look = self._store.coverage, self._store.coverage.look(_WHOLE_STORE)
        last = look.senders_at if look else None
        if not self._is_certain() or not has_passed(_DAILY, last, now):
            return
        began = time.monotonic()
        sent = self._store.senders.days(now - 2 * YEAR)
        until = compare.read_until(self._store.queries.bookmarks(), now)
        for name in self._mailboxes:
            open_ones = coverage.open(FindingKind.SENDER, mailbox=name)
            noted = coverage.last(name, FindingKind.SENDER)
            own = {sender: days for sender, days in sent.items() if sender.mailbox == name}
            found = list(compare.of_senders(own, until, open_ones, noted, now))
            self._note(name, (FindingKind.SENDER,), found, now)
        coverage.looked(CoverageLook(mailbox=_WHOLE_STORE, compared_at=now, senders_at=now))
        took = round(time.monotonic() - began, 3)
        _log.debug("senders compared with their histories", senders=len(sent), seconds=took)

    def _note(
        self,
        name: str,
        kinds: Sequence[FindingKind],
        found: Collection[CoverageFinding],
        now: datetime,
    ) -> None:
        changed = self._store.coverage.note(name, kinds, found, now)
        for kind, count in sorted(Counter(each.kind for each in changed.begun).items()):
            _log.warning(
                "something may keep letters away", mailbox=name, kind=kind.value, count=count
            )
        for kind, count in sorted(Counter(each.kind for each in changed.ended).items()):
            _log.info(
                "what may have kept letters away is mended",
                mailbox=name,
                kind=kind.value,
                count=count,
            )
