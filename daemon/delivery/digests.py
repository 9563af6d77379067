"""Sends people, at a time of day, what waits for them: letters to acknowledge, open deadlines.

Whom it is sent is a pure function of the letters, the table and the time. A mail is stored first
and sent then, under a Message-ID that belongs to the person, the day and the time, so that a repeat
keeps it. Nobody gets a mail for whom nothing waits, and nobody gets one on a day off.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from uuid import UUID

import structlog

from daemon.core.digests import Digest
from daemon.core.time_of_day import at_time_of_day
from daemon.core.times import norwegian_day, shifted
from daemon.core.working_days import is_working_day
from daemon.delivery.digest_text import digest_mail
from daemon.delivery.mail_round import MailRound, page_url
from daemon.delivery.snapshot import Snapshot
from daemon.routing.facts import Facts
from daemon.routing.ladder import Directory, responsible
from daemon.routing.table import Table
from daemon.store import DueLetter, Store

_log = structlog.get_logger(__name__)
_TOGETHER = 200  # letters that are read at once
_OVERDUE = timedelta(days=-365)
_AHEAD = timedelta(days=30)
"""Deadlines from then to then are said."""


@dataclass(frozen=True)
class DigestSender:
    """Looks whether it is time, and sends the digests. For one thread."""

    store: Store

    def look(self, snapshot: Snapshot, mails: MailRound) -> None:
        """Store and send what is due. Raises StoreError.

        Without a destination that mails people, nothing is planned, so that the day's digests are
        sent once there is one.
        """
        times = {each.digest for each in snapshot.table.recipients.values() if each.digest}
        if not (times and mails.destination):
            return
        self._plan(snapshot.table, times, mails)
        for mail in self.store.digests.due(mails.clock()):
            if not mails.goes_on():
                return
            self._send(mail, mails, snapshot)

    def _plan(self, table: Table, times: Collection[str], mails: MailRound) -> None:
        now = mails.clock()
        day = norwegian_day(now)
        if not is_working_day(day):
            return
        due = {each for each in times if at_time_of_day(day, each) <= now}
        for at in sorted(due - self.store.digests.planned(day)) if due else ():
            found = self._waiting_for_people(table, at, mails)
            self.store.digests.keep(day, at, found, now)
            if found:
                _log.info("people are to have a digest", time=at, mails=len(found))

    def _send(self, mail: Digest, mails: MailRound, snapshot: Snapshot) -> None:
        now, directory = mails.clock(), self.store.awaited.directory()
        unacknowledged, letters = self._still_waiting(mail, snapshot.table, directory, now)
        if not letters:
            self.store.digests.told(mail.id, None)
            return
        configuration = snapshot.configuration
        language = directory.language(mail.address, configuration.acknowledgements.language)
        url = page_url(configuration)
        message = digest_mail(mail, letters, unacknowledged, language, url, now)
        mails.send(self.store.digests, message, mail.attempts)

    def _waiting_for_people(
        self, table: Table, at: str, mails: MailRound
    ) -> Mapping[str, Sequence[UUID]]:
        """Return the letters that wait, by the address of whom they wait for."""
        now = mails.clock()
        directory, found = self.store.awaited.directory(), defaultdict[str, list[UUID]](list)
        unacknowledged = self.store.digests.unacknowledged()
        seen: set[UUID] = set()
        for letter in self._letters(unacknowledged, mails):
            if letter.id in seen:
                continue
            seen.add(letter.id)
            waits_for = unacknowledged.get(letter.id, ())
            for address in _readers(letter, waits_for, table, directory, at, now):
                found[address].append(letter.id)
        return found

    def _letters(self, unacknowledged: Collection[UUID], mails: MailRound) -> Iterator[DueLetter]:
        now = mails.clock()
        for some in _pieces(unacknowledged):
            mails.beat()
            yield from self.store.due_letters.of(some)
        since, until = shifted(now, _OVERDUE), shifted(now, _AHEAD)
        for number, letter in enumerate(self.store.due_letters.between(since, until)):
            if number % _TOGETHER == 0:
                mails.beat()
            yield letter

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
