"""How things stand that configuration and database tell only together: the routing table in force, drops that nobody took, what ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import typer

from daemon import troubles
from daemon.config import Configuration
from daemon.errors import ConfigurationError, Fault
from daemon.opening import read_routing
from daemon.store import Store


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How the routing table stands."""

    file: Path
    version: str | None
    """The one in force; none before the first start."""
    in_force_since: datetime | None
    state: str
    """in force: the file says what is in force; edited: it says something else; faulty: it cannot be used, and the old one stays."""
    faults: tuple[Fault, ...] = ()
    warnings: tuple[Fault, ...] = ()


def routing_standing(configuration: Configuration, store: Store) -> Standing:
    """How the routing table stands. Reads the file, and never fails because of it."""
    current = store.views.table_in_force()
    version, since = (current.version, current.in_force_since) if current else (None, None)
    file = configuration.routing.file
    try:
        table = read_routing(configuration)
    except ConfigurationError as error:
        return Standing(file=file, version=version, in_force_since=since, state="faulty", faults=error.faults)
    state = "in force" if table.version == version else "edited"
    return Standing(file=file, version=version, in_force_since=since, state=state, warnings=table.warnings)


def print_standing(standing: Standing) -> None:
    """Say it to people."""
    if standing.version and standing.in_force_since:
        typer.echo(f"routing table {standing.version[:12]} is in force since {standing.in_force_since:%Y-%m-%d %H:%M:%S}")
    if standing.state == "edited":
        typer.echo(f"{standing.file} says something else; the service puts it in force when it runs")
    if standing.state == "faulty":
        typer.echo(f"{standing.file} cannot be used, and the table in force stays:")
    for fault in standing.faults:
        typer.echo(f"  {fault}")
    for warning in standing.warnings:
        typer.echo(f"  warning: {warning}")


def not_taken(configuration: Configuration, store: Store, now: datetime) -> list[dict[str, Any]]:
    """Deliveries that their receivers have neither taken nor rejected in the time that the destination allows, the oldest first."""
    return [
        {
            "delivery": each.id,
            "destination": each.destination,
            "reference": (each.evidence or {}).get("reference"),
            "delivered_at": each.delivered_at,
        }
        for each in troubles.not_taken(configuration, store, now)
    ]


def expiries(configuration: Configuration) -> list[dict[str, Any]]:
    """What ends some day, the first first: client certificates and keys."""
    found = [
        *({"what": "certificate", "of": name, "ends_at": ends} for name, ends in troubles.certificates(configuration).items()),
        *({"what": "key", "of": name, "ends_at": ends} for name, ends in troubles.keys(configuration).items()),
    ]
    return sorted(found, key=lambda each: each["ends_at"])


def print_expiries(found: Sequence[Mapping[str, Any]]) -> None:
    """Say it to people."""
    for each in found:
        typer.echo(f"the {each['what']} of {each['of']} is good until {each['ends_at']:%Y-%m-%d}")
