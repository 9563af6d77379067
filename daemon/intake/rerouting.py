"""Reroutes stored letters: a cover begins or ends while they wait, or an operator decides again."""

from __future__ import annotations

import dataclasses
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from uuid import UUID

import structlog

from daemon.core.awaited import AwaitedValues
from daemon.core.callbacks import do_nothing
from daemon.core.deadlines import respond_by
from daemon.core.errors import NotFound, OperatorError
from daemon.core.model import DecisionValues
from daemon.core.spelling import did_you_mean
from daemon.core.working_days import term
from daemon.routing.decide import OPERATOR, Decision, Earlier, assign, decide, recover
from daemon.routing.dryrun import HistoricLetter
from daemon.routing.facts import Facts, facts_of, is_guarded
from daemon.routing.table import Table
from daemon.store import Changed, Cover, Decided, NewestDecision, Outline, Queued, Store

_log = structlog.get_logger(__name__)
# letters that follow a cover in one transaction: others wait for it some 50 ms, and a commit costs
# the same for one and for many
_TOGETHER = 100
_REMEMBERED = 10_000


Move = tuple[tuple[str, ...], tuple[str, ...]]
"""From whom a letter goes, and to whom."""
Walked = Callable[[Iterator[Outline]], Iterator[Outline]]


@dataclass(kw_only=True)
class Applied:
    """How many letters were decided again, and how many of them an operator's decision changed."""

    letters: int = 0
    changed: int = 0


@dataclass(kw_only=True)
class Preview:
    """What applying the table to stored letters would change."""

    letters: int = 0
    moves: Counter[Move] = field(default_factory=Counter)
    """How many letters would move, by from whom and to whom."""

    @property
    def summary(self) -> list[tuple[tuple[str, ...], tuple[str, ...], int]]:
        """From whom, to whom, and how many letters; the largest count first."""
        return [(before, after, count) for (before, after), count in self.moves.most_common()]


