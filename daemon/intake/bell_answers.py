"""For whom the bell answers, up to when it was asked, and who has to be listed instead. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from daemon.core.bell import BellAnswer, Ring
from daemon.core.times import has_passed, shifted

_REFUSED_AGAIN = timedelta(minutes=10)
"""After how long a bell that was refused for a party is tried again."""


class Hearing:
    """What is known of each party. For one thread."""

    def __init__(
        self,
        asked_until: datetime | None,
        poll_every: timedelta,
        every: timedelta,
        *,
        overlap: timedelta,
    ) -> None:
        """`asked_until` is what the last run of the service recorded, if there was one."""
        self._begins, self._overlap = asked_until, overlap
        self._patience = max(poll_every - every / 2, timedelta())
        """How long a party may go without an answer or a list: about an interval of polls."""
        self._until: dict[str, datetime] = {}
        self._read_at: dict[str, datetime] = {}
        self._refused_at: dict[str, datetime] = {}
        self._rings: list[Sequence[Ring]] = []
        self._failing_at: datetime | None = None
        self.heard: set[str] = set()
        """Those for whom it answered in this round."""
        self.refusal = ""
        """Why it cannot be used for some of them; empty if it can."""
        self._refusals: dict[str, str] = {}

    def follow(self, parties: Collection[str], now: datetime) -> None:
        """Begin a round for these parties."""
        for party in parties:
            # never a time to come, which a clock that was wrong can leave behind
            self._until[party] = min(self._until.get(party, self._begins or now), now)
        for party in self._until.keys() - set(parties):
            for each in (self._until, self._read_at, self._refused_at, self._refusals):
                each.pop(party, None)
        self.heard = set()

    def asked_until(self) -> Mapping[str, datetime]:
        """Return up to when the bell was asked before this round, by party."""
        return dict(self._until)

    def questions(self, now: datetime) -> Mapping[str, datetime]:
        """Return since when to ask for each party whose turn it is."""
        return {
            party: shifted(until, -self._overlap)
            for party, until in self._until.items()
            if has_passed(_REFUSED_AGAIN, self._refused_at.get(party), now)
        }

    def take(self, answer: BellAnswer, now: datetime) -> None:
        """Take an answer. One that may lack something has its parties listed as well."""
        self._rings.append(answer.rings)
        known = [each for each in answer.parties if each in self._until]
        if answer.problem:
            for party in known:
                if answer.refused:
                    self._refused_at[party] = now
                    self._refusals[party] = answer.problem
        else:
            for party in known:
                self._until[party] = max(self._until[party], min(answer.asked_at, now))
                self._read_at[party] = now
                self._refused_at.pop(party, None)
                self._refusals.pop(party, None)
                self.heard.add(party)
        self.refusal = next(iter(self._refusals.values()), "")

    def take_rings(self) -> Iterator[Sequence[Ring]]:
        """Return what rang since this was last called."""
        rings, self._rings = self._rings, []
        yield from rings

    @property
    def not_heard(self) -> set[str]:
        """Those for whom it did not answer in this round."""
        return self._until.keys() - self.heard

    def unheard(self, now: datetime) -> set[str]:
        """Return those without an answer or a list for about an interval of polls."""
        return {
            each
            for each in self.not_heard
            if has_passed(self._patience, self._read_at.get(each), now)
        }

    def listed(self, parties: Collection[str], now: datetime) -> None:
        """Note that these were listed, so that the bell need not be asked about earlier times.

        What could not be listed then is listed again until it can be.
        """
        self._read_at.update(dict.fromkeys(parties, now))
        self._until.update((each, max(self._until[each], now)) for each in parties)

    def earliest(self) -> datetime | None:
        """Return up to when the bell was asked for every party."""
        return min(self._until.values(), default=self._begins)

    def is_time_for_failing(self, now: datetime) -> bool:
        """Return whether letters that could not be fetched are to be tried again."""
        if not has_passed(self._patience, self._failing_at, now):
            return False
        self._failing_at = now
        return True
