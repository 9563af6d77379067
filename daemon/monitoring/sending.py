"""What is wrong with deliveries: what fails, waits too long, is dead, or was not picked up."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from daemon.config.loader import Configuration
from daemon.core.bookkeeping import COLLISION, FULL
from daemon.core.causes import cause_of, incident_of, is_full, needs_set_up, split_reason
from daemon.core.durations import duration_text
from daemon.core.model import DeliveryState
from daemon.monitoring.late import not_taken
from daemon.monitoring.problem import Problem, moment, split_key
from daemon.store import Store, Waiting

SEVERAL = 3
"""So many failures at a time are not chance."""
SHORT_WHILE = timedelta(minutes=5)
"""For so long a single failure may pass by itself."""
NOTIFY_AFTER = timedelta(minutes=15)
"""For so long nobody is notified of failures that may pass by themselves."""
_ASKED = 20  # dead deliveries to a destination whose causes are looked at
_DATED = 50
"""For so many causes the store is asked since when they fail, so that a look costs little."""
_COMPARED = 1000
"""So many reasons are compared to find out whether there are others, the most frequent first."""
HAPPENED_WITHIN = timedelta(days=7)
"""How long to show what happened once and cannot end."""
HAPPENED_AT_MOST = 50


def of_deliveries(configuration: Configuration, store: Store, now: datetime) -> Iterator[Problem]:
    """Yield what is wrong with deliveries. Raises StoreError."""
    waiting = store.waiting.groups()
    failing = list(_failing(store, waiting, now))
    yield from failing
    yield from _held(waiting)
    yield from _undelivered(configuration, waiting, failing, now)
    yield from _dead(store)
    yield from _not_taken(configuration, store, now)
    yield from _rejected(store, now)
    yield from _collided(store, now)


def _failing(store: Store, waiting: Sequence[Waiting], now: datetime) -> Iterator[Problem]:
    """By destination and cause; what may pass by itself is one cause.

    A letter may have waited for long before its first attempt: what counts is since when it fails.
    """
    groups: defaultdict[tuple[str, str], list[Waiting]] = defaultdict(list)
    for each in waiting:
        if each.reason is not None and each.state is DeliveryState.PENDING:
            incident = incident_of(f"destination {each.destination}", each.reason)
            groups[each.destination, incident].append(each)
    untried = Counter[str]()
    for each in waiting:
        if each.reason is None and each.state is DeliveryState.PENDING:
            untried[each.destination] += each.count
    for place, ((destination, incident), some) in enumerate(groups.items()):
        reason = some[0].reason or ""
        count, full = sum(each.count for each in some), is_full(reason)
        at_once = full or needs_set_up(reason)
        is_asked = not at_once or place < _DATED  # there is one cause that passes at a destination
        began = store.waiting.failing_since(some) if is_asked else None
        since = began or min(each.oldest for each in some)
        age = now - since
        yield Problem(
            kind=FULL if full else "failing",
            about=destination,
            incident=incident,
            where=destination,
            count=count,
            since=since,
            text=f"{destination}: {_fails(count, untried[destination], since)}: {_why(some)}",
            critical=at_once,
            passing=not at_once and count < SEVERAL and age < SHORT_WHILE,
            notify=at_once or age >= NOTIFY_AFTER,
            patience=timedelta() if at_once else NOTIFY_AFTER,
        )


def _fails(count: int, untried: int, since: datetime) -> str:
    behind = f" and {untried} {'waits' if untried == 1 else 'wait'} behind" * bool(untried)
    if count == 1:
        return f"1 delivery fails{behind}, since {moment(since)}"
    return f"{count} deliveries fail{behind}, the oldest since {moment(since)}"


def _why(some: Sequence[Waiting]) -> str:
    """The most frequent reason, and whether there are others; the log has each."""
    first = cause_of(some[0].reason or "")
    if all(cause_of(each.reason or "") == first for each in some[1:_COMPARED]):
        return first
    return f"{first} (and other reasons; see `postmottak deliveries list --state pending`)"


def _held(waiting: Sequence[Waiting]) -> Iterator[Problem]:
    """What an operator has put aside is not wrong, and is not forgotten."""
    held = Counter[str]()
    for each in waiting:
        held[each.destination] += each.count if each.state is DeliveryState.HELD else 0
    for destination, count in (+held).items():
        text = f"{destination}: held by an operator: {count}"
        yield Problem(
            kind="held",
            about=destination,
            where=destination,
            count=count,
            text=f"{text}; `postmottak deliveries release` sends them",
            critical=False,
            passing=True,
        )


def _undelivered(
    configuration: Configuration,
    waiting: Sequence[Waiting],
    failing: Sequence[Problem],
    now: datetime,
) -> Iterator[Problem]:
    limit = configuration.alerts.undelivered_after
    cause = {each.where: each.incident for each in reversed(failing)}
    oldest: dict[str, datetime] = {}
    for each in waiting:
        oldest[each.destination] = min(each.oldest, oldest.get(each.destination, each.oldest))
    for destination, since in oldest.items():
        if now - since > limit:
            text = (
                f"A letter has waited for {destination} since {moment(since)}, longer than "
                f"{duration_text(limit)}"
            )
            yield Problem(
                kind="undelivered",
                about=destination,
                where=destination,
                since=since,
                incident=cause.get(destination, ""),
                patience=NOTIFY_AFTER,
                text=f"{text}; see `postmottak deliveries list`",
            )


def _dead(store: Store) -> Iterator[Problem]:
    """By destination, with the most frequent cause of the first of them.

    Only one that has to be set right is named: a receiver's own words may repeat the letter's.
    """
    for (destination, state), count in store.queries.queues().items():
        if state is DeliveryState.DEAD:
            some = store.queries.last_errors(state, destination, _ASKED)
            what, remedy, others = _cause_to_set_up(some)
            why = f": {what}{' (and other reasons)' * others}" * bool(what)
            see = f"{remedy}, and see" if remedy else "see"
            text = (
                f"Not delivered to {destination} and not tried again: {count}{why}; {see} "
                "`postmottak deliveries list --state dead`"
            )
            yield Problem(kind="dead", about=destination, where=destination, count=count, text=text)


def _cause_to_set_up(reasons: Sequence[str]) -> tuple[str, str, bool]:
    """Return the most frequent cause that has to be set right, its remedy, and if there are others.

    The cause is empty where there is none.
    """
    causes = Counter(cause_of(each) for each in reasons)
    known = [each for each, _ in causes.most_common() if needs_set_up(each) or is_full(each)]
    what, remedy = split_reason(known[0]) if known else ("", "")
    return what, remedy, len(causes) > 1


def _not_taken(configuration: Configuration, store: Store, now: datetime) -> Iterator[Problem]:
    late = Counter(each.destination for each in not_taken(configuration, store, now))
    for destination, count in late.items():
        text = (
            f"Delivered to {destination} and not picked up in time: {count}; see "
            "`postmottak status --all`"
        )
        yield Problem(
            kind="not-taken",
            about=destination,
            where=destination,
            count=count,
            text=text,
            critical=False,
        )


def _rejected(store: Store, now: datetime) -> Iterator[Problem]:
    for each in store.queries.rejected(now - HAPPENED_WITHIN, HAPPENED_AT_MOST):
        text = (
            f"The receiver at {each.destination} rejected a letter; see `postmottak deliveries "
            f"show {each.id}`"
        )
        yield Problem(
            kind="rejected", about=str(each.id), where=each.destination, text=text, critical=False
        )


def _collided(store: Store, now: datetime) -> Iterator[Problem]:
    for each in store.alerts.happened(COLLISION, now - HAPPENED_WITHIN, HAPPENED_AT_MOST):
        about, _ = split_key(COLLISION, each.key)
        yield Problem(kind=COLLISION, about=about, text=each.text, critical=each.critical)
