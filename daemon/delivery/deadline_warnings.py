"""Warns people of deadlines, by mail, some working days before.

What is due is a pure function of the time, the letter and the table; it is stored first and sent
then, under a Message-ID that a repeat keeps. Nobody is warned of what a sending system wrote by
itself, of what is done, or of what is past.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import islice

import structlog

from daemon.core.backoff import Backoff
from daemon.core.connector_calls import call_connector
from daemon.core.deadlines import due_warning
from daemon.core.errors import PostmottakError
from daemon.core.outside_values import text_from
from daemon.core.ports import Notifies
from daemon.core.times import shifted
from daemon.core.working_days import Term
from daemon.delivery.deadline_text import warning_mail
from daemon.delivery.snapshot import Snapshot
from daemon.routing.facts import Facts
from daemon.routing.ladder import Directory, responsible
from daemon.store import DueLetter, Store
from daemon.store.deadline_warnings import PlannedWarning, WarningMail

_log = structlog.get_logger(__name__)
_LOOK_EVERY = timedelta(minutes=10)
_TOGETHER = 200  # letters that are planned in one transaction
_BACKOFF = Backoff(timedelta(minutes=1), timedelta(hours=1))
_DAYS_OFF = timedelta(days=7)
"""More than there are days off in a row: a deadline on one counts as on the day before."""


@dataclass
class DeadlineWarner:
    """Looks which deadlines are near, and warns of them. For one thread."""

    store: Store
    _looked_at: datetime | None = field(default=None, init=False)

    def look(
        self,
        snapshot: Snapshot,
        destination: Notifies | None,
        now: datetime,
        stopping: threading.Event | None = None,
    ) -> int:
        """Store and send what is due; return how many mails were sent. Raises StoreError.

        A look within ten minutes after another does nothing. Without a destination that mails
        people, nothing is planned, and so nothing is left out once there is one.
        """
        steps = snapshot.configuration.acknowledgements.deadline_warnings
        has_people = any(each.members for each in snapshot.table.recipients.values())
        if not (steps and has_people and destination and self._is_time(now)):
            return 0
        self._plan(snapshot, steps, now)
        sent = 0
        for mail in self.store.deadline_warnings.due_mails(now):
            if stopping and stopping.is_set():
                break
            sent += self._send(mail, destination, snapshot, now)
        return sent

    def _is_time(self, now: datetime) -> bool:
        """Whether the last look was long enough ago; also if the clock was set back."""
        before = self._looked_at
        if before is not None and before <= now < before + _LOOK_EVERY:
            return False
        self._looked_at = now
        return True

    def _plan(self, snapshot: Snapshot, steps: Sequence[Term], now: datetime) -> None:
        directory = self.store.awaited.directory()
        near = self.store.due_letters.between(now, _horizon(steps, now))
        while some := list(islice(near, _TOGETHER)):
            given = self.store.deadline_warnings.given([each.id for each in some])
            planned = [
                each
                for letter in some
                for each in _planned(letter, steps, snapshot, directory, now)
                if (each.message_id, each.due_at, each.step) not in given
            ]
            if planned:
                count = self.store.deadline_warnings.keep(planned, now)
                _log.info("people are to be warned of deadlines", warnings=count)

    def _send(
        self, mail: WarningMail, destination: Notifies, snapshot: Snapshot, now: datetime
    ) -> bool:
        letters = self._still_due(mail, now)
        if not letters:
            self.store.deadline_warnings.told(mail.id, None)
            return False
        message = warning_mail(mail, letters, snapshot.configuration, now)
        failure = call_connector(partial(destination.notify, message), mail=str(mail.id))
        if isinstance(failure, PostmottakError):
            reason = text_from(str(failure))
            try_at = now + _BACKOFF.after(mail.attempts + 1)
            self.store.deadline_warnings.put_off(mail.id, try_at, reason)
            _log.warning("a person could not be warned of deadlines", reason=reason)
            return False
        self.store.deadline_warnings.told(mail.id, now)
        _log.info("a person was warned of deadlines", mail=str(mail.id), letters=len(letters))
        return True

    def _still_due(self, mail: WarningMail, now: datetime) -> list[DueLetter]:
        """Return the letters of a mail whose deadline holds as it did when that was planned."""
        due = {each.message_id: each.due_at for each in mail.warnings}
        return [
            each
            for each in self.store.due_letters.of(list(due))
            if each.is_pressing
            and each.facts.holds
            and each.facts.holds.due_at == due[each.id] > now
        ]


def _horizon(steps: Sequence[Term], now: datetime) -> datetime:
    """Return until when a deadline may be of which somebody has to be warned now."""
    return shifted(max(each.after(now) for each in steps), _DAYS_OFF)


def _planned(
    letter: DueLetter,
    steps: Sequence[Term],
    snapshot: Snapshot,
    directory: Directory,
    now: datetime,
) -> Iterator[PlannedWarning]:
    holds = letter.facts.holds
    step = due_warning(holds.due_at, steps, now) if holds and letter.is_pressing else None
    if holds is None or step is None:
        return
    facts = Facts(service=letter.service, at=now, confidential=letter.confidential)
    people = responsible(letter.chosen, snapshot.table, directory, facts, letter.acknowledged_by)
    for address in people.values():
        yield PlannedWarning(
            message_id=letter.id, due_at=holds.due_at, step=str(step), address=address
        )
