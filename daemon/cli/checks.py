"""`check`: ask mailboxes and destinations, and change nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli.output import Exit, Json, options, print_json

if TYPE_CHECKING:
    from daemon.config.loader import Configuration
    from daemon.core.errors import Fault
    from daemon.core.ports import Destination, Finding, Mailbox


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(check)


def check(
    context: typer.Context,
    *,
    offline: Annotated[
        bool, typer.Option("--offline", help="Check the files only; do not connect to anything.")
    ] = False,
    json: Json = False,
) -> None:
    """Check the configuration, the routing table, and access to each mailbox and destination.

    Changes nothing. Exits with code 1 if anything is wrong.
    """
    from daemon.core.errors import ConfigurationError
    from daemon.runtime import logs
    from daemon.service import stack
    from daemon.service.preflight import readable_secrets

    logs.configure()
    try:
        checked = stack.load(options(context).config)
    except ConfigurationError as error:
        if not json:
            raise
        print_json({"ok": False, "faults": error.faults, "warnings": [], "findings": []})
        raise typer.Exit(Exit.WRONG) from error
    findings = iter(()) if offline else _findings(checked.configuration)
    warnings = [*checked.table.warnings, *readable_secrets(checked.configuration)]
    found = list(findings) if json else list(_printed(findings, warnings))
    ok = all(finding.ok for finding in found)
    if json:
        print_json({"ok": ok, "faults": [], "warnings": warnings, "findings": found})
    raise typer.Exit(Exit.FINE if ok else Exit.WRONG)


def _findings(configuration: Configuration) -> Iterator[Finding]:
    from daemon.service import plugins

    mailboxes, destinations = (
        plugins.connect_mailboxes(configuration),
        plugins.connect_destinations(configuration),
    )
    for mailbox in mailboxes:
        whose = f"mailbox {mailbox.name}, " if len(mailboxes) > 1 else ""
        yield from (
            replace(finding, subject=whose + finding.subject) for finding in _checked(mailbox)
        )
    for destination in destinations.values():
        yield from _checked(destination)
    yield from _endpoints(configuration)


def _endpoints(configuration: Configuration) -> Iterator[Finding]:
    """Check whether the service can listen on its configured addresses."""
    from daemon.web.listening import check_listening

    if configuration.api:
        yield check_listening("the pull API", configuration.api.address)
    if configuration.monitoring:
        yield check_listening("[monitoring]", configuration.monitoring.listen)


def _checked(part: Mailbox | Destination) -> Iterator[Finding]:
    with closing(part):
        yield from part.check()


def _printed(findings: Iterable[Finding], warnings: Sequence[Fault]) -> Iterator[Finding]:
    """Yield the findings, printing each at once, because a step can take time."""
    typer.echo("The configuration and the routing table are in order.")
    for warning in warnings:
        typer.echo(f"warning: {warning}")
    for finding in findings:
        word = "FAIL" if not finding.ok else "WARN" if finding.warning else "ok  "
        typer.echo(f"{word} {finding.subject}: {finding.text}")
        yield finding
