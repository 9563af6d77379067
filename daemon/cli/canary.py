"""`canary`: send something that is not a letter on a letter's way, to see that it comes through."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli.output import Exit, Json, options, print_json, printable, whoami
from daemon.core.errors import NotFound

if TYPE_CHECKING:
    from daemon.config.loader import Configuration
    from daemon.core.canaries import Canary
    from daemon.service.stack import LoadedConfig

_RESULTS = {"through": "ok  ", "under-way": "wait", "stopped": "FAIL", "skipped": "skip"}


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(canary)


def canary(
    context: typer.Context,
    *,
    destination: Annotated[
        list[str] | None,
        typer.Option(help="Only to this destination; may be given several times."),
    ] = None,
    json: Json = False,
) -> None:
    """Send a canary to each destination: no letter, but it takes a letter's way.

    It is routed, stored and delivered, and says in every part what it is; no count of letters has
    it. Where pickups are watched, it is left for the receiver, and the service looks for its
    pickup. A destination whose receiver cannot tell it from a letter is skipped. `[canary]` sends
    them by itself. Exits with code 1 if one did not come through.
    """
    from daemon.cli.service import as_owner_of
    from daemon.runtime import logs
    from daemon.service import stack

    logs.configure()
    checked = stack.load(options(context).config)
    as_owner_of(checked.configuration.store)
    rows = list(_sent(checked, destination or ()))
    if json:
        print_json(rows)
    else:
        for each in rows:
            text = f"{_RESULTS[each['result']]} destination {each['destination']}: {each['text']}"
            typer.echo(printable(text))
    failed = any(each["result"] == "stopped" for each in rows)
    raise typer.Exit(Exit.WRONG if failed else Exit.FINE)


def _sent(checked: LoadedConfig, only: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Send the canaries, and yield what became of each. Raises NotFound and StoreError."""
    from daemon.delivery.canary import why_not
    from daemon.delivery.snapshot import ActiveSnapshot, Snapshot
    from daemon.runtime.heartbeat import Heartbeats
    from daemon.service import plugins, stack
    from daemon.service.canaries import canary_sender

    configuration = checked.configuration
    names = _named(configuration, only)
    snapshot = Snapshot(
        configuration=configuration,
        table=checked.table,
        destinations=plugins.connect_destinations(configuration),
    )
    with ExitStack() as ends:
        active = ActiveSnapshot(snapshot)
        ends.callback(active.close)
        store = stack.open_store(configuration)
        ends.callback(store.close)
        content = stack.open_content(configuration)
        sender = canary_sender(store, content, active, stack.utc_now, Heartbeats())
        for name in names:
            reason = why_not(name, snapshot.destinations[name], snapshot)
            if reason:
                yield _row(name, "skipped", reason)
                continue
            (canary,) = sender.send([name], whoami())
            yield _row(name, _result(canary), _text(canary), canary)


def _named(configuration: Configuration, only: Sequence[str]) -> Sequence[str]:
    known = [each.name for each in configuration.destinations]
    for name in only:
        if name not in known:
            raise NotFound(
                f"The configuration has no destination {name!r}; it has: {', '.join(known)}"
            )
    settings = configuration.canary
    return only or [name for name in known if settings is None or settings.wants(name)]


def _result(canary: Canary) -> str:
    if canary.is_through:
        return "through"
    return "stopped" if canary.ended_at else "under-way"


def _text(canary: Canary) -> str:
    if canary.is_through:
        return canary.receipt
    if canary.ended_at:
        return f"it stopped at {canary.step.value}: {canary.problem}"
    return f"it was left as {canary.receipt}; the service looks for its pickup"


def _row(name: str, result: str, text: str, canary: Canary | None = None) -> dict[str, Any]:
    """Return what `--json` promises of one destination."""
    return {
        "destination": name,
        "result": result,
        "text": text,
        "id": canary.id if canary else None,
        "step": canary.step.value if canary else None,
        "route": canary.route if canary else None,
        "delivered_at": canary.delivered_at if canary else None,
        "receipt": canary.receipt if canary else None,
    }
