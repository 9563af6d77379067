"""Looks once a day whether senders that were regular have fallen silent.

It reads every letter of two years, in pieces, so it runs where housekeeping does, and not where a
mailbox is polled. When it last looked is in the store, so a restart repeats nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import structlog

from daemon.core.callbacks import do_nothing
from daemon.core.coverage import WHOLE_STORE, CoverageFinding, CoverageLook, FindingKind
from daemon.core.silences import YEAR
from daemon.core.times import has_passed
from daemon.monitoring import coverage_findings as compare
from daemon.service.coverage_watch import note
from daemon.service.room import without_room
from daemon.store import SenderHistories, Store

_log = structlog.get_logger(__name__)
_EVERY = timedelta(hours=23)  # less than a day, so that none is left out of one look a day


class SenderWatch:
    """Keeps which senders are silent. For one thread.

    `is_certain` says whether the clock can be trusted; until then no sender is looked at.
    """

    def __init__(
        self,
        mailboxes: Sequence[str],
        store: Store,
        clock: Callable[[], datetime],
        is_certain: Callable[[], bool],
    ) -> None:
        self._mailboxes, self._store = mailboxes, store
        self._clock, self._is_certain = clock, is_certain

    def look(self, stopping: threading.Event, beat: Callable[[], None] = do_nothing) -> bool:
        """Look if that is due; end early, without a result, when `stopping` is set.

        `beat` is called at least after each piece of letters. Returns False if it is to be called
        again soon, because the clock is not certain. A full disk is waited out. Raises StoreError.
        """
        if not self._is_certain():
            return False
        known, now = self._store.coverage.look(WHOLE_STORE), self._clock()
        if has_passed(_EVERY, known.senders_at if known else None, now):
            with without_room("no sender is looked at"):
                self._look(now, stopping, beat)
        return True

    def _look(self, now: datetime, stopping: threading.Event, beat: Callable[[], None]) -> None:
        began, found = time.monotonic(), self._found(now, stopping, beat)
        if found is None:
            return
        for name in self._mailboxes:
            own = [each for each in found if each.mailbox == name]
            note(self._store, name, (FindingKind.SENDER,), own, now)
        look = CoverageLook(mailbox=WHOLE_STORE, compared_at=now, senders_at=now)
        self._store.coverage.looked(look)
        took = round(time.monotonic() - began, 3)
        _log.debug("senders compared with their histories", silent=len(found), seconds=took)

    def _found(
        self, now: datetime, stopping: threading.Event, beat: Callable[[], None]
    ) -> list[CoverageFinding] | None:
        """Return what is so of senders; None if it was not read to its end."""
        store = self._store
        until = compare.read_until(store.queries.bookmarks(), now)
        known, last = store.coverage.open(FindingKind.SENDER), store.coverage.last_of_senders()
        histories, found = SenderHistories(), list[CoverageFinding]()
        while True:
            for _ in store.senders.read(histories, now - 2 * YEAR):
                beat()
                if stopping.is_set():
                    return None
            found += compare.of_senders(histories, until, known, last, now)
            if histories.until is None:
                return found
            histories = SenderHistories(after=histories.until)
