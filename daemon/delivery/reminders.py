"""Tells people of letters that nobody has acknowledged, of deadlines, and of all, by mail.

What is due is stored first and sent then, under a Message-ID that a repeat keeps. While the clock
is in doubt nothing is decided by it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

import structlog

from daemon.core.errors import DiskFull
from daemon.core.node_role import HasDuty, has_all
from daemon.core.nodes import Duty
from daemon.core.signed_links import signed
from daemon.delivery.belonging import where_it_belongs
from daemon.delivery.deadline_warnings import DeadlineWarner
from daemon.delivery.digests import DigestSender
from daemon.delivery.mail_round import MailRound, mailing_destination
from daemon.delivery.reminder_text import reminder_mail
from daemon.delivery.snapshot import ActiveSnapshot, Snapshot
from daemon.routing.ladder import plan
from daemon.runtime.heartbeat import Heartbeats
from daemon.store import Store, ToldLetter

_log = structlog.get_logger(__name__)
REMINDERS = "reminders"  # the name under which this sends heartbeats
_LOOK = 30.0  # seconds
_AT_LATEST = timedelta(days=1)
"""So long after a look a letter is looked at again: the table may have changed."""


@dataclass
class ReminderSender:
    """Looks what is due, and sends it. For one thread."""

    store: Store
    active: ActiveSnapshot
    clock: Callable[[], datetime]
    doubts: Callable[[], object]
    """What is wrong with the clock; nothing is decided while there is something."""
    heartbeats: Heartbeats
    has_duty: HasDuty = has_all
    _idle: str = field(default="", init=False)
    """The version of the table with which nobody had to be told of anything."""
    _warner: DeadlineWarner = field(init=False)
    _digests: DigestSender = field(init=False)

    def __post_init__(self) -> None:
        self._warner, self._digests = DeadlineWarner(self.store), DigestSender(self.store)

    def loop(self, stopping: threading.Event) -> None:
        """Look until `stopping` is set. A full disk is waited out. Raises StoreError."""
        while not stopping.is_set():
            try:
                self.look(stopping)
            except DiskFull as error:
                _log.error("nobody can be told of letters until there is room", reason=str(error))
            self.heartbeats.beat_for_wait(REMINDERS, _LOOK)
            stopping.wait(_LOOK)

    def look(self, stopping: threading.Event | None = None) -> int:
        """Store and send what is due; return how many mails were sent. Raises StoreError."""
        beat = partial(self.heartbeats.beat, REMINDERS)
        beat()
        with self.active.use() as snapshot:
            if self.doubts() or not self.has_duty(Duty.REMINDERS):
                return 0
            mails = MailRound(mailing_destination(snapshot), self.clock, beat, stopping)
            self._warner.look(snapshot, mails)
            self._digests.look(snapshot, mails)
            if self._is_wanted(snapshot):
                self._plan(snapshot, stopping)
                self._send(snapshot, mails)
            return mails.sent

    def _is_wanted(self, snapshot: Snapshot) -> bool:
        """Whether a letter can wait; an installation that does not ask for it pays nothing."""
        table = snapshot.table
        if table.awaits_people:
            return True
        if self._idle == table.version:
            return False
        found = self.store.awaited.is_any()
        self._idle = "" if found else table.version
        return found

    def _plan(self, snapshot: Snapshot, stopping: threading.Event | None) -> None:
        now, mails = self.clock(), dict[str, UUID]()
        while letters := self.store.awaited.to_look_at(now):
            directory = self.store.awaited.directory()
            plans = [
                (each, plan(each.waiting, each.taken, snapshot.table, directory, now))
                for each in letters
            ]
            count = self.store.awaited.keep(plans, mails, now, now + _AT_LATEST)
            self.heartbeats.beat(REMINDERS)
            if count:
                _log.info("people are to be told of letters", reminders=count, looked_at=len(plans))
            if stopping and stopping.is_set():
                return

    def _send(self, snapshot: Snapshot, mails: MailRound) -> None:
        awaited, link = self.store.awaited, self._link(snapshot)
        usual, directory = snapshot.configuration.acknowledgements.language, awaited.directory()
        belongs = partial(where_it_belongs, self.store, snapshot.table, now=self.clock())
        for mail in awaited.due_mails(self.clock()):
            if not mails.goes_on():
                return
            language = directory.language(mail.person, usual)
            mails.send(awaited, reminder_mail(mail, language, link, belongs), mail.attempts)

    def _link(self, snapshot: Snapshot) -> Callable[[ToldLetter], str] | None:
        """Return what makes the address of a letter on the page; None without a public address."""
        web = snapshot.configuration.web
        if web is None or not web.public_url:
            return None
        base, key = web.public_url.rstrip("/"), self.store.link_keys.get()

        def link(letter: ToldLetter) -> str:
            if letter.confidential:
                return f"{base}/letters/{letter.message_id}"
            return f"{base}/acknowledge/{signed(letter.reminder, key)}"

        return link
