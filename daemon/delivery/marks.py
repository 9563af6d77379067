"""From the store to the mailbox: marks letters as Read and Confirmed.

The policy is the one that was active when the letter came. A mark is due only after the letter, or
all its deliveries, are durable; so a crash can delay it and never make it false. A letter is not
marked while a part of it may still come, and Confirmed is set only if the sender asked for it.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog

from daemon.core.connector_calls import call_connector
from daemon.core.errors import LetterGone, PostmottakError
from daemon.core.model import LetterRef, Mark, MarkKind, MarkState
from daemon.core.outside_values import text_from
from daemon.core.ports import Mailbox
from daemon.delivery.retry import next_attempt
from daemon.store import Store

_log = structlog.get_logger(__name__)
_LONGEST_WAIT = timedelta(days=1)  # between tries of a mark that is refused
# Altinn writes a confirmation some four seconds after it has accepted it
_TAKES_EFFECT = timedelta(seconds=30)
_BATCH = 100


@dataclass(frozen=True, kw_only=True)
class MarkSender:
    """Sets due marks in a mailbox."""

    store: Store
    clock: Callable[[], datetime]

    def send_due(self, mailbox: Mailbox, stopping: threading.Event) -> int:
        """Set every mark that is due now.

        Returns how many could not be set and are tried later. Raises StoreError.
        """
        failed = 0
        while not stopping.is_set():
            due = self.store.marks.due(mailbox.name, self.clock(), _BATCH)
            if not due:
                break
            failed += sum(
                not self._set(mailbox, mark, ref) for mark, ref in due if not stopping.is_set()
            )
        return failed

    def _set(self, mailbox: Mailbox, mark: Mark, ref: LetterRef) -> bool:
        about = {
            "mark": mark.kind.value,
            "message": str(mark.message_id),
            "policy": mark.policy.value,
        }
        if mark.kind is MarkKind.CONFIRMED and not self.store.marks.asked_for(mark.message_id):
            return self._drop(mark, "the sender asked for no confirmation")
        if mark.state is MarkState.DUE and (
            wanting := self.store.marks.parts_wanting(mark.message_id)
        ):
            remedy = f"`postmottak messages refetch {mark.message_id}` asks for what is missing"
            return self._defer(mark, f"{wanting} attachments did not come as sent; {remedy}")
        done = call_connector(partial(self._report, mailbox, mark, ref), **about)
        if isinstance(done, LetterGone):
            _log.info("letter is gone, so there is nobody to tell", **about)
        elif isinstance(done, PostmottakError):
            return self._defer(mark, text_from(str(done)))
        if done:
            self.store.marks.done(mark, self.clock())
            _log.info("mark set", **about)
        else:
            self._verify_later(mark)
        return True

    def _verify_later(self, mark: Mark) -> None:
        """Check later whether the mark took effect; less and less often if the server lost it."""
        verify_at, lost_since = self.clock() + _TAKES_EFFECT, None
        if mark.state is MarkState.TOLD:
            lost_since = mark.refused_since or mark.due_at
            verify_at = max(verify_at, self._next(lost_since))
        self.store.marks.told(mark, verify_at, lost_since)

    def _report(self, mailbox: Mailbox, mark: Mark, ref: LetterRef) -> bool:
        """Report the mark to the sender.

        Returns whether it is done: a confirmation is checked later, because the server can lose it.
        """
        if mark.kind is MarkKind.READ:
            mailbox.mark_read(ref)
            return True
        if mark.state is MarkState.TOLD and mailbox.confirmed(ref):
            return True
        mailbox.confirm(ref)
        return False

    def _drop(self, mark: Mark, reason: str) -> bool:
        self.store.marks.dropped(mark, reason)
        _log.info("mark dropped", mark=mark.kind.value, message=str(mark.message_id), reason=reason)
        return True

    def _next(self, since: datetime) -> datetime:
        """Return when to try again what has failed since then.

        No answer of Altinn's means that it will never work, so it is tried without end.
        """
        chance = random.random()  # noqa: S311  # spreads load, guards nothing
        return next_attempt(
            created_at=since,
            now=self.clock(),
            retry_after=None,
            chance=chance,
            ceiling=_LONGEST_WAIT,
        )

    def _defer(self, mark: Mark, reason: str) -> bool:
        since = mark.refused_since or self.clock()
        self.store.marks.deferred(mark, reason, self._next(since), since)
        _log.warning(
            "mark deferred", mark=mark.kind.value, message=str(mark.message_id), reason=reason
        )
        return False
