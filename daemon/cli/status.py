"""How things stand that configuration and database tell only together: the routing table in force, drops that nobody took, what ends."""

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
    """How the routing table stands."""

    file: Path
    version: str | None
    """The one in force; none before the first start."""
    in_force_since: datetime | None
    state: str
    """in force: the file says what is in force; edited: it says something else; faulty: it cannot
    be used, and the old one stays.
    """
    faults: tuple[Fault, ...] = ()
    warnings: tuple[Fault, ...] = ()


def routing_standing(configuration: Configuration, store: Store) -> Standing:
    """How the routing table stands. Reads the file, and never fails because of it."""
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
    """Say it to people."""
    if standing.version and standing.in_force_since:
        typer.echo(
            f"routing table {standing.version[:12]} is in force since "
            f"{standing.in_force_since:%Y-%m-%d %H:%M:%S}"
        )
    if standing.state == "edited":
        typer.echo(
            f"{standing.file} says something else; the service puts it in force when it runs"
        )
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
        for each in late.not_taken(configuration, store, now)
    ]


def expiries(configuration: Configuration) -> list[dict[str, Any]]:
    """What ends some day, the first first: client certificates and keys."""
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
    """Say it to people."""
    for each in found:
        typer.echo(f"the {each['what']} of {each['of']} is good until {each['ends_at']:%Y-%m-%d}")


_WORDS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")


def current_problems(
    configuration: Configuration, store: Store, faults: Sequence[Fault]
) -> list[Problem]:
    """What is wrong now, the worst first."""
    return sorted(
        find_problems(configuration, store, utc_now(), faults), key=lambda each: not each.critical
    )


def alerts(store: Store, to: Sequence[str]) -> list[dict[str, Any]]:
    """What the service has noticed, and who is still to be told of it."""
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
    """Say it to people."""
    for trouble in facts["troubles"]:
        typer.echo(f"{'WRONG' if trouble.critical else 'note'}: {printable(trouble.text)}")
    for alert in facts["alerts"]:
        if alert["not_told"]:
            typer.echo(
                f"alert not told to {', '.join(alert['not_told'])} yet: {printable(alert['text'])}"
            )


def report(configuration_file: Path) -> int:
    """Print the line; the exit code for it.

    What stops the question from being answered is unknown, and never a traceback.
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
        "; ".join(each.text for each in found) or "every letter is where it belongs, or on its way",
        data,
    )


def _performance(configuration: Configuration, store: Store) -> str:
    queues, oldest = store.queries.queues(), store.queries.oldest_waiting()
    waits = sum(count for (_, state), count in queues.items() if state is not DeliveryState.DEAD)
    dead = sum(queues.values()) - waits
    age = (utc_now() - min(oldest.values())).total_seconds() if oldest else 0
    free = min(free_space(configuration).values(), default=0)
    return f"waiting={waits};;;0 dead={dead};;;0 oldest={age:.0f}s;;;0 free={free}B;;;0"