@dataclass(frozen=True, kw_only=True)
class Rerouter:
    """Decides again about stored letters, by the current routing table."""

    store: Store
    table: Callable[[], Table]
    clock: Callable[[], datetime]
    beat: Callable[[], None] = do_nothing
    """Sends a heartbeat."""
    walked: Walked = iter
    """Passes on the letters of a long walk, and reports how far it is."""

    def follow_covers(self, stopping: threading.Event | None = None) -> int:
        """Move waiting deliveries to where the current covers send them.

        Ends early when `stopping` is set; what is done then stays done, and a later call does the
        rest. The store is blocked only for a moment at a time, however many letters wait, and
        `beat` is called as often. Returns how many letters changed.
        """
        table, now, changed = self.table(), self.clock(), 0
        wanted = _Wanted(table, now)
        for letters in self.store.covers.queued(now):
            covers = [each for letter in letters if (each := wanted.cover_of(letter))]
            for start in range(0, len(covers), _TOGETHER):
                if stopping and stopping.is_set():
                    return changed
                changed += self._follow(covers[start : start + _TOGETHER])
            self.beat()
            if stopping and stopping.is_set():
                return changed
        return changed

    def _follow(self, covers: Sequence[Cover]) -> int:
        found = self.store.covers.follow(covers, self.clock())
        for message, result in found.items():
            _log.info(
                "cover followed",
                message=str(message),
                added=result.added,
                withdrawn=result.withdrawn,
            )
        return len(found)

    def route(self, message: UUID, to: str | None) -> Changed:
        """Decide again about one letter, and deliver it to all destinations, even if they have it.

        With `to`, the named recipient gets it whatever the routes say. Returns the destinations
        that were added and withdrawn. Raises NotFound or OperatorError.
        """
        letter = self.store.decisions.decided(message)
        facts = facts_of_stored(letter, self.clock())
        if to is None:
            decision = self._decide(facts)
        else:
            decision = self._as_before(message, self._to_recipient(facts, to))
        changed = self._carry_out(letter.message.id, decision, again=decision.destinations)
        return changed or Changed(added=(), withdrawn=())

    def replace(self, message: UUID, old: str, new: str) -> Changed:
        """Put one recipient of a letter in the place of another; the others have it as before.

        A confidential letter stays as it is, unless a route for confidential post names the new
        one. Raises NotFound if the letter was deleted.
        """
        while (changed := self._replace(message, old, new)) is None:
            pass  # somebody moved the letter meanwhile
        return changed

    def _replace(self, message: UUID, old: str, new: str) -> Changed | None:
        letter, table = self.store.decisions.decided(message), self.table()
        facts = facts_of_stored(letter, self.clock())
        if facts.confidential and new not in table.appointed:
            return Changed(added=(), withdrawn=())
        made = letter.decision
        chosen = [new if each == old else each for each in made.chosen]
        known = (each for each in dict.fromkeys(chosen) if each in table.recipients)
        decision = assign(table, facts, *known, direct=tuple(made.direct))
        decision = self._as_before(message, decision)
        return self._carry_out(message, decision, again=(), after=made.number)

    def apply(
        self, since: datetime, on_change: Callable[[UUID, Changed], object] = do_nothing
    ) -> Applied:
        """Decide again about all letters that came since then, except those an operator routed.

        Letters that are delivered where they now belong do not go there again, unless it is for a
        new recipient. `on_change` is called with each letter that changed, of which nothing is
        kept in memory.
        """
        applied = Applied()
        for letter, decision in self._again(since):
            applied.letters += 1
            if decision is None:
                continue
            key, number = letter.id, letter.decision.number
            if changed := self._carry_out(key, decision, again=(), after=number):
                applied.changed += 1
                on_change(key, changed)
        return applied

    def preview(
        self, since: datetime, on_move: Callable[[UUID, Move], object] = do_nothing
    ) -> Preview:
        """Return what `apply` would do now. Changes nothing.

        `on_move` is called with each letter that would go elsewhere, as in `apply`.
        """
        preview = Preview()
        for letter, decision in self._again(since):
            preview.letters += 1
            if decision is None:
                continue
            made = letter.decision
            move = (
                (*made.recipients, *made.direct),
                (*decision.recipients, *decision.direct),
            )
            preview.moves[move] += 1
            on_move(letter.id, move)
        return preview

    def _again(self, since: datetime) -> Iterator[tuple[Outline, Decision | None]]:
        """Yield letters that came since then, with the decision where another one is due now."""
        for letter in self.walked(self.store.decisions.since(since)):
            decision = decide_in_thread(self.store, self.table(), letter.facts, exclude=letter.id)
            due = (
                decision is not None
                and letter.decision.route != OPERATOR
                and _differs(decision, letter.decision)
            )
            yield letter, decision if due else None

    def _decide(self, facts: Facts) -> Decision:
        decision = decide(self.table(), facts)
        if decision is None:
            raise OperatorError(
                "The letter is confidential, and no route appoints a recipient for it; add a "
                "route for 5504/1"
            )
        return decision

    def _to_recipient(self, facts: Facts, name: str) -> Decision:
        table = self.table()
        if name not in table.recipients:
            hint = did_you_mean(name, table.recipients)
            raise NotFound(
                f"{name!r} is not a recipient in the routing table; "
                f"{hint or 'known are ' + ', '.join(table.recipients)}"
            )
        if facts.confidential and name not in table.appointed:
            raise OperatorError(
                f"The letter is confidential, and no route for confidential post names {name!r}"
            )
        return assign(table, facts, name)

    def _as_before(self, message: UUID, decision: Decision) -> Decision:
        """Let a letter go on waiting for a person, if a route or another recipient asked for it."""
        before = self.store.awaited.of(message)
        if decision.acknowledge_within or before is None or before.look_at is None:
            return decision
        return dataclasses.replace(decision, acknowledge_within=term(before.within))

    def _carry_out(
        self, key: UUID, decision: Decision, *, again: Iterable[str], after: int | None = None
    ) -> Changed | None:
        """Store the decision about the letter and carry it out.

        With `after`, do so only if no decision has a higher number; otherwise return None.
        """
        now = self.clock()
        # read only where it is needed
        published_at = self.store.decisions.published_at(key) if decision.respond_within else now
        result = self.store.decisions.decide(
            decision_values(key, decision, now, published_at),
            decision.destinations,
            now,
            again=set(again),
            after=after,
            awaited=awaited_values(key, decision, now),
        )
        if result:
            _log.info(
                "routed by an operator",
                message=str(key),
                route=decision.route,
                added=result.added,
                withdrawn=result.withdrawn,
            )
        return result


