"""Where stored letters go now: covers that begin and end while letters wait, and an operator who decides anew."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import structlog

from daemon.errors import NotFound, OperatorError
from daemon.faults import near_miss
from daemon.model import DecisionValues, Delivery
from daemon.routing.decide import OPERATOR, Decision, Earlier, assign, decide, recover
from daemon.routing.dryrun import Sample
from daemon.routing.facts import Facts, facts_of
from daemon.routing.table import Table
from daemon.store import WAITING, Decided, Store

_log = structlog.get_logger(__name__)


@dataclass(kw_only=True)
class Applied:
    """What an operator's decision changed: destinations by message id."""

    letters: int = 0
    added: dict[UUID, tuple[str, ...]] = field(default_factory=dict)
    withdrawn: dict[UUID, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Rerouter:
    """Decides anew about stored letters, by the table that is in force."""

    store: Store
    table: Callable[[], Table]
    clock: Callable[[], datetime]

    def follow_covers(self) -> int:
        """Let deliveries that wait follow the covers of this moment. Returns how many letters changed."""
        changed = 0
        for letter, deliveries in self.store.rerouting.pending():
            wanted = recover(self.table(), facts_of_stored(letter, self.clock()), letter.decision.chosen, letter.decision.direct)
            if wanted is None or _goes_to(deliveries, wanted):
                continue
            result = self.store.rerouting.cover(letter.message.id, wanted, self.clock())
            changed += 1
            _log.info("cover followed", message=str(letter.message.id), added=result.added, withdrawn=result.withdrawn)
        return changed

    def route(self, message: UUID, to: str | None) -> Applied:
        """Decide anew about one letter, and deliver it to all its destinations, also to those that have it.

        With `to`, the named recipient gets it whatever the routes say. Raises NotFound or OperatorError.
        """
        letter = self.store.rerouting.decided(message)
        facts = facts_of_stored(letter, self.clock())
        decision = self._decide(facts) if to is None else self._to_recipient(facts, to)
        applied = Applied(letters=1)
        self._carry_out(letter, decision, applied, again=decision.destinations)
        return applied

    def apply(self, since: datetime) -> Applied:
        """Decide anew about all letters that came since then, but for those that an operator routed.

        Letters that have arrived where they now belong do not go there again, unless it is on behalf of somebody new.
        """
        applied = Applied()
        for letter in self.store.rerouting.since(since):
            applied.letters += 1
            facts = facts_of_stored(letter, letter.message.fetched_at)
            decision = decide_in_thread(self.store, self.table(), facts, but=letter.message.id)
            if decision is not None and letter.decision.route != OPERATOR and _differs(decision, letter.decision):
                self._carry_out(letter, decision, applied, again=())
        return applied

    def _decide(self, facts: Facts) -> Decision:
        decision = decide(self.table(), facts)
        if decision is None:
            raise OperatorError("The letter is confidential, and no route appoints a recipient for it; add a route for 5504/1")
        return decision

    def _to_recipient(self, facts: Facts, name: str) -> Decision:
        table = self.table()
        if name not in table.recipients:
            hint = near_miss(name, table.recipients)
            raise NotFound(f"There is no recipient {name!r}; {hint or 'known are ' + ', '.join(table.recipients)}")
        if facts.confidential and name not in table.appointed:
            raise OperatorError(f"The letter is confidential, and no route for confidential post names {name!r}")
        return assign(table, facts, name)

    def _carry_out(self, letter: Decided, decision: Decision, applied: Applied, *, again: Iterable[str]) -> None:
        now, key = self.clock(), letter.message.id
        result = self.store.rerouting.decide(decision_values(key, decision, now), decision.destinations, now, again=set(again))
        applied.added[key], applied.withdrawn[key] = result.added, result.withdrawn
        _log.info("routed by an operator", message=str(key), route=decision.route, added=result.added, withdrawn=result.withdrawn)


def _differs(decision: Decision, stored: DecisionValues) -> bool:
    return set(decision.recipients) != set(stored.recipients) or set(decision.direct) != set(stored.direct)


def decision_values(message: UUID, decision: Decision, now: datetime) -> DecisionValues:
    """The decision as it is kept; its number is that of a first one."""
    return DecisionValues(
        message_id=message,
        number=1,
        decided_at=now,
        routing_version=decision.version,
        route=decision.route,
        chosen=list(decision.chosen),
        recipients=list(decision.recipients),
        direct=list(decision.direct),
        why=decision.why,
    )


def _goes_to(deliveries: Sequence[Delivery], wanted: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether what waits goes to the wanted destinations, on the right behalves, and none of them is left out."""
    waiting = (each for each in deliveries if each.state in WAITING)
    right = all(wanted.get(each.destination) == tuple(each.recipients) for each in waiting)
    return right and wanted.keys() <= {each.destination for each in deliveries}


def facts_of_stored(letter: Decided, at: datetime) -> Facts:
    """The facts about a stored letter, as if it were decided at `at`."""
    return facts_of(letter.message, letter.attachments, at)


def decide_in_thread(store: Store, table: Table, facts: Facts, but: UUID | None = None) -> Decision | None:
    """Where the letter goes, as `decide` says, with the earlier letter of its thread if the table follows threads."""
    return decide(table, facts, find_earlier(store, facts, but) if table.follows_threads else None)


def find_earlier(store: Store, facts: Facts, but: UUID | None = None) -> Earlier | None:
    """The newest letter of the same thread that was here when the facts were; never `but`."""
    found = store.letters.earlier(facts.threads, facts.at, but)
    if found is None:
        return None
    message, decision, thread = found
    return Earlier(
        message=str(message.id), thread=thread, route=decision.route, recipients=tuple(decision.chosen), deliver_to=tuple(decision.direct)
    )


def samples(store: Store, since: datetime) -> Iterator[Sample]:
    """Stored letters for a dry run, those that came at `since` or later, in that order, each with the thread as it then was."""
    for letter in store.rerouting.since(since):
        facts = facts_of_stored(letter, letter.message.fetched_at)
        earlier = find_earlier(store, facts, but=letter.message.id)
        yield Sample(message=str(letter.message.id), facts=facts, earlier=earlier)
