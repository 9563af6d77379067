"""Mails to people that are stored already: sent, or put off at growing intervals.

What sends them decides whom to tell of what, and stores it first. A mail that cannot be sent holds
up no letter, is tried again, and is shown as a problem.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol
from uuid import UUID

import structlog

from daemon.config.loader import Configuration
from daemon.core.backoff import Backoff
from daemon.core.connector_calls import call_connector
from daemon.core.errors import PostmottakError
from daemon.core.outside_values import text_from
from daemon.core.ports import Notification, Notifies
from daemon.delivery.snapshot import Snapshot

_log = structlog.get_logger(__name__)
_BACKOFF = Backoff(timedelta(minutes=1), timedelta(hours=1))
_SEVERAL = 3
"""After so many failures one after the other, the rest waits for the next look."""
NO_MAIL = "no destination can mail people; configure one of type smtp"


class MailRecords(Protocol):
    """Where mails of one kind are stored."""

    def told(self, mail: UUID, now: datetime | None) -> None:
        """Record that a mail was accepted; without a time, that nothing was left to say in it."""

    def put_off(self, mail: UUID, try_at: datetime, reason: str) -> None:
        """Record that a mail could not be sent, and when it is tried again."""


@dataclass
class MailRound:
    """Sends the mails of one look, of all kinds. For one thread."""

    destination: Notifies | None
    """What mails people; without it, mails are put off with that reason."""
    clock: Callable[[], datetime]
    beat: Callable[[], None]
    stopping: threading.Event | None = None
    sent: int = 0
    _failures: int = field(default=0, init=False)

    def goes_on(self) -> bool:
        """Whether to send another mail: not at a stop, nor while the mail server fails."""
        self.beat()
        return self._failures < _SEVERAL and not (self.stopping and self.stopping.is_set())

    def send(self, records: MailRecords, message: Notification, attempts: int) -> None:
        """Send a mail that was attempted so often before, and record the result.

        Raises StoreError.
        """
        failure: object = PostmottakError(NO_MAIL)
        if self.destination:
            failure = call_connector(
                partial(self.destination.notify, message), mail=str(message.id)
            )
        told = {"mail": str(message.id), "kind": message.kind}
        if isinstance(failure, PostmottakError):
            reason = text_from(str(failure))
            records.put_off(message.id, self.clock() + _BACKOFF.after(attempts + 1), reason)
            _log.warning("a mail to a person could not be sent", **told, reason=reason)
            self._failures += 1
            return
        records.told(message.id, self.clock())
        _log.info("a mail to a person was sent", **told)
        self.sent, self._failures = self.sent + 1, 0


def mailing_destination(snapshot: Snapshot) -> Notifies | None:
    """Return the destination that mails people: the configured one, or the first that can."""
    wanted = snapshot.configuration.acknowledgements.send_by
    for each in snapshot.configuration.destinations:
        if each.settings.can_notify_people and wanted in {"", each.name}:
            found = snapshot.destinations.get(each.name)
            return found if isinstance(found, Notifies) else None
    return None


def page_url(configuration: Configuration) -> str:
    """Return the page's address; empty without a page."""
    return configuration.web.url if configuration.web else ""
