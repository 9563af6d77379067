"""Once a day: sign the head of the journal, log it, and publish it elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import structlog

from daemon.core.bookkeeping import KEYLESS, UNPUBLISHED, UNSIGNED
from daemon.core.callbacks import do_nothing
from daemon.core.connector_calls import call_connector, outcome_of
from daemon.core.errors import DiskFull, NotStorable, PostmottakError, StoreError
from daemon.core.ports import Destination, KeepsDedupRecords
from daemon.core.times import has_passed
from daemon.delivery.head_parcel import head_parcel
from daemon.delivery.snapshot import ActiveSnapshot
from daemon.monitoring.problem import Problem, split_key
from daemon.monitoring.service_problems import (
    ServiceProblems,
    keyless_problem,
    unpublished_problem,
    unsigned_problem,
)
from daemon.store import Store
from daemon.store.journal.heads import Head
from daemon.store.journal.key import key_path, own_key

_log = structlog.get_logger(__name__)
_DAILY = timedelta(hours=20)
"""After so long unsigned rows are due; less than a day, so that rounds once a day are daily."""


class _NoKeyError(Exception):
    """The key cannot be used; the message has the remedy."""


class JournalHeads:
    """The signed heads of the journal, and what is wrong with them. For one thread.

    What is wrong lasts until the head is signed, or published there, again. It is remembered over a
    restart, by its alert.
    """

    def __init__(
        self,
        store: Store,
        active: ActiveSnapshot,
        clock: Callable[[], datetime],
        problems: ServiceProblems,
    ) -> None:
        self._store, self._active, self._clock = store, active, clock
        self._failed: Mapping[str, Problem] = {
            each.about: each for each in self._of_alerts() if each.kind in {UNSIGNED, UNPUBLISHED}
        }
        """By destination; empty text for the signing. Replaced, never changed: others read it."""
        problems.follow(UNSIGNED, lambda: self._of_kind(UNSIGNED))
        problems.follow(UNPUBLISHED, lambda: self._of_kind(UNPUBLISHED))
        problems.follow(KEYLESS, lambda: self._of_kind(KEYLESS))

    @property
    def is_behind(self) -> bool:
        """Whether a head could not be signed, or not be published everywhere."""
        return bool(self._of_kind(UNSIGNED) or self._of_kind(UNPUBLISHED))

    def look(self) -> None:
        """Sign and publish if it is time, and try again what has failed. Raises StoreError."""
        if self.is_behind:
            self.try_again()
            return
        since = self._store.journal.unsigned_since()
        if since and has_passed(_DAILY, since, self._clock()):
            self.sign()

    def sign(self, beat: Callable[[], None] = do_nothing) -> Head | None:
        """Sign the newest row, with a new key if there is none; log the head, and publish it.

        Returns None if it cannot be signed. That, and what cannot be published, is a problem.
        `beat` is called when publishing may take long. Raises StoreError if the database fails.
        """
        return self._sign(self._names(), beat)

    def leave_to_others(self) -> None:
        """Forget what has failed: another node signs and publishes now.

        It is a problem if this one could not, if that other died. Raises StoreError.
        """
        fault = self._store.journal.key_fault(self._key_path())
        self._failed = {"": keyless_problem(fault)} if fault else {}

    def try_again(self, beat: Callable[[], None] = do_nothing) -> None:
        """Sign and publish again, as `sign` does, but only where it has failed."""
        names = self._names()
        if not self._of_kind(UNSIGNED):
            names = [each.where for each in self._of_kind(UNPUBLISHED)]
        self._sign(names, beat)

    def _sign(self, names: Sequence[str], beat: Callable[[], None]) -> Head | None:
        now = self._clock()
        try:
            head = self._signed(now)
        except (_NoKeyError, DiskFull, NotStorable) as error:
            _log.error("the journal is not signed", error=str(error))
            self._note(unsigned_problem(self._since("", now), str(error)))
            return None
        self._end("")
        _log.info(
            "journal signed",
            sequence=head.sequence,
            hash=head.hash,
            signature=head.signature,
            key=head.key,
        )
        with self._active.use() as snapshot:
            for name in names:
                if name in snapshot.destinations:  # or an edit has just removed it
                    beat()
                    self._publish(name, snapshot.destinations[name], head, now, beat)
        return head

    def _signed(self, now: datetime) -> Head:
        path = self._key_path()
        if fault := self._store.journal.key_fault(path):
            raise _NoKeyError(fault)
        try:
            key, new = own_key(path)
        except StoreError as error:
            raise _NoKeyError(str(error)) from error  # no fault of the database
        if new:
            _log.info("a new key signs the journal", file=str(path))
        return self._store.journal.sign(key, now)

    def _publish(
        self,
        name: str,
        destination: Destination,
        head: Head,
        now: datetime,
        beat: Callable[[], None],
    ) -> None:
        parcel = head_parcel(name, head, now, beat)
        found = outcome_of(lambda: destination.deliver(parcel), destination=name)
        if isinstance(found, StoreError) and not isinstance(found, DiskFull):
            raise found
        if isinstance(found, PostmottakError):
            _log.warning(
                "the head of the journal was not published; it is tried again",
                destination=name,
                error=str(found),
            )
            self._note(unpublished_problem(name, self._since(name, now), str(found)))
            return
        self._end(name)
        if isinstance(destination, KeepsDedupRecords):
            with suppress(DiskFull):
                call_connector(partial(destination.forget, [parcel.delivery_id]), destination=name)
        _log.info("journal published", destination=name, reference=found.reference)

    def _key_path(self) -> Path:
        return key_path(self._active.configuration().store.beside)

    def _names(self) -> Sequence[str]:
        return self._active.configuration().journal.publish_to

    def _since(self, about: str, now: datetime) -> datetime:
        return (about in self._failed and self._failed[about].since) or now

    def _note(self, problem: Problem) -> None:
        self._failed = {**self._failed, problem.about: problem}

    def _end(self, about: str) -> None:
        self._failed = {name: each for name, each in self._failed.items() if name != about}

    def _of_kind(self, kind: str) -> Sequence[Problem]:
        """Return what is wrong, but not at a destination that the configuration names no more."""
        places = {"", *self._names()}
        return [x for x in self._failed.values() if x.kind == kind and x.where in places]

    def _of_alerts(self) -> Iterator[Problem]:
        """Yield what an earlier start of this service has told; of nodes, another may sign now."""
        for each in () if self._store.is_shared else self._store.alerts.all():
            if not each.ended_at:
                about, _ = split_key(each.kind, each.key)
                yield Problem(
                    kind=each.kind,
                    about=about,
                    where=about,
                    text=each.text,
                    since=each.began_at,
                    critical=False,
                )
