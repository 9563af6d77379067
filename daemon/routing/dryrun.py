"""What an edit would do: run two tables over the same letters, and show what changes. Pure."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from daemon.core.callbacks import do_nothing
from daemon.routing.decide import Decision, Earlier, decide
from daemon.routing.facts import Facts
from daemon.routing.table import Table

_SAMPLES = 5
_Ends = tuple[tuple[str, ...], tuple[str, ...]]  # before and after


@dataclass(frozen=True, kw_only=True)
class HistoricLetter:
    """A stored letter as it was when it was decided, with its thread."""

    message: str
    facts: Facts
    earlier: Earlier | None = None


@dataclass(frozen=True, kw_only=True)
class Change:
    """One letter that would go elsewhere."""

    message: str
    service: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    route_before: str
    route_after: str


@dataclass(frozen=True, kw_only=True)
class SampleLetter:
    """A letter that shows what a move means."""

    message: str
    title: str


@dataclass(frozen=True, kw_only=True)
class Move:
    """The letters that would go from the same place to the same other one."""

    before: tuple[str, ...]
    after: tuple[str, ...]
    letters: int
    samples: tuple[SampleLetter, ...]
    """The last few of them, the newest first. Confidential letters are counted, never shown."""


@dataclass(kw_only=True)
class DryRun:
    """How two tables differ over some letters."""

    letters: int = 0
    moves: Counter[_Ends] = field(default_factory=Counter)
    """How many letters would go elsewhere, by from whom and to whom."""
    samples: dict[_Ends, deque[SampleLetter]] = field(default_factory=dict, repr=False)
    """The last letters of each move."""

    @property
    def changed(self) -> int:
        """How many letters would go elsewhere."""
        return self.moves.total()

    @property
    def summary(self) -> list[tuple[tuple[str, ...], tuple[str, ...], int]]:
        """From whom, to whom, and how many letters; the largest count first."""
        return [(before, after, count) for (before, after), count in self.moves.most_common()]

    @property
    def grouped(self) -> list[Move]:
        """The moves of the summary, with samples."""
        return [
            Move(
                before=before,
                after=after,
                letters=count,
                samples=tuple(reversed(self.samples.get((before, after), ()))),
            )
            for before, after, count in self.summary
        ]

    def note(self, change: Change, facts: Facts) -> None:
        """Note a letter that would go elsewhere."""
        self.moves[change.before, change.after] += 1
        if not facts.confidential:
            ends = (change.before, change.after)
            last = self.samples.setdefault(ends, deque(maxlen=_SAMPLES))
            last.append(SampleLetter(message=change.message, title=facts.title))


def compare(
    before: Table,
    after: Table,
    samples: Iterable[HistoricLetter],
    on_change: Callable[[Change], object] = do_nothing,
) -> DryRun:
    """Run both tables over the letters.

    `on_change` is called with each letter that would go elsewhere. No letter is kept in memory.
    """
    found = DryRun()
    for sample in samples:
        found.letters += 1
        old, new = (
            decide(before, sample.facts, sample.earlier),
            decide(after, sample.facts, sample.earlier),
        )
        ends = _goes_to(old), _goes_to(new)
        if ends[0] != ends[1]:
            change = Change(
                message=sample.message,
                service=sample.facts.service,
                before=ends[0],
                after=ends[1],
                route_before=old.route if old else "",
                route_after=new.route if new else "",
            )
            found.note(change, sample.facts)
            on_change(change)
    return found


def _goes_to(decision: Decision | None) -> tuple[str, ...]:
    """Return what happens to the letter, in words for people.

    These are its recipients, destinations without a recipient, and what the sender will see.
    """
    if decision is None:
        return ()
    reached = [f"{name} ({_reached_at(decision, name)})" for name in decision.recipients]
    alone = [destination for destination, names in decision.destinations.items() if not names]
    policies = {"mark_read": decision.mark_read, "confirm": decision.confirm}
    return (*reached, *alone, *(f"{key} = {policy}" for key, policy in policies.items() if policy))


def _reached_at(decision: Decision, name: str) -> str:
    places = (place for place, names in decision.destinations.items() if name in names)
    return ", ".join(sorted(places))
