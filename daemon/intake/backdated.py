"""Letters dated before a channel's first poll that arrived later: no poll looks that far back.

A sender may date a letter freely, and a mailbox's list goes by that date. The first comparison of a
channel notes what is older than the first poll; what turns up there later has arrived since. Some
of the noted ones may have arrived between the first poll and the first comparison, so the mailbox
is asked when they were published, if it knows.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from daemon.core.connector_calls import call_connector
from daemon.core.errors import LetterGone, PostmottakError
from daemon.core.model import LetterRef, SightingState
from daemon.core.ports import Channel, Mailbox, TellsPublishing
from daemon.runtime.thread_pool import ThreadPool
from daemon.store import Store

_Answer = datetime | PostmottakError | None


@dataclass(kw_only=True)
class Come:
    """The result of looking through a channel's older letters."""

    refs: list[LetterRef] = field(default_factory=list)
    """Those that have arrived since, and must be fetched."""
    waiting: int = 0
    """Confidential ones that have arrived since, and are left alone."""
    looked: int = 0
    """The number of letters about which the mailbox was asked."""
    unseen: int = 0
    """The number of letters about which the mailbox has not been asked yet."""
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Backdated:
    """Looks through older letters, `workers` at a time."""

    store: Store
    clock: Callable[[], datetime]
    workers: int

    def look(
        self,
        mailbox: Mailbox,
        channel: Channel,
        older: Sequence[LetterRef],
        at_most: int,
        stopping: threading.Event,
    ) -> Come:
        """Return which letters have arrived since the channel's first poll.

        `older` are those dated before it that are not noted yet; what is left alone is noted. The
        mailbox is asked about `at_most` letters; the others follow in the next round. A channel
        that was never polled has no result. Raises StoreError.
        """
        bookmark, come = self.store.bookmarks.of_channel(mailbox.name, channel), Come()
        if not bookmark.begun:
            return come
        if bookmark.compared_at is None:
            self.store.letters.see_older(older, self.clock())
        elif channel.list_only:
            come.waiting = self.store.letters.record_waiting(older, self.clock())
        else:
            come.refs += older
        if not channel.list_only and bookmark.begins_at:
            self._ask(mailbox, channel, bookmark.begins_at, at_most, come, stopping)
        return come

    def _ask(
        self,
        mailbox: Mailbox,
        channel: Channel,
        begins_at: datetime,
        at_most: int,
        come: Come,
        stopping: threading.Event,
    ) -> None:
        """Ask the mailbox about older letters that it was not asked about yet, if it knows."""
        if not isinstance(mailbox, TellsPublishing):
            return
        unseen = self.store.letters.older_unseen(mailbox.name, channel)
        some = unseen[:at_most]
        come.looked, come.unseen = len(some), len(unseen) - len(some)
        self._sort(some, self._answers(mailbox.published, some, stopping), begins_at, come)

    def _answers(
        self,
        published: Callable[[LetterRef], datetime],
        refs: Sequence[LetterRef],
        stopping: threading.Event,
    ) -> list[_Answer]:
        def answer(ref: LetterRef) -> _Answer:
            if stopping.is_set():
                return None
            return call_connector(partial(published, ref), external_id=ref.external_id)

        with ThreadPool(self.workers, thread_name_prefix="look") as pool:
            return list(pool.map(answer, refs))

    def _sort(
        self, refs: Sequence[LetterRef], answers: Sequence[_Answer], begins_at: datetime, come: Come
    ) -> None:
        failed: list[PostmottakError] = []
        left: list[LetterRef] = []
        for ref, answer in zip(refs, answers, strict=True):
            if isinstance(answer, LetterGone):
                self.store.letters.record_skipped(
                    ref, SightingState.GONE, self.clock(), str(answer)
                )
            elif isinstance(answer, PostmottakError):
                failed.append(answer)
            elif answer is not None:
                (come.refs if answer > begins_at else left).append(ref)
        self.store.letters.looked_at(left)
        if failed:
            come.unseen += len(failed)
            come.problems.append(
                f"{len(failed)} letters from before the first poll could not be checked: "
                f"{failed[0]}"
            )
