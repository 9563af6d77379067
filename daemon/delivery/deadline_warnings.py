"""Warns people of deadlines, by mail, some working days before.

What is due is a pure function of the time, the letter and the table; it is stored first and sent
then, under a Message-ID that a repeat keeps. Nobody is warned of what a sending system wrote by
itself, of what is done, or of what is past.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

import structlog

from daemon.config.loader import Configuration
from daemon.core.deadlines import due_warning
from daemon.core.times import shifted
from daemon.core.working_days import Term
from daemon.delivery.deadline_text import warning_mail
from daemon.delivery.mail_round import MailRound, page_url
from daemon.delivery.snapshot import Snapshot
from daemon.routing.facts import Facts
from daemon.routing.ladder import Directory, responsible
from daemon.store import DueLetter, Store
from daemon.store.deadline_warnings import PlannedWarning, WarningMail

_log = structlog.get_logger(__name__)
_LOOK_EVERY = timedelta(minutes=10)
_TOGETHER = 200  # letters that are planned in one transaction
_DAYS_OFF = timedelta(days=7)
"""More than there are days off in a row: a deadline on one counts as on the day before."""


@dataclass
class DeadlineWarner:
    """Looks which deadlines are near, and warns of them. For one thread."""

    store: Store
    _looked_at: datetime | None = field(default=None, init=False)

    def look(self, snapshot: Snapshot, mails: MailRound) -> None:
        """Store and send what is due. Raises StoreError.

        A look within ten minutes after another does nothing. Without a destination that mails
        people, nothing is planned, and so nothing is left out once there is one.
        """
        steps, now = snapshot.configuration.acknowledgements.deadline_warnings, mails.clock()
        has_people = any(each.members for each in snapshot.table.recipients.values())
        if not (steps and has_people and mails.destination and self._is_time(now)):
            return
        directory = self.store.awaited.directory()
        self._plan(snapshot, directory, steps, now)
        for mail in self.store.deadline_warnings.due_mails(now):
            if not mails.goes_on():
                return
            self._send(mail, mails, snapshot.configuration, directory)

    def _is_time(self, now: datetime) -> bool:
        """Whether the last look was long enough ago; also if the clock was set back."""
        before = self._looked_at
        if before is not None and before <= now < before + _LOOK_EVERY:
            return False
        self._looked_at = now
        return True

    def _plan(
        self, snapshot: Snapshot, directory: Directory, steps: Sequence[Term], now: datetime
    ) -> None:
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
        self,
        mail: WarningMail,
        mails: MailRound,
        configuration: Configuration,
        directory: Directory,
    ) -> None:
        now, usual = mails.clock(), configuration.acknowledgements.language
        letters = self._still_due(mail, now)
        if not letters:
            self.store.deadline_warnings.told(mail.id, None)
            return
        language = directory.language(mail.address, usual)
        message = warning_mail(mail, letters, language, page_url(configuration), now)
        mails.send(self.store.deadline_warnings, message, mail.attempts)

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
