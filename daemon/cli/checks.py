"""`check`: ask mailboxes and destinations, and change nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from json import dumps, loads
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli.output import Exit, Json, options, print_json

if TYPE_CHECKING:
    from daemon.config.loader import Configuration
    from daemon.core.ports import Destination, Finding, Mailbox


_Event = dict[str, Any]
"""A `fault`, a `warning` or a `finding`, each as a table; `loaded` once the files are read."""


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
    as_service: Annotated[bool, typer.Option("--as-service", hidden=True)] = False,
) -> None:
    """Check the configuration, the routing table, and access to each mailbox and destination.

    Run as root, it checks what the service may do: as the unit's user, with its sandbox and
    credentials. Changes nothing. Exits with code 1 if anything is wrong.
    """
    from daemon.runtime import logs

    logs.configure()
    path = options(context).config.absolute()
    if as_service:
        for event in _examined(path, offline=offline):
            sys.stdout.write(dumps(event) + "\n")
            sys.stdout.flush()
        return
    arguments = ["-c", str(path), "check", "--as-service", *(["--offline"] if offline else [])]
    report = _Report(json=json)
    for event in _events(path, arguments, offline=offline):
        report.add(event)
    report.end()


def _events(path: Path, arguments: Sequence[str], *, offline: bool) -> Iterator[_Event]:
    """Yield what a check finds, as the service where that is possible."""
    from daemon.cli import check_as_service
    from daemon.core.errors import ConfigurationError
    from daemon.core.ports import Finding
    from daemon.runtime.unit import installed_unit
    from daemon.service import stack

    unit = installed_unit()
    way = check_as_service.through_systemd(unit, path, arguments)
    if way is None:
        try:
            store = stack.load(path).configuration.store
        except ConfigurationError as error:
            yield from ({"fault": asdict(fault)} for fault in error.faults)
            return
        way = check_as_service.without_systemd(unit, store.beside, arguments)
    yield from ({"finding": asdict(finding)} for finding in way.findings)
    if not way.command:
        yield from _examined(path, offline=offline)
        return
    try:
        yield from map(loads, check_as_service.lines_of(way))
    except check_as_service.ChildFailed as error:
        failed = Finding(subject=check_as_service.SUBJECT, ok=False, text=str(error))
        yield {"finding": asdict(failed)}


def _examined(path: Path, *, offline: bool) -> Iterator[_Event]:
    """Yield what this process finds: the files' faults, or else warnings and then findings."""
    from daemon.core.errors import ConfigurationError
    from daemon.service import stack
    from daemon.service.page_check import check_approvals
    from daemon.service.preflight import readable_secrets
    from daemon.service.store_access import check_store

    try:
        checked = stack.load(path)
    except ConfigurationError as error:
        yield from ({"fault": asdict(fault)} for fault in error.faults)
        return
    configuration = checked.configuration
    yield {"loaded": True}
    for warning in (
        *checked.table.warnings,
        *configuration.warnings,
        *readable_secrets(configuration),
    ):
        yield {"warning": asdict(warning)}
    yield from ({"finding": asdict(finding)} for finding in check_store(configuration.store))
    if configuration.web and configuration.routing.approvals:
        few = check_approvals(configuration.store)
        yield from ({"finding": asdict(finding)} for finding in few)
    if not offline:
        yield from ({"finding": asdict(finding)} for finding in _findings(configuration))


class _Report:
    """Prints what is found: each at once, because a step can take time, or all as JSON."""

    def __init__(self, *, json: bool) -> None:
        self._json = json
        self._found: dict[str, list[Any]] = {"fault": [], "warning": [], "finding": []}

    def add(self, event: _Event) -> None:
        """Take one fault, warning or finding."""
        for kind, value in event.items():
            if kind in self._found:
                self._found[kind].append(value)
            if not self._json:
                self._print(kind, value)

    def _print(self, kind: str, value: Any) -> None:
        from daemon.core.errors import Fault

        if kind == "loaded":
            typer.echo("The configuration and the routing table are in order.")
        elif kind == "warning":
            typer.echo(f"WARN {Fault(**value)}")
        elif kind == "finding":
            mark = "FAIL" if not value["ok"] else "WARN" if value["warning"] else "ok  "
            typer.echo(f"{mark} {value['subject']}: {value['text']}")

    def end(self) -> None:
        """End the command with its exit code. Raises ConfigurationError for people."""
        from daemon.core.errors import ConfigurationError, Fault

        faults, findings = self._found["fault"], self._found["finding"]
        ok = not faults and all(each["ok"] for each in findings)
        if self._json:
            warnings = self._found["warning"]
            print_json({"ok": ok, "faults": faults, "warnings": warnings, "findings": findings})
        elif faults:
            raise ConfigurationError([Fault(**each) for each in faults])
        raise typer.Exit(Exit.FINE if ok else Exit.WRONG)


def _findings(configuration: Configuration) -> Iterator[Finding]:
    from daemon.service import plugins
    from daemon.service.store_access import check_bucket

    yield from check_bucket(configuration.store)
    mailboxes, destinations = (
        plugins.connect_mailboxes(configuration),
        plugins.connect_destinations(configuration),
    )
    for mailbox in mailboxes:
        whose = f"mailbox {mailbox.name}, " if len(mailboxes) > 1 else ""
        yield from (
            replace(finding, subject=whose + finding.subject)
            for finding in _checked_with_events(mailbox, configuration)
        )
    for destination in destinations.values():
        yield from _checked(destination)
    yield from _endpoints(configuration)


def _endpoints(configuration: Configuration) -> Iterator[Finding]:
    """Check whether the service and the page can listen on their configured addresses."""
    from daemon.service.page_check import check_page, check_publishing
    from daemon.web.listening import check_listening

    if configuration.api:
        yield check_listening("the pull API", configuration.api.address)
    if configuration.monitoring:
        yield check_listening("[monitoring]", configuration.monitoring.listen)
    if configuration.events:
        yield check_listening("[events]", configuration.events.listen)
    if configuration.web:
        yield from check_page(configuration.web)
        yield check_publishing(configuration.routing.file)


def _checked_with_events(mailbox: Mailbox, configuration: Configuration) -> Iterator[Finding]:
    from daemon.service.push import check_events

    with closing(mailbox):
        yield from mailbox.check()
        if configuration.events:
            yield from check_events(mailbox, configuration.events.door)


def _checked(part: Destination) -> Iterator[Finding]:
    with closing(part):
        yield from part.check()
