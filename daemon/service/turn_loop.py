"""The loop of a mailbox that is polled by its lists, where several nodes share the work."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from daemon.core.nodes import Duty
from daemon.core.ports import Channel
from daemon.core.turns import Turn, place_of
from daemon.intake.late_files import ask_again
from daemon.intake.mailboxes import PARTIES_AT_A_TIME, poll_heartbeat
from daemon.intake.turns import Turns
from daemon.service.poll_loop import RECONCILE_EVERY, PollLoop
from daemon.service.room import without_room

_SHORTEST, _LONGEST = 0.2, 3.0  # seconds between two looks whose turn it is
_ASK_AGAIN = 10.0  # seconds between two looks for files that did not come with their letters


@dataclass(frozen=True, kw_only=True)
class TurnLoop(PollLoop):
    """Polls the organisations of a mailbox whose turn it is, until the service is stopped.

    Each is listed as often as by one process; so are files asked for that came without.
    """

    def run(self) -> None:
        """Take turns, a few at a time. Raises StoreError."""
        app, box, name = self.app, self.box, poll_heartbeat(self.box.mailbox.name)
        turns = Turns(app.store, app.role, app.clock, box.mailbox.name, box.turn_every)
        known = _KnownChannels(turns, box.turn_every)
        with without_room("it is not known whether a comparison is due"):
            if app.is_comparison_due(RECONCILE_EVERY):
                self.reconcile_due.set()
        pause = min(max(_SHORTEST, box.turn_every.total_seconds() / 10), _LONGEST)
        refreshed = asked = -1e9
        beat = partial(app.heartbeats.beat, name)
        while not self.stopping.is_set():
            at = time.monotonic()
            if at - refreshed >= box.turn_every.total_seconds():
                refreshed = at
                self._refresh()
                known.follow(box.mailbox.channels(), app.clock())
                self._reconcile_if_due()
            if at - asked >= _ASK_AGAIN and app.role.has(Duty.LATE_FILES):
                asked = at
                with without_room("files that lack are asked for later"):
                    ask_again(app.intake, box.mailbox, self.stopping, beat)
            is_behind = self._take(turns, known) and not self.stopping.is_set()
            app.heartbeats.beat_for_wait(name, pause)
            if not is_behind:
                self.wake.wait(pause)
        turns.settle()

    def _group(self, channels: Sequence[Channel]) -> str:  # noqa: ARG002
        """Return nothing: those that have their turns together change."""
        return ""

    def _ask_again(self) -> None:
        """Do nothing: a duty of one node."""

    def _take(self, turns: Turns, known: _KnownChannels) -> bool:
        """Poll those whose turn it is; return whether there may be more."""
        app, began = self.app, self.app.clock()
        taken = turns.take(PARTIES_AT_A_TIME)
        if not taken:
            return False
        channels = [each for turn in taken for each in known.of(turn)]

        def stored() -> None:
            self.stored()
            turns.renew()

        if self._poll(channels, stored):
            self.stored()
        intervals = dict(self.box.intervals(app.store.bookmarks, channels, app.clock()))
        for each in taken:
            intervals.setdefault(each.party, self.box.turn_every)
        turns.end(began, intervals)
        return len(taken) == PARTIES_AT_A_TIME


class _KnownChannels:
    """The channels of a mailbox, by the organisation that has a turn. For one thread."""

    def __init__(self, turns: Turns, every: timedelta) -> None:
        self._turns, self._every = turns, every
        self._channels: Sequence[Channel] | None = None
        self._by_party: Mapping[str, Sequence[Channel]] = {}

    def of(self, turn: Turn) -> Sequence[Channel]:
        """Return the channels that a turn is about."""
        return self._by_party.get(turn.party, ())

    def follow(self, channels: Sequence[Channel], now: datetime) -> None:
        """Have a turn for each organisation; one with channels that are new has it now.

        Those of the first start are spread over the interval. A mailbox without any has one turn.
        Raises StoreError.
        """
        if channels is self._channels:
            return
        before, is_first = self._by_party, self._channels is None
        self._channels, self._by_party = channels, _by_party(channels)
        wanted = self._by_party or {"": ()}
        self._turns.follow(
            {each: now + place_of(each, self._every) if is_first else now for each in wanted}
        )
        grown = [
            party
            for party, own in self._by_party.items()
            if not is_first and {*map(_place, own)} - {*map(_place, before.get(party, ()))}
        ]
        if grown:
            self._turns.make_due(grown)


def _by_party(channels: Sequence[Channel]) -> Mapping[str, Sequence[Channel]]:
    found: dict[str, list[Channel]] = {}
    for each in channels:
        found.setdefault(each.party, []).append(each)
    return found


def _place(channel: Channel) -> tuple[str, str]:
    return channel.service, channel.resource
