"""`check` and `discover`: ask mailboxes and destinations, and change nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from json import dumps
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli.output import Exit, Json, options, print_json, print_table

if TYPE_CHECKING:
    from daemon.config.loader import Configuration
    from daemon.core.errors import Fault
    from daemon.core.ports import Destination, Discovered, Finding, Mailbox


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (check, discover):
        app.command()(command)


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
        typer.echo(f"{'ok  ' if finding.ok else 'FAIL'} {finding.subject}: {finding.text}")
        yield finding


def discover(context: typer.Context, *, json: Json = False) -> None:
    """List the resources that each party's mail can arrive under in Altinn.

    Also prints the configuration lines for them. Changes nothing.
    """
    from daemon.core.ports import Discovers
    from daemon.runtime import logs
    from daemon.service import plugins, stack

    logs.configure()
    configuration = stack.load(options(context).config).configuration
    found: list[tuple[str, Discovered]] = []
    for mailbox in plugins.connect_mailboxes(configuration):
        if isinstance(mailbox, Discovers):
            found += [(mailbox.name, each) for each in mailbox.discover()]
        mailbox.close()
    if json:
        print_json([{"mailbox": name, **asdict(each)} for name, each in found])
        return
    columns = ("mailbox", "party", "resource", "name", "service", "readable", "remark")
    print_table(columns, [_discovered_row(name, each) for name, each in found])
    for line in _lines_to_paste([each for _, each in found]):
        typer.echo(line)


def _discovered_row(mailbox: str, found: Discovered) -> list[object]:
    service = f"{found.service}{' (guess)' if found.guessed else ''}" if found.service else ""
    return [
        mailbox,
        found.party,
        found.resource,
        found.names.get("nb", ""),
        service,
        "yes" if found.readable else "no",
        found.remark,
    ]


def _lines_to_paste(found: Sequence[Discovered]) -> Iterator[str]:
    by_service: dict[str, dict[str, None]] = {}
    for each in found:
        if each.readable and each.service:
            by_service.setdefault(each.service, {})[each.resource] = None
    if by_service:
        yield "For the mailbox's section:"
        lines = ", ".join(
            f'"{service}" = {dumps(list(resources))}'
            for service, resources in sorted(by_service.items())
        )
        yield f"resources = {{ {lines} }}"
    for each in found:
        if each.readable and not each.service:
            yield (
                f"# {each.resource} ({each.names.get('nb', 'no name')}) serves no service that "
                "Postmottak knows; name one for it"
            )
