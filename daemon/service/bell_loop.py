"""The loop of a mailbox with a bell: rounds by the bell, and whether it can be used."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from daemon.core.bell import RingsBell
from daemon.core.bookkeeping import BELL, BellRecord
from daemon.core.callbacks import do_nothing
from daemon.core.errors import DiskFull
from daemon.intake.bell_rounds import BellRounds, RoundSummary
from daemon.intake.mailboxes import poll_heartbeat
from daemon.monitoring.problem import Problem
from daemon.monitoring.service_problems import ServiceProblems
from daemon.runtime.heartbeat import Heartbeats
from daemon.runtime.schedule import WakeEvent
from daemon.service.room import Room, without_room
from daemon.service.status_line import StatusLine
from daemon.service.watches import Watches

_log = structlog.get_logger(__name__)
JITTER = 0.05  # so that installations do not call at once
LEAST = 10.0
"""Seconds between two rounds, however many events come: what a forged one can cost is bounded."""


@dataclass(frozen=True, kw_only=True)
class BellLoop:
    """Does rounds until the service is stopped."""

    name: str
    """The mailbox's."""
    bell: RingsBell
    new_rounds: Callable[[], BellRounds]
    resources: Watches
    heartbeats: Heartbeats
    problems: ServiceProblems
    room: Room
    status: StatusLine
    clock: Callable[[], datetime]
    stopping: threading.Event
    stored: Callable[[], None]
    """Called after each commit of letters."""
    changed: Callable[[], None]
    """Called when what is wrong has changed."""
    wake: WakeEvent
    """Ends the wait for the next round."""
    parties: Callable[[], int] = lambda: 1
    """How many organisations the mailbox has."""
    ask_again: Callable[[], None] = do_nothing
    """Asks for files that did not come with their letters. Raises StoreError."""
    _troubles: list[str] = field(default_factory=list)
    _refusals: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Do a round at each interval. Raises StoreError."""
        heart = poll_heartbeat(self.name)
        assert self.bell.rings_every
        every = self.bell.rings_every.total_seconds()
        rounds = self.new_rounds()
        while not self.stopping.is_set():
            began = time.monotonic()
            with without_room("only the known resources are read"):
                self.resources.refresh(self.name)
            self._round(rounds)
            self.stored()
            # jitter keeps no secret
            pause = every * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311
            self.heartbeats.beat_for_wait(heart, 2 * every)
            self._wait(max(1.0, pause - (time.monotonic() - began)))
            self.heartbeats.beat(heart)

    def _wait(self, pause: float) -> None:
        """Wait for the next round, which an event may begin earlier."""
        quiet = min(LEAST, pause)
        self.stopping.wait(quiet)
        if pause > quiet and not self.stopping.is_set():
            self.wake.wait(pause - quiet)

    def _round(self, rounds: BellRounds) -> None:
        try:
            summary = rounds.run(self.stopping, self.stored)
            self.ask_again()
        except DiskFull as error:
            self.room.lacks("fetched", error, self.name)
            return
        self.room.found("fetched", self.name, certain=not summary.unreachable)
        if self.stopping.is_set():
            return
        _log.info(
            "polled",
            mailbox=self.name,
            channels=summary.channels,
            listed=summary.listed,
            stored=summary.stored,
            problems=len(summary.problems),
            heard=summary.heard,
            rings=summary.rings,
            missing=summary.missing,
        )
        self.status.show_poll(self.name, summary.stored, self.clock())
        self._note_use(summary, rounds.record)
        if self._troubles != summary.problems:
            self._troubles[:] = summary.problems
            self.changed()

    def _note_use(self, summary: RoundSummary, record: BellRecord) -> None:
        """Say once that the bell cannot be used, and once that it can again.

        It is a problem if it was in use, or is configured by name.
        """
        if not summary.refused:
            self.problems.end(BELL, self.name)
            if self._refusals:
                self._refusals.clear()
                _log.info("the bell can be used again", mailbox=self.name)
            return
        listed = len(summary.listed_parties)
        whom = f"{listed} organisations" if summary.heard else "any organisation"
        text = (
            f"The bell of the mailbox {self.name} cannot be used for {whom}, so that their "
            f"channels are listed instead: {summary.refused}"
        )
        if self.bell.needs_bell or record.rang_at is not None:
            problem = Problem(
                kind=BELL, about=self.name, where=self.name, text=text, critical=False
            )
            self.problems.begin(problem)
        if not self._refusals:
            self._refusals.append(summary.refused)
            _log.warning(
                "the bell cannot be used, so lists are used",
                mailbox=self.name,
                reason=summary.refused,
            )
