"""What `status` collects from the configuration and the database together.

This covers the state of the routing table, problems, letters that no receiver picked up, and expiry
dates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import typer

from daemon.cli.output import printable
from daemon.config.loader import Configuration
from daemon.core.errors import ConfigurationError, Fault, PostmottakError
from daemon.core.model import DeliveryState
from daemon.monitoring import expiry, late
from daemon.monitoring.health import Severity, assess
from daemon.monitoring.notified import is_due
from daemon.monitoring.problems import free_space
from daemon.service.stack import load_configuration, open_store, read_routing, utc_now
from daemon.store import Store


@dataclass(frozen=True, kw_only=True)
class Standing:
    """The state of the routing table."""

    file: Path
    version: str | None
    """The active one; None before the first start."""
    in_force_since: datetime | None
    state: str
    """in force: the file is active; edited: it differs from the active table; faulty: it has
    errors, and the previous table stays active."""
    faults: tuple[Fault, ...] = ()
    warnings: tuple[Fault, ...] = ()


def routing_standing(configuration: Configuration, store: Store) -> Standing:
    """Return the state of the routing table.

    Reads the file, and never fails because of it.
    """
    current = store.queries.table_in_force()
    version, since = (current.version, current.in_force_since) if current else (None, None)
    file = configuration.routing.file
    try:
        table = read_routing(configuration)
    except ConfigurationError as error:
        return Standing(
            file=file, version=version, in_force_since=since, state="faulty", faults=error.faults
        )
    state = "in force" if table.version == version else "edited"
    return Standing(
        file=file, version=version, in_force_since=since, state=state, warnings=table.warnings
    )


def not_taken(configuration: Configuration, store: Store, now: datetime) -> list[dict[str, Any]]:
    """Return deliveries that were neither picked up nor rejected in time, oldest first.

    Each destination sets its own time.
    """
    return [
        {
            "delivery": each.id,
            "destination": each.destination,
            "reference": (each.evidence or {}).get("reference"),
            "delivered_at": each.delivered_at,
        }
        for each in late.not_taken(configuration, store, now)
    ]


def expiries(configuration: Configuration) -> list[dict[str, Any]]:
    """Return when client certificates and keys expire, earliest first."""
    found = [
        *(
            {"what": "certificate", "of": name, "ends_at": ends}
            for name, ends in expiry.certificates(configuration).items()
        ),
        *(
            {"what": "key", "of": name, "ends_at": ends}
            for name, ends in expiry.keys(configuration).items()
        ),
    ]
    return sorted(found, key=lambda each: each["ends_at"])


def alerts(store: Store, to: Sequence[str]) -> list[dict[str, Any]]:
    """Return the alerts of the service, and which destinations have not received each yet."""
    return [
        {
            "kind": each.kind,
            "text": each.text,
            "began_at": each.began_at,
            "ended_at": each.ended_at,
            "not_told": [name for name in to if is_due(each, name, utc_now())],
        }
        for each in store.alerts.all()
    ]


def report(configuration_file: Path) -> int:
    """Print the line for a monitor, and return its exit code.

    An error that prevents the answer is 3 (unknown), and never a traceback.
    """
    try:
        verdict, text, data = _judge(configuration_file)
    except PostmottakError as error:
        code, name, text, data = 3, "UNKNOWN", str(error).partition("\n")[0], ""
    else:
        code, name = verdict.value, verdict.name
    typer.echo(f"POSTMOTTAK {name} - {printable(text).replace('|', '/')}{data and f' | {data}'}")
    return code


def _judge(configuration_file: Path) -> tuple[Severity, str, str]:
    configuration = load_configuration(configuration_file)
    store = open_store(configuration)
    try:
        faults = routing_standing(configuration, store).faults
        health = assess(configuration, store, utc_now(), faults)
        data = _performance(configuration, store, len(health.problems))
    finally:
        store.close()
    text = "; ".join(each.text for each in health.problems) or health.sentence
    return health.verdict, text, data


def _performance(configuration: Configuration, store: Store, problems: int) -> str:
    queues, oldest = store.queries.queues(), store.queries.oldest_waiting()
    waits = sum(count for (_, state), count in queues.items() if state is not DeliveryState.DEAD)
    dead = sum(queues.values()) - waits
    age = (utc_now() - min(oldest.values())).total_seconds() if oldest else 0
    free = min(free_space(configuration).values(), default=0)
    numbers = f"waiting={waits};;;0 dead={dead};;;0 oldest={age:.0f}s;;;0 free={free}B;;;0"
    return f"{numbers} problems={problems};;;0"
