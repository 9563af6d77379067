"""What monitors ask: is it alive, is it ready, and numbers in Prometheus' text format.

Numbers cost as much as there is that waits, never as much as is stored. They hold no titles,
contents or names of persons. Source of the format: Prometheus, text-based exposition format 0.0.4.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from daemon.config.loader import Configuration
from daemon.core.bookkeeping import Bookmark
from daemon.core.errors import Fault, StoreError
from daemon.core.model import DeliveryState, Outcome, SightingState
from daemon.monitoring.expiry import certificates, keys
from daemon.monitoring.health import assess
from daemon.monitoring.problem import Problem
from daemon.monitoring.problems import free_space
from daemon.store import Store, wait_limit

_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_STATES = (DeliveryState.PENDING, DeliveryState.CLAIMED, DeliveryState.HELD, DeliveryState.DEAD)
_ANSWERS_WITHIN = (
    3.0  # seconds in which the database must answer, or the answer is that it does not
)
Labels = Mapping[str, str]
Sample = tuple[Labels, float]


@dataclass(frozen=True)
class Number:
    """One metric: its name without the prefix, what it says, and its values by labels."""

    name: str
    kind: Literal["gauge", "counter"]
    explanation: str
    samples: Sequence[Sample]


@dataclass(frozen=True, kw_only=True)
class Monitoring:
    """Answers monitors, from any thread. What is a function is called each time."""

    store: Store
    configuration: Callable[[], Configuration]
    attempts: Callable[[], Mapping[tuple[str, Outcome], int]]
    token_ends: Callable[[], Mapping[str, datetime]]
    faults: Callable[[], Sequence[Fault]]
    clock: Callable[[], datetime]
    wrong_tokens: Callable[[], int | None] = lambda: None
    """How many calls of the pull API had no right token; None without a pull API."""
    service_problems: Callable[[], Sequence[Problem] | None] = lambda: None
    """What only the running service knows; None for what it has stored of that."""

    def application(self) -> Starlette:
        """The endpoint."""
        return Starlette(
            routes=[
                Route("/livez", self._livez),
                Route("/readyz", self._readyz),
                Route("/metrics", self._metrics),
            ]
        )

    def _livez(self, _: Request) -> Response:
        return PlainTextResponse("ok\n")

    def _readyz(self, _: Request) -> Response:
        try:
            with wait_limit(_ANSWERS_WITHIN):
                self.store.queries.table_in_force()
        except StoreError:
            return PlainTextResponse("the database does not answer\n", status_code=503)
        return PlainTextResponse("ok\n")

    def _metrics(self, _: Request) -> Response:
        try:
            with wait_limit(_ANSWERS_WITHIN):
                return Response(self.text(), media_type=_TYPE)
        except StoreError:
            return PlainTextResponse("the database does not answer\n", status_code=503)

    def text(self) -> str:
        """Every number. Raises StoreError."""
        from daemon.web.exposition import exposition, family

        numbers = (*self._letters(), *self._surroundings())
        return exposition(
            family(f"postmottak_{each.name}", each.kind, each.explanation, each.samples)
            for each in numbers
        )

    def _letters(self) -> Iterator[Number]:
        names = [each.name for each in self.configuration().destinations]
        queues, oldest, now = (
            self.store.queries.queues(),
            self.store.queries.oldest_waiting(),
            self.clock(),
        )
        known = dict.fromkeys([*names, *(name for name, _ in queues)])
        depth = [
            ({"destination": name, "state": state.value}, float(queues.get((name, state), 0)))
            for name in known
            for state in _STATES
        ]
        ages = [
            ({"destination": name}, (now - oldest[name]).total_seconds() if name in oldest else 0.0)
            for name in known
        ]
        ended = [
            ({"destination": name, "outcome": outcome.value}, float(count))
            for (name, outcome), count in self.attempts().items()
        ]
        yield Number("deliveries", "gauge", "Deliveries that wait or are dead.", depth)
        yield Number(
            "oldest_undelivered_age_seconds",
            "gauge",
            "Age of the oldest delivery that is neither delivered nor dead.",
            ages,
        )
        yield Number(
            "delivery_attempts_total", "counter", "Attempts since the start, by outcome.", ended
        )
        yield Number(
            "mailbox_last_success_timestamp_seconds",
            "gauge",
            "When a mailbox was last read.",
            self._heard(),
        )
        yield from self._not_here()

    def _not_here(self) -> Iterator[Number]:
        configuration, bookmarks, now = (
            self.configuration(),
            self.store.queries.bookmarks(),
            self.clock(),
        )
        channels = Counter(each.mailbox for each in bookmarks if each.failing_since)
        letters = Counter(
            each.mailbox for each in self.store.queries.sightings(SightingState.FAILING)
        )
        refused = {mailbox: count for mailbox, (count, _) in self.store.marks.refused().items()}
        names = [each.name for each in configuration.mailboxes]
        silence = [({"mailbox": name}, _longest(name, bookmarks, now)) for name in names]
        yield Number(
            "channels_failing",
            "gauge",
            "Channels of a mailbox whose last listing failed.",
            _counts(names, channels),
        )
        yield Number(
            "channel_failing_longest_seconds",
            "gauge",
            "For how long the first of them has failed.",
            silence,
        )
        yield Number(
            "letters_unfetched",
            "gauge",
            "Letters that were listed and could not be fetched yet.",
            _counts(names, letters),
        )
        yield Number(
            "marks_refused",
            "gauge",
            "Senders who could not be told Read or Confirmed yet.",
            _counts(names, refused),
        )
        incomplete = float(len(self.store.queries.incomplete()))
        yield Number(
            "letters_incomplete",
            "gauge",
            "Letters here without some of their attachments as sent.",
            [({}, incomplete)],
        )

    def _heard(self) -> list[Sample]:
        latest: dict[str, datetime] = {}
        for each in self.store.queries.bookmarks():
            if each.succeeded_at:
                latest[each.mailbox] = max(
                    latest.get(each.mailbox, each.succeeded_at), each.succeeded_at
                )
        return _moments("mailbox", latest)

    def _surroundings(self) -> Iterator[Number]:
        configuration, table = self.configuration(), self.store.queries.table_in_force()
        since: list[Sample] = [({}, table.in_force_since.timestamp())] if table else []
        free = [
            ({"place": str(place)}, float(count))
            for place, count in free_space(configuration).items()
        ]
        yield Number(
            "edit_faults",
            "gauge",
            "Faults of an edit that is not in force.",
            [({}, float(len(self.faults())))],
        )
        yield Number(
            "routing_in_force_timestamp_seconds",
            "gauge",
            "Since when the routing table is in force.",
            since,
        )
        yield Number(
            "certificate_expiry_timestamp_seconds",
            "gauge",
            "When a client certificate ends.",
            _moments("destination", certificates(configuration)),
        )
        yield Number(
            "key_expiry_timestamp_seconds",
            "gauge",
            "When a key ends, as far as the configuration says.",
            _moments("mailbox", keys(configuration)),
        )
        yield Number(
            "token_expiry_timestamp_seconds",
            "gauge",
            "When the first of a mailbox's tokens ends.",
            _moments("mailbox", self.token_ends()),
        )
        yield Number("free_bytes", "gauge", "Free space where letters are kept.", free)
        yield from self._health(configuration)
        wrong = self.wrong_tokens()
        samples: list[Sample] = [] if wrong is None else [({}, float(wrong))]
        yield Number(
            "api_wrong_tokens_total",
            "counter",
            "Calls of the pull API without the right token since the start.",
            samples,
        )
        yield Number(
            "build_info", "gauge", "The version that runs.", [({"version": _version()}, 1.0)]
        )

    def _health(self, configuration: Configuration) -> Iterator[Number]:
        health = assess(
            configuration, self.store, self.clock(), self.faults(), self.service_problems()
        )
        yield Number(
            "alerts",
            "gauge",
            "What is wrong now, by kind.",
            [({"kind": kind}, float(count)) for kind, count in health.kinds.items()],
        )
        yield Number(
            "health",
            "gauge",
            "Whether all is well: 0 it is, 1 warning, 2 critical.",
            [({}, float(health.verdict))],
        )


def _counts(names: Sequence[str], counts: Mapping[str, int]) -> list[Sample]:
    return [({"mailbox": name}, float(counts.get(name, 0))) for name in names]


def _longest(mailbox: str, bookmarks: Sequence[Bookmark], now: datetime) -> float:
    since = [
        each.failing_since for each in bookmarks if each.mailbox == mailbox and each.failing_since
    ]
    return (now - min(since)).total_seconds() if since else 0.0


def _moments(label: str, moments: Mapping[str, datetime]) -> list[Sample]:
    return [({label: name}, moment.timestamp()) for name, moment in moments.items()]


def _version() -> str:
    try:
        return version("postmottak")
    except PackageNotFoundError:
        return "unknown"
