"""Sends people, at a time of day, what waits for them: letters to acknowledge, open deadlines.

Whom it is sent is a pure function of the letters, the table and the time. A mail is stored first
and sent then, under a Message-ID that belongs to the person, the day and the time, so that a repeat
keeps it. Nobody gets a mail for whom nothing waits, and nobody gets one on a day off.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from uuid import UUID

import structlog

from daemon.core.backoff import Backoff
from daemon.core.connector_calls import call_connector
from daemon.core.digests import Digest
from daemon.core.errors import PostmottakError
from daemon.core.outside_values import text_from
from daemon.core.ports import Notification, Notifies
from daemon.core.time_of_day import at_time_of_day
from daemon.core.times import norwegian_day, shifted
from daemon.core.working_days import is_working_day
from daemon.delivery.digest_text import digest_mail
from daemon.delivery.snapshot import Snapshot
from daemon.routing.facts import Facts
from daemon.routing.ladder import Directory, responsible
from daemon.routing.table import Table
from daemon.store import DueLetter, Store

_log = structlog.get_logger(__name__)
_TOGETHER = 200  # letters that are read at once
_BACKOFF = Backoff(timedelta(minutes=1), timedelta(hours=1))
_SEVERAL = 3
"""After so many failures one after the other, the rest waits for the next look."""
_OVERDUE = timedelta(days=-365)
_AHEAD = timedelta(days=30)
"""Deadlines from then to then are said."""


@dataclass(frozen=True)
class DigestSender:
    """Looks whether it is time, and sends the digests. For one thread."""

    store: Store
    beat: Callable[[], None]
    """Is called while letters are read and mails are sent."""

    def look(
        self,
        snapshot: Snapshot,
        destination: Notifies | None,
        now: datetime,
        stopping: threading.Event | None = None,
    ) -> int:
        """Store and send what is due; return how many mails were sent. Raises StoreError.

        Without a destination that mails people, nothing is planned, so that the day's digests are
        sent once there is one.
        """
        times = {each.digest for each in snapshot.table.recipients.values() if each.digest}
        if not (times and destination):
            return 0
        self._plan(snapshot.table, times, now)
        sent = failures = 0
        for mail in self.store.digests.due(now):
            if failures >= _SEVERAL or (stopping and stopping.is_set()):
                break
            self.beat()
            directory = self.store.awaited.directory()
            unacknowledged, letters = self._still_waiting(mail, snapshot.table, directory, now)
            if not letters:
                self.store.digests.told(mail.id, None)
                continue
            usual = snapshot.configuration.acknowledgements.language
            language = directory.languages.get(mail.address.lower(), usual)
            message = digest_mail(mail, letters, unacknowledged, language, _url(snapshot), now)
            if self._send(mail, message, destination, now):
                sent, failures = sent + 1, 0
            else:
                failures += 1
        return sent

    def _plan(self, table: Table, times: Collection[str], now: datetime) -> None:
        day = norwegian_day(now)
        if not is_working_day(day):
            return
        due = {each for each in times if at_time_of_day(day, each) <= now}
        for at in sorted(due - self.store.digests.planned(day)) if due else ():
            found = self._waiting_for_people(table, at, now)
            self.store.digests.keep(day, at, found, now)
            if found:
                _log.info("people are to have a digest", time=at, mails=len(found))

    def _waiting_for_people(
        self, table: Table, at: str, now: datetime
    ) -> Mapping[str, Sequence[UUID]]:
        """Return the letters that wait, by the address of whom they wait for."""
        directory, found = self.store.awaited.directory(), defaultdict[str, list[UUID]](list)
        unacknowledged = self.store.digests.unacknowledged()
        seen: set[UUID] = set()
        for letter in self._letters(unacknowledged, now):
            if letter.id in seen:
                continue
            seen.add(letter.id)
            waits_for = unacknowledged.get(letter.id, ())
            for address in _readers(letter, waits_for, table, directory, at, now):
                found[address].append(letter.id)
        return found

    def _letters(self, unacknowledged: Collection[UUID], now: datetime) -> Iterator[DueLetter]:
        for some in _pieces(unacknowledged):
            self.beat()
            yield from self.store.due_letters.of(some)
        since, until = shifted(now, _OVERDUE), shifted(now, _AHEAD)
        for number, letter in enumerate(self.store.due_letters.between(since, until)):
            if number % _TOGETHER == 0:
                self.beat()
            yield letter

    def _send(
        self, mail: Digest, message: Notification, destination: Notifies, now: datetime
    ) -> bool:
        failure = call_connector(partial(destination.notify, message), mail=str(mail.id))
        if isinstance(failure, PostmottakError):
            reason = text_from(str(failure))
            self.store.digests.put_off(mail.id, now + _BACKOFF.after(mail.attempts + 1), reason)
            _log.warning("a digest could not be sent", mail=str(mail.id), reason=reason)
            return False
        self.store.digests.told(mail.id, now)
        _log.info("a digest was sent", mail=str(mail.id))
        return True

    def _still_waiting(
        self, mail: Digest, table: Table, directory: Directory, now: datetime
    ) -> tuple[Collection[UUID], Sequence[DueLetter]]:
        """Return which letters nobody has acknowledged, and all that still wait for the person.

        A digest of another day has nothing more to say: that day's own one has it.
        """
        if mail.day != norwegian_day(now):
            return (), ()
        letters: list[DueLetter] = []
        unacknowledged: dict[UUID, tuple[str, ...]] = {}
        for some in _pieces(UUID(each) for each in mail.letters):
            unacknowledged |= self.store.digests.unacknowledged(some)
            letters += [
                each
                for each in self.store.due_letters.of(some)
                if mail.address
                in _readers(each, unacknowledged.get(each.id, ()), table, directory, mail.at, now)
            ]
        return unacknowledged, letters


def _pieces(ids: Iterable[UUID]) -> Iterator[list[UUID]]:
    rest = iter(ids)
    while some := list(islice(rest, _TOGETHER)):
        yield some


def _readers(
    letter: DueLetter,
    waits_for: Sequence[str],
    table: Table,
    directory: Directory,
    at: str,
    now: datetime,
) -> set[str]:
    """Return the addresses of those for whom the letter waits, and whose digest comes at `at`.

    A recipient's members, after covers, while nobody has acknowledged it; with an open deadline,
    who has. `waits_for` are the recipients that are to acknowledge it.
    """
    facts = Facts(service=letter.service, at=now, confidential=letter.confidential)
    found: set[str] = set()
    if asked := _with_digest(waits_for, table, at):
        found.update(responsible(asked, table, directory, facts).values())
    if letter.is_pressing and (asked := _with_digest(letter.chosen, table, at)):
        people = responsible(asked, table, directory, facts, letter.acknowledged_by)
        found.update(people.values())
    return found


def _with_digest(names: Sequence[str], table: Table, at: str) -> list[str]:
    return [
        each for each in names if each in table.recipients and table.recipients[each].digest == at
    ]


def _url(snapshot: Snapshot) -> str:
    return snapshot.configuration.web.url if snapshot.configuration.web else ""
