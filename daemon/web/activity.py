"""Numbers of what the service does: how long deliveries take, and what its processes use.

Imported only when needed, like `exposition`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter

from prometheus_client import Metric

from daemon.delivery.timings import DeliveryTimings
from daemon.runtime.process_usage import ProcessUsage, usage_of_this_process
from daemon.web.exposition import Sample, family, histogram_family

_PROCESS: Sequence[tuple[str, str, str, Callable[[ProcessUsage], float]]] = (
    (
        "cpu_seconds_total",
        "counter",
        "Total user and system CPU time spent in seconds.",
        attrgetter("cpu_seconds"),
    ),
    (
        "resident_memory_bytes",
        "gauge",
        "Resident memory size in bytes.",
        attrgetter("resident_bytes"),
    ),
    (
        "virtual_memory_bytes",
        "gauge",
        "Virtual memory size in bytes.",
        attrgetter("virtual_bytes"),
    ),
    ("open_fds", "gauge", "Number of open file descriptors.", attrgetter("open_files")),
    ("max_fds", "gauge", "Maximum number of open file descriptors.", attrgetter("files_limit")),
    (
        "start_time_seconds",
        "gauge",
        "Start time of the process since unix epoch in seconds.",
        attrgetter("started_at"),
    ),
)


def deliveries_made(timings: DeliveryTimings, destinations: Sequence[str]) -> Iterator[Metric]:
    """Yield the histograms, for each of `destinations` from the start."""
    for name, explanation, histogram in (
        (
            "delivery_attempt_duration_seconds",
            "How long attempts took, however they ended.",
            timings.attempts,
        ),
        (
            "fetched_to_delivered_seconds",
            "From the fetching of a letter to its first delivery.",
            timings.since_fetched,
        ),
        (
            "published_to_delivered_seconds",
            "From the publish time of a letter to its first delivery.",
            timings.since_published,
        ),
    ):
        yield histogram_family(
            f"postmottak_{name}",
            explanation,
            histogram.bounds,
            ["destination"],
            {(name,): each for name, each in histogram.values(destinations).items()},
        )


def processes(worker: ProcessUsage | None) -> Iterator[Metric]:
    """Yield what the service uses, under the names that Prometheus' clients share, and its worker.

    Source: Prometheus, Writing client libraries, Process metrics.
    """
    yield from _usage("process", usage_of_this_process())
    yield from _usage("postmottak_worker_process", worker)


def _usage(prefix: str, usage: ProcessUsage | None) -> Iterator[Metric]:
    """Yield one process's numbers; without samples if nothing is known."""
    for name, kind, explanation, value in _PROCESS:
        samples: list[Sample] = [({}, float(value(usage)))] if usage else []
        yield family(f"{prefix}_{name}", kind, explanation, samples)
