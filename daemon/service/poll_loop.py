"""The loop of a mailbox that is polled by its lists."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

import structlog

from daemon.core.errors import DiskFull
from daemon.core.nodes import Duty
from daemon.core.ports import Channel
from daemon.intake.late_files import ask_again
from daemon.intake.mailboxes import PolledMailbox, batches_of_parties, poll_heartbeat
from daemon.runtime.schedule import Scheduler, WakeEvent
from daemon.service.app import App
from daemon.service.room import Room, without_room
from daemon.service.status_line import StatusLine

_log = structlog.get_logger(__name__)
RECONCILE = "reconcile"
RECONCILE_EVERY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class PollLoop:
    """Polls a mailbox, and compares all of them once a day, until the service is stopped."""

    app: App
    box: PolledMailbox
    room: Room
    status: StatusLine
    schedule: Scheduler
    stopping: threading.Event
    stored: Callable[[], None]
    """Called after each commit of letters."""
    changed: Callable[[], None]
    """Called when what is wrong has changed."""
    wake: WakeEvent
    """Ends the wait for the next parties."""
    reconcile_due: threading.Event
    """Set when all mailboxes are to be compared; the loops share it."""
    _problems: dict[str, Sequence[str]] = field(default_factory=dict)
    """By the first party of a group: what was wrong with its last poll."""

    def run(self) -> None:
        """Poll repeatedly, a few parties at a time, so that calls are spread over the interval.

        Raises StoreError.
        """
        app, box, name = self.app, self.box, poll_heartbeat(self.box.mailbox.name)
        self._refresh()
        groups = batches_of_parties(box.mailbox.channels())
        self.schedule.every(box.turn_every / len(groups), name, self.wake.wake_up)
        with without_room("it is not known whether a comparison is due"):
            if app.is_comparison_due(RECONCILE_EVERY):
                # a service that is restarted every day would never compare otherwise
                self.reconcile_due.set()
        while not self.stopping.is_set():
            for group in groups:
                due = box.due(app.store.bookmarks, group, app.clock())
                if due or not group:
                    self._poll(due)
                if self.stopping.is_set():
                    return
                self.stored()
                longest = 2 * box.turn_every.total_seconds() / len(groups)
                app.heartbeats.beat_for_wait(name, longest)
                self.wake.wait(longest)
                app.heartbeats.beat(name)
            self._reconcile_if_due()
            self._refresh()
            # the same parties, so as many groups as before
            groups = batches_of_parties(box.mailbox.channels())

    def _reconcile_if_due(self) -> None:
        app = self.app
        if self.reconcile_due.is_set() and app.role.has(Duty.RECONCILIATION):
            self.reconcile_due.clear()
            # another node may have done it before this one got the duty
            if not app.role.node or app.is_comparison_due(RECONCILE_EVERY / 2):
                self.reconcile()

    def reconcile(self) -> None:
        """Compare the mailboxes with the store; on a full disk, again after the next round."""
        try:
            self.app.reconcile(self.stopping, bells=False)
            self.room.found("fetched", RECONCILE)
        except DiskFull as error:
            self.room.lacks("fetched", error, RECONCILE)
            self.reconcile_due.set()

    def _refresh(self) -> None:
        with without_room("only the known resources are read"):
            self.app.resources.refresh(self.box.mailbox.name)

    def _poll(self, channels: Sequence[Channel], stored: Callable[[], None] | None = None) -> bool:
        """Poll the channels; return whether a letter was stored, or a notice of one."""
        app, box, party = self.app, self.box, self._group(channels)
        who = f"{box.mailbox.name} {party}"
        try:
            summary = app.intake.poll(
                box.mailbox, box.policies, self.stopping, channels, stored or self.stored
            )
            self._ask_again()
        except DiskFull as error:
            self.room.lacks("fetched", error, who)
            return False
        self.room.found("fetched", who, certain=not summary.unreachable)
        _log.info(
            "polled",
            mailbox=box.mailbox.name,
            channels=len(channels),
            listed=summary.listed,
            stored=summary.stored,
            problems=len(summary.problems),
        )
        self.status.show_poll(box.mailbox.name, summary.stored, app.clock())
        if self._problems.get(party, []) != summary.problems:
            self._problems[party] = summary.problems
            self.changed()
        return bool(summary.stored or summary.notices)

    def _group(self, channels: Sequence[Channel]) -> str:
        """Return what identifies a group: it keeps its parties, but not its channels."""
        return channels[0].party if channels else ""

    def _ask_again(self) -> None:
        """Ask for files that did not come with their letters."""
        app, box = self.app, self.box
        beat = partial(app.heartbeats.beat, poll_heartbeat(box.mailbox.name))
        ask_again(app.intake, box.mailbox, self.stopping, beat)
