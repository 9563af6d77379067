"""What is wrong, for people, for scripts, and as one line for monitors that speak the language of Nagios plugins.

Source: Monitoring Plugins Development Guidelines (one line, performance data after `|`, exit codes 0 to 3).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from daemon.cli.output import printable
from daemon.cli.standing import routing_standing
from daemon.config import Configuration
from daemon.errors import Fault, PostmottakError
from daemon.model import DeliveryState
from daemon.opening import load_configuration, open_store, utc_now
from daemon.problems import OF_THE_SERVICE
from daemon.store import Store
from daemon.troubles import Trouble, find_troubles, free_space

_WORDS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")


def troubles(configuration: Configuration, store: Store, faults: Sequence[Fault]) -> list[Trouble]:
    """What is wrong now, the worst first; of the service itself, what it noticed last."""
    found = [*find_troubles(configuration, store, utc_now(), faults), *_noticed(store)]
    return sorted(found, key=lambda each: not each.critical)


def _noticed(store: Store) -> Iterator[Trouble]:
    for each in store.alerts.all():
        if each.kind in OF_THE_SERVICE and not each.ended_at:
            yield Trouble(kind=each.kind, about=each.key.removeprefix(each.kind).strip(), text=each.text, critical=each.critical)


def alerts(store: Store, to: Sequence[str]) -> list[dict[str, Any]]:
    """What the service has noticed, and who is still to be told of it."""
    return [
        {
            "kind": each.kind,
            "text": each.text,
            "began_at": each.began_at,
            "ended_at": each.ended_at,
            "not_told": [name for name in to if each.told.get(name) is None or (each.ended_at and each.told[name] == "begun")],
        }
        for each in store.alerts.all()
    ]


def print_troubles(facts: Mapping[str, Any]) -> None:
    """Say it to people."""
    for trouble in facts["troubles"]:
        typer.echo(f"{'WRONG' if trouble.critical else 'note'}: {printable(trouble.text)}")
    for alert in facts["alerts"]:
        if alert["not_told"]:
            typer.echo(f"alert not told to {', '.join(alert['not_told'])} yet: {printable(alert['text'])}")


def report(configuration_file: Path) -> int:
    """Print the line; the exit code for it. What stops the question from being answered is unknown, and never a traceback."""
    try:
        code, text, data = _judge(configuration_file)
    except PostmottakError as error:
        code, text, data = 3, str(error).partition("\n")[0], ""
    typer.echo(f"POSTMOTTAK {_WORDS[code]} - {printable(text).replace('|', '/')}{data and f' | {data}'}")
    return code


def _judge(configuration_file: Path) -> tuple[int, str, str]:
    configuration = load_configuration(configuration_file)
    store = open_store(configuration)
    try:
        found = troubles(configuration, store, routing_standing(configuration, store).faults)
        data = _performance(configuration, store)
    finally:
        store.close()
    code = 0 if not found else 2 if found[0].critical else 1
    return code, "; ".join(each.text for each in found) or "every letter is where it belongs, or on its way", data


def _performance(configuration: Configuration, store: Store) -> str:
    queues, oldest = store.views.queues(), store.views.oldest_waiting()
    waits = sum(count for (_, state), count in queues.items() if state is not DeliveryState.DEAD)
    dead = sum(queues.values()) - waits
    age = (utc_now() - min(oldest.values())).total_seconds() if oldest else 0
    free = min(free_space(configuration).values(), default=0)
    return f"waiting={waits};;;0 dead={dead};;;0 oldest={age:.0f}s;;;0 free={free}B;;;0"
