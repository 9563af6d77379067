"""Once a day: delete what retention allows, and then the files that no letter needs any more.

The record of a deletion is durable before a file goes, and unneeded files are found by
comparing with the database. So a crash leaves files that the next run removes, and never a letter
whose files are gone without a record.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain, islice
from math import inf
from uuid import UUID

import structlog

from daemon.core.bookkeeping import Deletion, LetterPart
from daemon.core.callbacks import do_nothing
from daemon.maintenance.retention import Keep, Retention
from daemon.runtime.heartbeat import Heartbeats
from daemon.store import Store
from daemon.store.content import PREFIXES, ContentStore
from daemon.store.retention import Candidate

_log = structlog.get_logger(__name__)
_FRESH = timedelta(days=1)
"""Newer files stay: their letter may not be stored yet."""
_AT_A_TIME = 100
_REMOVES_FOR = 60.0
"""Seconds for which bytes are removed after that was recorded. Others wait longer than this before
they take it over (`daemon/store/removals.py`).
"""
HOUSEKEEPING = "housekeeping"  # the name of its heartbeat


@dataclass(frozen=True, kw_only=True)
class Due:
    """A letter with parts to delete, and the rule for each part."""

    letter: Candidate
    rules: Mapping[LetterPart, str]


@dataclass(kw_only=True)
class HousekeepingResult:
    """The result of one run.

    `files` and `bytes` are None if files were left for a later run, because a backup or a check
    reads them. `withheld` says that the run was cut short because the clock could not be trusted.
    """

    deleted: Counter[LetterPart] = field(default_factory=Counter)
    events: int = 0
    files: int | None = None
    bytes: int | None = None
    withheld: bool = False


@dataclass(frozen=True, kw_only=True)
class Housekeeping:
    """Deletes what may be deleted. `retention` is called again for each run."""

    store: Store
    content: ContentStore
    retention: Callable[[], Retention]
    clock: Callable[[], datetime]
    heartbeats: Heartbeats = field(default_factory=Heartbeats)
    settled: Callable[[], bool] = lambda: True
    """Whether the clock is certain enough to delete by it; called repeatedly."""
    right_for: Callable[[], float] = lambda: inf
    """For how many seconds the clock that dates files has been right."""

    def due(self, report: Callable[[str], None] = do_nothing) -> Iterator[Due]:
        """Yield what a run would delete now. Changes nothing. Raises StoreError.

        `report` is called regularly with what is being done.
        """
        now, retention = self.clock(), self.retention()
        until = _before(now, retention.shortest(self.store.retention.tables_with_rules()))
        letters = self.store.retention.candidates(until) if until else ()
        for number, letter in enumerate(letters, start=1):
            self.heartbeats.beat(HOUSEKEEPING)
            report(f"looking at the letters, {number} seen")
            rules = dict(
                _over(letter, retention.of(letter.service, letter.version, letter.route), now)
            )
            if rules:
                yield Due(letter=letter, rules=rules)

    def run(self, by: str, stopping: threading.Event) -> HousekeepingResult:
        """Run once; end early when `stopping` is set.

        `by` is who deletes, for the record. Raises StoreError.
        """
        tidied, due = HousekeepingResult(withheld=not self.settled()), self.due()
        while not (stopping.is_set() or tidied.withheld) and (
            some := list(islice(due, _AT_A_TIME))
        ):
            rules: dict[UUID, Mapping[LetterPart, str]] = {
                each.letter.message_id: each.rules for each in some
            }
            for deletion in self.store.retention.delete(rules, by, self.clock()):
                _log_deletion(deletion)
                tidied.deleted[deletion.part] += 1
            tidied.withheld = not self.settled()
        if not (stopping.is_set() or tidied.withheld):
            self._forget_events(tidied)
            self._remove_files(tidied)
        return tidied

    def _forget_events(self, tidied: HousekeepingResult) -> None:
        """Remove the log's oldest events, each after the time that they are kept."""
        now = self.clock()
        if before := _before(now, self.retention().settings.events):
            self.store.completeness.forget(before)
            self.store.canaries.forget(before)
            self.store.coverage.forget(before)
            tidied.events = self.store.events.forget(before, now)
            if tidied.events:
                _log.info("old events were removed from the log of the page", count=tidied.events)

    def orphans(self) -> Iterator[str]:
        """Yield the hashes of files that no letter needs."""
        for prefix in PREFIXES:
            self.heartbeats.beat(HOUSEKEEPING)
            found = self.content.kept(prefix)
            yield from sorted(found - self.store.retention.needed(prefix).keys()) if found else ()

    def _remove_files(self, tidied: HousekeepingResult) -> None:
        with self.content.guarded(alone=True) as alone:
            if not alone:
                _log.info(
                    "files that no letter needs are left for the next round: a backup or a "
                    "check reads them"
                )
                return
            if self.right_for() <= _FRESH.total_seconds():
                _log.info(
                    "files that no letter needs are left for a later round: the clock was "
                    "wrong when the newest were written"
                )
                return
            before = self.clock() - _FRESH
            self.store.removals.forget(before)
            sizes = list(self._removed(before))
            tidied.files, tidied.bytes = sum(size > 0 for size in sizes), sum(sizes)

    def _removed(self, before: datetime) -> Iterator[int]:
        """Remove bytes that no letter needs; yield the size of each, 0 if it stays.

        What another process began to remove, and was killed, is removed with it.
        """
        old = (each for each in self.orphans() if self.content.is_older(each, before))
        hashes = chain(self.store.removals.abandoned(self.clock()), old)
        while some := list(islice(hashes, _AT_A_TIME)):
            self.heartbeats.beat(HOUSEKEEPING)
            began = time.monotonic()
            untouched = self.store.removals.begin(some, self.clock())
            done: list[str] = []
            try:
                # not after the machine has slept, for example: others may have taken over
                while untouched and time.monotonic() - began < _REMOVES_FOR:
                    sha256 = untouched.pop()
                    yield self.content.remove(sha256, before)
                    done.append(sha256)
            finally:
                self.store.removals.end([*done, *untouched], self.clock())


def _before(now: datetime, time: timedelta) -> datetime | None:
    """Return the moment this long ago; None for what is kept for ever."""
    try:
        return now - time
    except OverflowError:
        return None


def _over(
    letter: Candidate, keeps: Mapping[LetterPart, Keep], now: datetime
) -> Iterator[tuple[LetterPart, str]]:
    """Yield the parts whose time is over and that exist."""
    there = {
        LetterPart.BODY: letter.body,
        LetterPart.ATTACHMENTS: letter.attachments,
        LetterPart.METADATA: True,
    }
    for part, keep in keeps.items():
        until = _before(now, keep.time)
        if there[part] and until and letter.fetched_at <= until:
            yield part, keep.rule


def _log_deletion(deletion: Deletion) -> None:
    _log.info(
        "deleted",
        message=str(deletion.message_id),
        part=deletion.part.value,
        by=deletion.by,
        rule=deletion.rule,
    )
