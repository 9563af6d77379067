"""What `status` collects from the configuration and the database together.

This covers the state of the routing table, problems, letters that no receiver picked up, and expiry
dates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from daemon.monitoring.problems import Problem, find_problems, free_space
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


def print_standing(standing: Standing) -> None:
    """Print the state of the routing table for people."""
    if standing.version and standing.in_force_since:
        typer.echo(
            f"routing table {standing.version[:12]} active since "
            f"{standing.in_force_since:%Y-%m-%d %H:%M:%S}"
        )
    if standing.state == "edited":
        typer.echo(f"{standing.file} has changes; the running service activates them")
    if standing.state == "faulty":
        typer.echo(f"{standing.file} has errors; the previous table stays active:")
    for fault in standing.faults:
        typer.echo(f"  {fault}")
    for warning in standing.warnings:
        typer.echo(f"  warning: {warning}")


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


def print_expiries(found: Sequence[Mapping[str, Any]]) -> None:
    """Print expiry dates for people."""
    for each in found:
        typer.echo(f"the {each['what']} of {each['of']} expires on {each['ends_at']:%Y-%m-%d}")


_WORDS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")


def current_problems(
    configuration: Configuration, store: Store, faults: Sequence[Fault]
) -> list[Problem]:
    """Return what is wrong now, the worst first."""
    return sorted(
        find_problems(configuration, store, utc_now(), faults), key=lambda each: not each.critical
    )


def alerts(store: Store, to: Sequence[str]) -> list[dict[str, Any]]:
    """Return the alerts of the service, and which destinations have not received each yet."""
    return [
        {
            "kind": each.kind,
            "text": each.text,
            "began_at": each.began_at,
            "ended_at": each.ended_at,
            "not_told": [
                name
                for name in to
                if each.told.get(name) is None or (each.ended_at and each.told[name] == "begun")
            ],
        }
        for each in store.alerts.all()
    ]


def print_troubles(facts: Mapping[str, Any]) -> None:
    """Print problems and unsent alerts for people."""
    for trouble in facts["troubles"]:
        typer.echo(f"{'CRITICAL' if trouble.critical else 'warning'}: {printable(trouble.text)}")
    for alert in facts["alerts"]:
        if alert["not_told"]:
            typer.echo(
                f"alert not yet sent to {', '.join(alert['not_told'])}: {printable(alert['text'])}"
            )


def report(configuration_file: Path) -> int:
    """Print the line for a monitor, and return its exit code.

    An error that prevents the answer is 3 (unknown), and never a traceback.
    """
    try:
        code, text, data = _judge(configuration_file)
    except PostmottakError as error:
        code, text, data = 3, str(error).partition("\n")[0], ""
    typer.echo(
        f"POSTMOTTAK {_WORDS[code]} - {printable(text).replace('|', '/')}{data and f' | {data}'}"
    )
    return code


def _judge(configuration_file: Path) -> tuple[int, str, str]:
    configuration = load_configuration(configuration_file)
    store = open_store(configuration)
    try:
        found = current_problems(
            configuration, store, routing_standing(configuration, store).faults
        )
        data = _performance(configuration, store)
    finally:
        store.close()
    code = 0 if not found else 2 if found[0].critical else 1
    return (
        code,
        "; ".join(each.text for each in found) or "all letters are delivered or on their way",
        data,
    )


def _performance(configuration: Configuration, store: Store) -> str:
    queues, oldest = store.queries.queues(), store.queries.oldest_waiting()
    waits = sum(count for (_, state), count in queues.items() if state is not DeliveryState.DEAD)
    dead = sum(queues.values()) - waits
    age = (utc_now() - min(oldest.values())).total_seconds() if oldest else 0
    free = min(free_space(configuration).values(), default=0)
    return f"waiting={waits};;;0 dead={dead};;;0 oldest={age:.0f}s;;;0 free={free}B;;;0"
