"""What `status` collects from the configuration and the database together.

This covers letters that no receiver picked up, alerts, and the line for a monitor.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import typer

from daemon.cli.output import printable
from daemon.config.loader import Configuration
from daemon.core.errors import PostmottakError
from daemon.core.model import DeliveryState
from daemon.monitoring import late
from daemon.monitoring.health import Severity, assess
from daemon.monitoring.notified import is_due
from daemon.monitoring.problems import free_space
from daemon.service.stack import load_configuration, open_store, utc_now
from daemon.service.standing import routing_standing
from daemon.store import Store


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
