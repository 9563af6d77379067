"""From the store to the mailbox: tells senders Read and Confirmed, by the policy that was in force when the letter came.

A mark is due only after the letter, or all its deliveries, are durable; so a crash can delay it and never make it false.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from daemon.errors import LetterGone, MailboxError, StoreError
from daemon.model import LetterRef, Mark, MarkKind, MarkState
from daemon.ports import Mailbox
from daemon.store import Store

_log = structlog.get_logger(__name__)
_AGAIN = timedelta(minutes=10)
_TAKES_EFFECT = timedelta(seconds=30)  # Altinn writes a confirmation some four seconds after it has accepted it
_BATCH = 100


@dataclass(frozen=True, kw_only=True)
class Receipts:
    """Sets due marks in a mailbox."""

    store: Store
    clock: Callable[[], datetime]

    def set_due(self, mailbox: Mailbox, stopping: threading.Event) -> int:
        """Set every mark that is due now. Returns how many could not be set, and wait. Raises StoreError."""
        failed = 0
        while not stopping.is_set():
            due = self.store.marks.due(mailbox.name, self.clock(), _BATCH)
            if not due:
                break
            failed += sum(not self._set(mailbox, mark, ref) for mark, ref in due if not stopping.is_set())
        return failed

    def _set(self, mailbox: Mailbox, mark: Mark, ref: LetterRef) -> bool:
        about = {"mark": mark.kind.value, "message": str(mark.message_id), "policy": mark.policy.value}
        try:
            done = self._tell(mailbox, mark, ref)
        except LetterGone:
            _log.info("letter is gone, so there is nobody to tell", **about)
            done = True
        except MailboxError as error:
            return self._defer(mark, str(error))
        except StoreError:
            raise
        except Exception as fault:  # noqa: BLE001  # a fault of the connector concerns one mark only
            _log.exception("the connector failed unexpectedly", **about)
            return self._defer(mark, f"unexpected {type(fault).__name__} in the connector; see the log")
        if done:
            self.store.marks.done(mark, self.clock())
            _log.info("mark set", **about)
        else:
            self.store.marks.told(mark, self.clock() + _TAKES_EFFECT)
        return True

    def _tell(self, mailbox: Mailbox, mark: Mark, ref: LetterRef) -> bool:
        """Tell the sender. Returns whether that is the end of it: a confirmation is looked at later, for the other side can lose it."""
        if mark.kind is MarkKind.READ:
            mailbox.mark_read(ref)
            return True
        if mark.state is MarkState.TOLD and mailbox.confirmed(ref):
            return True
        mailbox.confirm(ref)
        return False

    def _defer(self, mark: Mark, reason: str) -> bool:
        self.store.marks.deferred(mark, reason, self.clock() + _AGAIN)
        _log.warning("mark deferred", mark=mark.kind.value, message=str(mark.message_id), reason=reason)
        return False
