"""The loop of a mailbox with a bell, where several nodes share the work: one has the bell.

What a bell rings for is fetched by the node that has it. Which that is, a turn says, so the next
one has it as soon as that node is gone. An event that comes to another node makes the turn due.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from datetime import timedelta

from daemon.core.bookkeeping import BELL
from daemon.core.turns import late_after
from daemon.intake.bell_rounds import BellRounds
from daemon.intake.mailboxes import poll_heartbeat
from daemon.intake.turns import Turns
from daemon.service.bell_loop import JITTER, LEAST, BellLoop
from daemon.service.room import without_room

_WHOLE = ""  # the turn is about the mailbox, and no one organisation
_LONGEST_LOOK = 3.0  # seconds


@dataclass(frozen=True, kw_only=True)
class BellTurns(BellLoop):
    """Does rounds while it is the turn of this node, until the service is stopped."""

    turns: Turns
    owner: str
    """The name of this process in turns."""

    def run(self) -> None:
        """Do a round at each turn. Raises StoreError."""
        heart, every = poll_heartbeat(self.name), self._every
        pause = min(_LONGEST_LOOK, max(0.2, every.total_seconds() / 10))
        rounds: BellRounds | None = None
        ended = made_due = -1e9
        known, is_rung = 0, False
        while not self.stopping.is_set():
            if (size := self.parties()) != known:
                self.turns.follow({_WHOLE: self.clock()}, size)
                known = size
            if is_rung and time.monotonic() - made_due >= LEAST:
                is_rung, made_due = not self.turns.make_due([_WHOLE]), time.monotonic()
            began = self.clock()
            if taken := self.turns.take(1):
                # what is known of the channels is kept, unless another node went on meanwhile
                rounds = rounds if taken[0].had_by == self.owner else None
                rounds = self._turn(rounds or self.new_rounds())
                jitter = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  # keeps no secret
                self.turns.end(began, {_WHOLE: every * jitter})
                ended = time.monotonic()
            elif rounds and time.monotonic() - ended > self._given_up.total_seconds():
                self.problems.end(BELL, self.name)
                rounds = None
            self.heartbeats.beat_for_wait(heart, pause)
            is_rung = self.wake.wait(pause) or is_rung
            self.heartbeats.beat(heart)
        self.turns.settle()

    def _turn(self, rounds: BellRounds) -> BellRounds:
        with without_room("only the known resources are read"):
            self.resources.refresh(self.name)
        self._round(rounds)
        self.stored()
        return rounds

    @property
    def _every(self) -> timedelta:
        assert self.bell.rings_every
        return self.bell.rings_every

    @property
    def _given_up(self) -> timedelta:
        """After how long without a turn another node has the bell."""
        return 2 * self._every + late_after(self._every)
