"""The monitoring endpoint: liveness, readiness, and numbers in Prometheus' text format.

The cost of the numbers grows with what is waiting and with the channels, never with what is stored,
and there are as many for one organisation as for thousands. They hold no titles, contents or names
of persons. Source of the format: Prometheus, text-based exposition format 0.0.4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import Literal

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from daemon.config.loader import Configuration
from daemon.core.bookkeeping import BellRecord
from daemon.core.errors import Fault, StoreError
from daemon.core.model import DeliveryState, Outcome, SightingState
from daemon.core.nodes import KnowsNodes
from daemon.core.pacing import PaceNumbers
from daemon.delivery.timings import DeliveryTimings
from daemon.intake.counters import IntakeCounters
from daemon.monitoring.expiry import certificates, keys
from daemon.monitoring.health import assess
from daemon.monitoring.passages import SharedPassageTimes
from daemon.monitoring.problem import Problem
from daemon.monitoring.problems import free_space
from daemon.monitoring.shared_health import SharedHealth
from daemon.runtime.process import own_version
from daemon.runtime.process_usage import ProcessUsage
from daemon.store import ChannelTotals, Store, wait_limit

_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_STATES = (DeliveryState.PENDING, DeliveryState.CLAIMED, DeliveryState.HELD, DeliveryState.DEAD)
_ENDS = (Outcome.DELIVERED, Outcome.DEFERRED, Outcome.DEAD)  # of attempts that this process made
_ANSWERS_WITHIN = 3.0  # seconds in which the database must answer
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
    """Answers monitors, from any thread. The functions are called for each answer."""

    store: Store
    configuration: Callable[[], Configuration]
    attempts: Callable[[], Mapping[tuple[str, Outcome], int]]
    token_ends: Callable[[], Mapping[str, datetime]]
    faults: Callable[[], Sequence[Fault]]
    clock: Callable[[], datetime]
    wrong_tokens: Callable[[], int | None] = lambda: None
    """Returns how many calls of the pull API lacked the right token; None without a pull API."""
    intake: IntakeCounters = field(default_factory=IntakeCounters)
    timings: DeliveryTimings = field(default_factory=DeliveryTimings)
    worker_usage: Callable[[], ProcessUsage | None] = lambda: None
    """Returns what the worker process uses; None if there is none, or if it is not known."""
    paces: Callable[[], Sequence[PaceNumbers]] = lambda: ()
    """Returns the pace of each client that calls Altinn."""
    service_problems: Callable[[], Sequence[Problem] | None] = lambda: None
    """Returns what only the running service knows; None for what it has stored of that."""

    node: KnowsNodes | None = None
    """What this node knows of the others; None without nodes."""
    shared: SharedHealth = field(default_factory=SharedHealth)
    """Has what alerts found a few seconds ago, which is reported here too."""
    passages: SharedPassageTimes = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "passages", SharedPassageTimes(self.store, self.clock))  # frozen

    def application(self) -> Starlette:
        """Return the endpoint as an ASGI application."""
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
        if self.node and not self.node.runs():
            return PlainTextResponse("this node has lost its lease\n", status_code=503)
        return PlainTextResponse("ok\n")

    def _metrics(self, _: Request) -> Response:
        try:
            with wait_limit(_ANSWERS_WITHIN):
                return Response(self.text(), media_type=_TYPE)
        except StoreError:
            return PlainTextResponse("the database does not answer\n", status_code=503)

    def text(self) -> str:
        """Return all numbers as text. Raises StoreError."""
        from daemon.web.activity import deliveries_made, processes
        from daemon.web.exposition import exposition, family
        from daemon.web.letter_numbers import of_all_letters
        from daemon.web.node_numbers import of_nodes

        numbers = (*self._letters(), *self._surroundings(), *self._intake())
        configuration = self.configuration()
        configured = [each.name for each in configuration.destinations]
        return exposition(
            [
                *(
                    family(f"postmottak_{each.name}", each.kind, each.explanation, each.samples)
                    for each in numbers
                ),
                *of_all_letters(configuration, self.store, self.clock(), self.passages.recent()),
                *deliveries_made(self.timings, configured),
                *processes(self.worker_usage()),
                *(of_nodes(self.node, own_version()) if self.node else ()),
            ]
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
        yield Number("deliveries", "gauge", "Deliveries that wait or are dead.", depth)
        yield Number(
            "oldest_undelivered_age_seconds",
            "gauge",
            "Age of the oldest delivery that is neither delivered nor dead.",
            ages,
        )
        yield Number(
            "delivery_attempts_total",
            "counter",
            "Attempts since the start, by outcome.",
            self._attempts(names),
        )
        totals = self.store.totals.channels()
        # what the configuration no longer names is not expected to be read
        heard = {
            name: at for name in self._mailbox_names() if (at := _last_success(totals.get(name)))
        }
        yield Number(
            "mailbox_last_success_timestamp_seconds",
            "gauge",
            "When a mailbox was last read.",
            _moments("mailbox", heard),
        )
        yield from self._not_here(totals)
        yield from self._awaited(now)

    def _awaited(self, now: datetime) -> Iterator[Number]:
        counts = self.store.awaited.counts(now)
        yield Number(
            "letters_unacknowledged",
            "gauge",
            "Letters that wait for a person to acknowledge them.",
            [({"recipient": name}, float(each)) for name, (each, _) in counts.items()],
        )
        yield Number(
            "letters_overdue",
            "gauge",
            "Those of them that have waited longer than they may.",
            [({"recipient": name}, float(each)) for name, (_, each) in counts.items()],
        )

    def _attempts(self, configured: Sequence[str]) -> list[Sample]:
        counted = dict.fromkeys(((name, end) for name in configured for end in _ENDS), 0)
        return [
            ({"destination": name, "outcome": outcome.value}, float(count))
            for (name, outcome), count in (counted | dict(self.attempts())).items()
        ]

    def _not_here(self, totals: Mapping[str, ChannelTotals]) -> Iterator[Number]:
        now, names = self.clock(), self._mailbox_names()
        channels = {name: each.failing for name, each in totals.items()}
        letters = self.store.totals.skipped(SightingState.FAILING)
        refused = {mailbox: count for mailbox, (count, _) in self.store.marks.refused().items()}
        silence = [({"mailbox": name}, _longest(totals.get(name), now)) for name in names]
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
            "Marks, Read or Confirmed, that could not be set yet.",
            _counts(names, refused),
        )
        incomplete = float(len(self.store.queries.incomplete()))
        yield Number(
            "letters_incomplete",
            "gauge",
            "Letters here without some of their attachments as sent.",
            [({}, incomplete)],
        )

    def _mailbox_names(self) -> list[str]:
        return [each.name for each in self.configuration().mailboxes]

    def _intake(self) -> Iterator[Number]:
        names = self._mailbox_names()
        yield Number(
            "letters_stored_total",
            "counter",
            "Letters stored since the start.",
            _counts(names, self.intake.letters_stored.values()),
        )
        yield Number(
            "listing_failures_total",
            "counter",
            "Channels that a poll could not list completely, since the start.",
            _counts(names, self.intake.listing_failures.values()),
        )
        yield Number(
            "confidential_letters_waiting",
            "gauge",
            "Confidential letters that were listed and are left in the mailbox.",
            _counts(names, self.store.totals.skipped(SightingState.WAITING)),
        )
        yield from _paces(self.paces())
        yield from _bells([each for each in self.store.bells.all() if each.mailbox in names])

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
            "Faults of an edit that was ignored.",
            [({}, float(len(self.faults())))],
        )
        yield Number(
            "routing_in_force_timestamp_seconds",
            "gauge",
            "When the active routing table was activated.",
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
            "build_info", "gauge", "The version that runs.", [({"version": own_version()}, 1.0)]
        )

    def _health(self, configuration: Configuration) -> Iterator[Number]:
        health = self.shared.recent(
            lambda: assess(
                configuration, self.store, self.clock(), self.faults(), self.service_problems()
            )
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


def _paces(paces: Sequence[PaceNumbers]) -> Iterator[Number]:
    for name, kind, explanation, value in (
        ("altinn_calls_total", "counter", "Calls to Altinn, by client.", attrgetter("calls")),
        (
            "altinn_call_waits_seconds_total",
            "counter",
            "How long calls waited for their turn.",
            attrgetter("waited"),
        ),
        (
            "altinn_calls_refused_total",
            "counter",
            "How often Altinn said that there were too many.",
            attrgetter("refused"),
        ),
        ("altinn_calls_per_second", "gauge", "The pace now, at most.", attrgetter("rate")),
    ):
        samples = [({"client": each.client}, float(value(each))) for each in paces]
        yield Number(name, "gauge" if kind == "gauge" else "counter", explanation, samples)


def _bells(bells: Sequence[BellRecord]) -> Iterator[Number]:
    found = [
        ({"mailbox": each.mailbox, "by": by}, float(count))
        for each in bells
        for by, count in each.found.items()
    ]
    yield Number("bell_letters_found_total", "counter", "Letters found, by what found them.", found)
    parties = [
        ({"mailbox": each.mailbox, "read_by": by}, float(count))
        for each in bells
        for by, count in (("bell", each.parties_heard), ("list", each.parties_listed))
    ]
    yield Number("bell_parties", "gauge", "Organisations, by how they are read.", parties)
    heard = {each.mailbox: each.rang_at for each in bells if each.rang_at}
    yield Number(
        "bell_last_answer_timestamp_seconds",
        "gauge",
        "When a mailbox's bell last answered.",
        _moments("mailbox", heard),
    )


def _counts(names: Sequence[str], counts: Mapping[str, int]) -> list[Sample]:
    return [({"mailbox": name}, float(counts.get(name, 0))) for name in names]


def _last_success(totals: ChannelTotals | None) -> datetime | None:
    return totals.succeeded_at if totals else None


def _longest(totals: ChannelTotals | None, now: datetime) -> float:
    since = totals and totals.failing_since
    return (now - since).total_seconds() if since else 0.0


def _moments(label: str, moments: Mapping[str, datetime]) -> list[Sample]:
    return [({label: name}, moment.timestamp()) for name, moment in moments.items()]
