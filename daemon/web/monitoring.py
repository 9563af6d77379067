"""What monitors ask: is it alive, is it ready, and numbers in Prometheus' text format.

Numbers cost as much as there is that waits, never as much as is stored. They hold no titles, contents or names of persons.
Source of the format: Prometheus, text-based exposition format 0.0.4.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from daemon.config import Configuration
from daemon.errors import Fault, StoreError
from daemon.model import DeliveryState, Outcome
from daemon.store import Store, waiting_at_most
from daemon.troubles import certificates, free_space, keys

_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_STATES = (DeliveryState.PENDING, DeliveryState.CLAIMED, DeliveryState.HELD, DeliveryState.DEAD)
_ANSWERS_WITHIN = 3.0  # seconds in which the database must answer, or the answer is that it does not
Labels = Mapping[str, str]
Sample = tuple[Labels, float]


@dataclass(frozen=True, kw_only=True)
class Monitoring:
    """Answers monitors, from any thread. What is a function is asked anew each time."""

    store: Store
    configuration: Callable[[], Configuration]
    attempts: Callable[[], Mapping[tuple[str, Outcome], int]]
    token_ends: Callable[[], Mapping[str, datetime]]
    faults: Callable[[], Sequence[Fault]]
    clock: Callable[[], datetime]

    def application(self) -> Starlette:
        """The door."""
        return Starlette(routes=[Route("/livez", self._livez), Route("/readyz", self._readyz), Route("/metrics", self._metrics)])

    def _livez(self, _: Request) -> Response:
        return PlainTextResponse("ok\n")

    def _readyz(self, _: Request) -> Response:
        try:
            with waiting_at_most(_ANSWERS_WITHIN):
                self.store.views.table_in_force()
        except StoreError:
            return PlainTextResponse("the database does not answer\n", status_code=503)
        return PlainTextResponse("ok\n")

    def _metrics(self, _: Request) -> Response:
        try:
            with waiting_at_most(_ANSWERS_WITHIN):
                return Response(self.text(), media_type=_TYPE)
        except StoreError:
            return PlainTextResponse("the database does not answer\n", status_code=503)

    def text(self) -> str:
        """Every number. Raises StoreError."""
        return "".join((*self._letters(), *self._surroundings()))

    def _letters(self) -> Iterable[str]:
        names = [each.name for each in self.configuration().destinations]
        queues, oldest, now = self.store.views.queues(), self.store.views.oldest_waiting(), self.clock()
        known = dict.fromkeys([*names, *(name for name, _ in queues)])
        depth = [({"destination": name, "state": state.value}, float(queues.get((name, state), 0))) for name in known for state in _STATES]
        ages = [({"destination": name}, (now - oldest[name]).total_seconds() if name in oldest else 0.0) for name in known]
        ended = [({"destination": name, "outcome": outcome.value}, float(count)) for (name, outcome), count in self.attempts().items()]
        yield _metric("deliveries", "gauge", "Deliveries that wait or are dead.", depth)
        yield _metric("oldest_undelivered_age_seconds", "gauge", "Age of the oldest delivery that is neither delivered nor dead.", ages)
        yield _metric("delivery_attempts_total", "counter", "Attempts since the start, by outcome.", ended)
        yield _metric("mailbox_last_success_timestamp_seconds", "gauge", "When a mailbox was last read.", self._heard())

    def _heard(self) -> list[Sample]:
        latest: dict[str, datetime] = {}
        for each in self.store.views.bookmarks():
            if each.succeeded_at:
                latest[each.mailbox] = max(latest.get(each.mailbox, each.succeeded_at), each.succeeded_at)
        return _moments("mailbox", latest)

    def _surroundings(self) -> Iterable[str]:
        configuration, table = self.configuration(), self.store.views.table_in_force()
        active = Counter(each.kind for each in self.store.alerts.all() if not each.ended_at)
        since: list[Sample] = [({}, table.in_force_since.timestamp())] if table else []
        free = [({"place": str(place)}, float(count)) for place, count in free_space(configuration).items()]
        yield _metric("edit_faults", "gauge", "Faults of an edit that is not in force.", [({}, float(len(self.faults())))])
        yield _metric("routing_in_force_timestamp_seconds", "gauge", "Since when the routing table is in force.", since)
        yield _metric(
            "certificate_expiry_timestamp_seconds",
            "gauge",
            "When a client certificate ends.",
            _moments("destination", certificates(configuration)),
        )
        yield _metric(
            "key_expiry_timestamp_seconds",
            "gauge",
            "When a key ends, as far as the configuration says.",
            _moments("mailbox", keys(configuration)),
        )
        yield _metric(
            "token_expiry_timestamp_seconds", "gauge", "When the first of a mailbox's tokens ends.", _moments("mailbox", self.token_ends())
        )
        yield _metric("free_bytes", "gauge", "Free space where letters are kept.", free)
        yield _metric("alerts", "gauge", "What is wrong now, by kind.", [({"kind": kind}, float(count)) for kind, count in active.items()])
        yield _metric("build_info", "gauge", "The version that runs.", [({"version": _version()}, 1.0)])


def _moments(label: str, moments: Mapping[str, datetime]) -> list[Sample]:
    return [({label: name}, moment.timestamp()) for name, moment in moments.items()]


def _metric(name: str, kind: str, explanation: str, samples: Iterable[Sample]) -> str:
    name = f"postmottak_{name}"
    lines = [f"# HELP {name} {explanation}", f"# TYPE {name} {kind}"]
    return "\n".join([*lines, *(f"{name}{_labels(labels)} {value!r}" for labels, value in samples)]) + "\n"


def _labels(labels: Labels) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}" if labels else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _version() -> str:
    try:
        return version("postmottak")
    except PackageNotFoundError:
        return "unknown"