def _differs(decision: Decision, stored: NewestDecision) -> bool:
    return set(decision.recipients) != set(stored.recipients) or set(decision.direct) != set(
        stored.direct
    )


def awaited_values(message: UUID, decision: Decision, now: datetime) -> AwaitedValues | None:
    """Return since when the letter waits for a person, as it is stored; None if it does not.

    The number of the decision is that of the first one.
    """
    within = decision.acknowledge_within
    if within is None:
        return None
    return AwaitedValues(
        message_id=message,
        decision=1,
        begun_at=now,
        within=str(within),
        recipients=list(decision.chosen),
        look_at=within.after(now),
    )


def decision_values(
    message: UUID, decision: Decision, now: datetime, published_at: datetime
) -> DecisionValues:
    """Return the decision as it is stored, numbered as the first one."""
    term = decision.respond_within
    return DecisionValues(
        message_id=message,
        number=1,
        decided_at=now,
        routing_version=decision.version,
        route=decision.route,
        chosen=list(decision.chosen),
        recipients=list(decision.recipients),
        direct=list(decision.direct),
        why={**decision.why, "respond_within": str(term)} if term else decision.why,
        respond_by=respond_by(published_at, term) if term else None,
    )


class _Wanted:
    """Where waiting letters should go at one moment.

    Results are cached, because many letters share what covers depend on.
    """

    def __init__(self, table: Table, at: datetime) -> None:
        self._table, self._at = table, at
        self._found = lru_cache(maxsize=_REMEMBERED)(self._recover)

    def cover_of(self, letter: Queued) -> Cover | None:
        """Return where the letter should go.

        None if it goes there already, for exactly the right recipients, or if it must stay.
        """
        wanted = self._found(letter.service, letter.confidential, letter.chosen, letter.direct)
        if wanted is None or _goes_to(letter, wanted):
            return None
        return Cover(message=letter.message, number=letter.number, wanted=wanted)

    def _recover(
        self, service: str, confidential: bool, chosen: tuple[str, ...], direct: tuple[str, ...]
    ) -> Mapping[str, tuple[str, ...]] | None:
        guarded = is_guarded(service, confidential=confidential)
        return recover(
            self._table, Facts(service=service, at=self._at, confidential=guarded), chosen, direct
        )


def _goes_to(letter: Queued, wanted: Mapping[str, tuple[str, ...]]) -> bool:
    right = all(wanted.get(name) == recipients for name, recipients in letter.waiting.items())
    return right and wanted.keys() <= letter.waiting.keys() | letter.others


def facts_of_stored(letter: Decided, at: datetime) -> Facts:
    """Return the facts about a stored letter, as if it were decided at `at`."""
    return facts_of(letter.message, letter.attachments, at, letter.message.party_name)


def decide_in_thread(
    store: Store, table: Table, facts: Facts, exclude: UUID | None = None
) -> Decision | None:
    """Return the decision, with the earlier letter of its thread if the table follows threads."""
    return decide(
        table, facts, find_earlier(store, facts, exclude) if table.follows_threads else None
    )


def find_earlier(store: Store, facts: Facts, exclude: UUID | None = None) -> Earlier | None:
    """Return the newest earlier letter of the same thread; never `exclude`."""
    found = store.letters.earlier(facts.threads, facts.at, exclude)
    if found is None:
        return None
    message, decision, thread = found
    return Earlier(
        message=str(message.id),
        thread=thread,
        route=decision.route,
        recipients=tuple(decision.chosen),
        deliver_to=tuple(decision.direct),
    )


def samples(
    store: Store, since: datetime, *, follow_threads: bool = True
) -> Iterator[HistoricLetter]:
    """Yield stored letters for a dry run: those that came at `since` or later, in that order.

    Only some of them are in memory at a time. With `follow_threads`, each comes with its thread as
    it then was; a table that follows no threads does not need it.
    """
    for letter in store.decisions.since(since):
        facts = letter.facts
        earlier = find_earlier(store, facts, exclude=letter.id) if follow_threads else None
        yield HistoricLetter(message=str(letter.id), facts=facts, earlier=earlier)
