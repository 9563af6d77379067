"""Tells people of letters that nobody has acknowledged, of deadlines, and of all, by mail.

What is due is stored first and sent then, under a Message-ID that a repeat keeps. A mail that
cannot be sent is tried again at growing intervals, holds up no letter, and is shown as a problem.
While the clock is in doubt nothing is decided by it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

import structlog

from daemon.core.backoff import Backoff
from daemon.core.connector_calls import call_connector
from daemon.core.errors import DiskFull, PostmottakError
from daemon.core.outside_values import text_from
from daemon.core.ports import Notifies
from daemon.core.signed_links import signed
from daemon.delivery.belonging import where_it_belongs
from daemon.delivery.deadline_warnings import DeadlineWarner
from daemon.delivery.digests import DigestSender
from daemon.delivery.reminder_text import reminder_mail
from daemon.delivery.snapshot import ActiveSnapshot, Snapshot
from daemon.routing.ladder import plan
from daemon.runtime.heartbeat import Heartbeats
from daemon.store import DueMail, Store, ToldLetter

_log = structlog.get_logger(__name__)
REMINDERS = "reminders"  # the name under which this sends heartbeats
_LOOK = 30.0  # seconds
_AT_LATEST = timedelta(days=1)
"""So long after a look a letter is looked at again: the table may have changed."""
_BACKOFF = Backoff(timedelta(minutes=1), timedelta(hours=1))
_SEVERAL = 3
"""After so many failures one after the other, the rest waits for the next look."""
NO_MAIL = "no destination can mail people; configure one of type smtp"


@dataclass
class ReminderSender:
    """Looks what is due, and sends it. For one thread."""

    store: Store
    active: ActiveSnapshot
    clock: Callable[[], datetime]
    doubts: Callable[[], object]
    """What is wrong with the clock; nothing is decided while there is something."""
    heartbeats: Heartbeats
    _idle: str = field(default="", init=False)
    """The version of the table with which nobody had to be told of anything."""
    _warner: DeadlineWarner = field(init=False)
    _digests: DigestSender = field(init=False)

    def __post_init__(self) -> None:
        self._warner = DeadlineWarner(self.store)
        self._digests = DigestSender(self.store, partial(self.heartbeats.beat, REMINDERS))

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
        self.heartbeats.beat(REMINDERS)
        with self.active.use() as snapshot:
            if self.doubts():
                return 0
            mailing = _mailing(snapshot)
            sent = self._warner.look(snapshot, mailing, self.clock(), stopping)
            sent += self._digests.look(snapshot, mailing, self.clock(), stopping)
            if not self._is_wanted(snapshot):
                return sent
            self._plan(snapshot, stopping)
            return sent + self._send(snapshot, stopping)

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

    def _send(self, snapshot: Snapshot, stopping: threading.Event | None) -> int:
        sent = failures = 0
        for mail in self.store.awaited.due_mails(self.clock()):
            if failures >= _SEVERAL or (stopping and stopping.is_set()):
                break
            self.heartbeats.beat(REMINDERS)
            if self._send_one(mail, snapshot):
                sent, failures = sent + 1, 0
            else:
                failures += 1
        return sent

    def _send_one(self, mail: DueMail, snapshot: Snapshot) -> bool:
        destination = _mailing(snapshot)
        failure: object = None
        if destination is None:
            failure = PostmottakError(NO_MAIL)
        else:
            language = snapshot.configuration.acknowledgements.language
            belongs = partial(where_it_belongs, self.store, snapshot.table, now=self.clock())
            message = reminder_mail(mail, language, self._link(snapshot), belongs)
            failure = call_connector(partial(destination.notify, message), mail=str(mail.id))
        if isinstance(failure, PostmottakError):
            reason = text_from(str(failure))
            try_at = self.clock() + _BACKOFF.after(mail.attempts + 1)
            self.store.awaited.put_off(mail.id, try_at, reason)
            _log.warning("a person could not be told of letters", mail=str(mail.id), reason=reason)
            return False
        self.store.awaited.told(mail.id, self.clock())
        _log.info("a person was told of letters", mail=str(mail.id), letters=len(mail.letters))
        return True

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


def _mailing(snapshot: Snapshot) -> Notifies | None:
    """Return the destination that mails people: the configured one, or the first that can."""
    wanted = snapshot.configuration.acknowledgements.send_by
    for each in snapshot.configuration.destinations:
        if each.settings.can_notify_people and wanted in {"", each.name}:
            found = snapshot.destinations.get(each.name)
            return found if isinstance(found, Notifies) else None
    return None
