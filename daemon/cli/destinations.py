"""`destinations`: list where letters can go, and send one of them a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli.output import Exit, Json, options, print_json, print_table

if TYPE_CHECKING:
    from daemon.config.loader import Configuration, ConnectorConfiguration
    from daemon.routing.table import Table

_destinations = typer.Typer(no_args_is_help=True, help="List destinations, and test them.")
_COLUMNS = ("name", "type", "place", "recipients", "routes", "alerts", "test")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(_destinations, name="destinations")


@_destinations.command("list")
def list_(context: typer.Context, *, json: Json = False) -> None:
    """List the destinations, and whose letters go there.

    Connects to nothing. `postmottak status` shows what waits for them.
    """
    from daemon.runtime import logs
    from daemon.service import stack

    logs.configure()
    checked = stack.load(options(context).config)
    rows = list(_rows(checked.configuration, checked.table))
    if json:
        print_json(rows)
        return
    print_table(
        _COLUMNS,
        [[_yes(row[name]) for name in _COLUMNS] for row in rows],
    )


def _yes(value: Any) -> Any:
    return ("yes" if value else "no") if isinstance(value, bool) else value


def _rows(configuration: Configuration, table: Table) -> Iterator[dict[str, Any]]:
    from daemon.core.ports import SendsTests
    from daemon.service import plugins

    for each in configuration.destinations:
        with closing(plugins.connect_destination(each)) as destination:
            yield {
                "name": each.name,
                "type": each.type,
                "place": each.settings.place,
                "recipients": [
                    name for name, row in table.recipients.items() if each.name in row.deliver_to
                ],
                "routes": [row.name for row in table.routes if each.name in row.deliver_to],
                "alerts": each.name in configuration.alerts.to,
                "test": isinstance(destination, SendsTests) and each.settings.can_send_test,
            }


@_destinations.command("test")
def send_test(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the destination, as in [destination.NAME].")],
    *,
    json: Json = False,
) -> None:
    """Send a destination a test, marked as one.

    A webhook gets an event of the type no.postmottak.test.v1, a mail server a mail to the
    configured recipients. Into a drop, a sample is put and removed again at once. Exits with code 1
    if that fails, or if the destination cannot be tested this way.
    """
    from daemon.cli.service import as_owner_of
    from daemon.core.connector_calls import call_connector
    from daemon.core.errors import PostmottakError
    from daemon.runtime import logs
    from daemon.service import stack

    logs.configure()
    configuration = stack.load_configuration(options(context).config)
    connector = _named(configuration, name)
    as_owner_of(configuration.store)
    found = call_connector(lambda: _tested(connector), destination=name)
    ok = not isinstance(found, PostmottakError)
    if json:
        print_json({"destination": name, "ok": ok, "text": str(found)})
    else:
        typer.echo(f"{'ok  ' if ok else 'FAIL'} destination {name}: {found}")
    raise typer.Exit(Exit.FINE if ok else Exit.WRONG)


def _named(configuration: Configuration, name: str) -> ConnectorConfiguration:
    from daemon.core.errors import NotFound

    by_name = {each.name: each for each in configuration.destinations}
    if name not in by_name:
        known = ", ".join(sorted(by_name)) or "none"
        raise NotFound(f"The configuration has no destination {name!r}; it has: {known}")
    return by_name[name]


def _tested(connector: ConnectorConfiguration) -> str:
    """Return what was done. Raises DeliveryFailure."""
    from daemon.core.errors import PermanentFailure
    from daemon.core.ports import SendsTests
    from daemon.delivery.sample_parcel import sample_parcel
    from daemon.service import plugins, stack

    with closing(plugins.connect_destination(connector)) as destination:
        if not isinstance(destination, SendsTests):
            raise PermanentFailure(
                f"a destination of the type {connector.type} cannot be tested this way, because "
                "its receiver would take any call for a letter; `postmottak check` tries the "
                "connection"
            )
        pdf = plugins.sandbox("pdf").pdf("TEST\n\nPostmottak")
        return destination.send_test(sample_parcel(connector.name, pdf, stack.utc_now()))
