"""Commands about the service as a whole: run, poll, check and status."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, replace
from json import dumps
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli.output import Exit, Json, options, print_json, print_table
from daemon.core.errors import PostmottakError

if TYPE_CHECKING:
    from daemon.config.loader import Configuration
    from daemon.core.errors import Fault
    from daemon.core.ports import Destination, Discovered, Finding, Mailbox
    from daemon.service.poll_summary import PollSummary
    from daemon.store import Store


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (run, poll, reconcile, check, discover, status):
        app.command()(command)


def run(context: typer.Context) -> None:
    """Be the service, in the foreground, until SIGTERM or SIGINT."""
    from daemon.runtime import logs
    from daemon.runtime.process import freeze_gc
    from daemon.service import app, stack
    from daemon.service.supervisor import Supervisor

    logs.configure()
    checked = stack.load(options(context).config)
    with app.open_app(checked, with_worker=True) as parts:
        service = Supervisor(parts)
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signal_number, lambda *_: service.stop())
        signal.signal(signal.SIGHUP, lambda *_: service.reload())
        freeze_gc()
        ended = service.run()
    if not ended:
        _leave_at_once()


def _leave_at_once() -> None:
    """End without waiting for threads that hang in a call to somebody else.

    What they did not finish is repeated at the next start.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, PostmottakError):  # what cannot be written keeps nobody from ending
            stream.flush()
    os._exit(Exit.FINE)


def poll(context: typer.Context, *, json: Json = False) -> None:
    """One round: list, fetch, route, and deliver what is due. Exit code 3 if something is left."""
    from daemon.runtime import logs
    from daemon.service import app, stack

    logs.configure()
    checked = stack.load(options(context).config)
    stopping = _until_signalled()
    with app.open_app(checked) as parts:
        parts.store.wait_until(stopping)
        summary = parts.poll(stopping)
    _print_poll(summary, json=json)
    raise typer.Exit(_poll_exit(summary, called_off=stopping.is_set()))


def _poll_exit(summary: PollSummary, *, called_off: bool) -> Exit:
    if summary.unreachable:
        return Exit.UNREACHABLE
    if called_off or summary.problems or summary.unfinished or summary.marks_failed:
        return Exit.REMAINS
    return Exit.FINE


def _print_poll(summary: PollSummary, *, json: bool) -> None:
    from daemon.core.model import Outcome

    numbers: dict[str, Any] = {
        "listed": summary.total(lambda each: each.listed),
        "fetched": summary.total(lambda each: each.fetched),
        "stored": summary.total(lambda each: each.stored),
        "delivered": summary.outcomes[Outcome.DELIVERED],
        "deferred": summary.outcomes[Outcome.DEFERRED],
        "dead": summary.outcomes[Outcome.DEAD],
        "errors": len(summary.problems) + summary.marks_failed,
        "gone": summary.total(lambda each: each.gone),
        "waiting": summary.total(lambda each: each.waiting),
        "duplicates": summary.total(lambda each: each.duplicates),
        "notices": summary.total(lambda each: each.notices),
    }
    if json:
        remarks = [remark for each in summary.intake for remark in each.remarks]
        print_json(
            {
                **numbers,
                "undone": summary.unfinished,
                "problems": summary.problems,
                "remarks": remarks,
            }
        )
        return
    print_table(list(numbers), [list(numbers.values())])
    for problem in summary.problems:
        typer.echo(problem)


def reconcile(context: typer.Context, *, json: Json = False) -> None:
    """Compare everything in Altinn with everything here, over the whole time, and fetch and deliver what is missing."""
    from daemon.runtime import logs
    from daemon.service import app, stack

    logs.configure()
    checked = stack.load(options(context).config)
    stopping = _until_signalled()
    with app.open_app(checked) as parts:
        parts.store.wait_until(stopping)
        found = parts.reconcile(stopping)
        parts.deliver_due(stopping)
        unfinished = parts.store.queries.unfinished()
    if json:
        print_json(found)
    else:
        for compared in found:
            typer.echo(compared.sentence)
            for problem in compared.problems:
                typer.echo(f"  {problem}")
    if (
        any(
            len(compared.missing) > compared.fetched or compared.unseen or compared.problems
            for compared in found
        )
        or unfinished
    ):
        raise typer.Exit(Exit.REMAINS)


def _until_signalled() -> threading.Event:
    """An event that SIGTERM and SIGINT set.

    The main thread must not wait for it: see `Supervisor`.
    """
    stopping = threading.Event()
    asked: list[int] = []

    def ask(number: int, _frame: object) -> None:
        asked.append(number)
        if len(asked) == 1:  # a second signal may come while this very line of the first is at work
            stopping.set()

    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, ask)
    return stopping


def discover(context: typer.Context, *, json: Json = False) -> None:
    """Ask Altinn which resources each party's mail can come under, and print the configuration lines for them. Changes nothing."""
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
    columns = ("mailbox", "party", "resource", "name", "service", "may be read", "remark")
    print_table(columns, [_discovered_row(name, each) for name, each in found])
    for line in _lines_to_paste([each for _, each in found]):
        typer.echo(line)


def _discovered_row(mailbox: str, found: Discovered) -> list[object]:
    service = f"{found.service}{' (a guess)' if found.guessed else ''}" if found.service else ""
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
        yield "For the section of the mailbox:"
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


def check(
    context: typer.Context,
    *,
    offline: Annotated[
        bool, typer.Option("--offline", help="Read the files only, and connect to nobody.")
    ] = False,
    json: Json = False,
) -> None:
    """Check the configuration and the routing table, then every step of the way to each mailbox and destination. Changes nothing."""
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
    """Whether the service can listen where it is to."""
    from daemon.web.listening import check_listening

    if configuration.api:
        yield check_listening("the pull API", configuration.api.address)
    if configuration.monitoring:
        yield check_listening("[monitoring]", configuration.monitoring.listen)


def _checked(part: Mailbox | Destination) -> Iterator[Finding]:
    with closing(part):
        yield from part.check()


def _printed(findings: Iterable[Finding], warnings: Sequence[Fault]) -> Iterator[Finding]:
    """The findings, each printed as soon as there is one: a step can take its time."""
    typer.echo("The configuration and the routing table are in order.")
    for warning in warnings:
        typer.echo(f"warning: {warning}")
    for finding in findings:
        typer.echo(f"{'ok  ' if finding.ok else 'FAIL'} {finding.subject}: {finding.text}")
        yield finding


def status(
    context: typer.Context,
    *,
    json: Json = False,
    monitor: Annotated[
        bool,
        typer.Option(
            "--monitor",
            help="Print one line for a monitor. Exit code 0 fine, 1 warning, 2 critical, 3 unknown.",
        ),
    ] = False,
) -> None:
    """Show how things stand: letters, deliveries, what waits and what is wrong, when each mailbox was last read, and the routing table."""
    from daemon.cli.status import (
        alerts,
        current_problems,
        expiries,
        not_taken,
        print_expiries,
        print_standing,
        print_troubles,
        report,
        routing_standing,
    )
    from daemon.runtime import logs
    from daemon.service import stack

    logs.configure()
    if monitor:
        raise typer.Exit(report(options(context).config))
    configuration = stack.load_configuration(options(context).config)
    store = stack.open_store(configuration)
    facts = {**_facts(store), "not_taken": not_taken(configuration, store, stack.utc_now())}
    facts["expiries"] = expiries(configuration)
    routing = routing_standing(configuration, store)
    facts |= {
        "troubles": current_problems(configuration, store, routing.faults),
        "alerts": alerts(store, configuration.alerts.to),
    }
    store.close()
    if json:
        print_json({**facts, "routing_version": routing.version, "routing": routing})
        return
    _print_status(facts)
    print_standing(routing)
    print_expiries(facts["expiries"])
    print_troubles(facts)


def _facts(store: Store) -> dict[str, Any]:
    from daemon.core.model import SightingState

    counts = store.queries.counts()
    names = {state.value: state for state in SightingState if state is not SightingState.OLDER}
    seen = {
        name: [
            {
                "party": each.party,
                "service": each.service,
                "id": each.external_id,
                "first_seen_at": each.first_seen_at,
                "reason": each.last_error,
            }
            for each in store.queries.sightings(state)
        ]
        for name, state in names.items()
    }
    return {
        "messages": counts.messages,
        "last_message_at": counts.last_message_at,
        "deliveries": counts.deliveries,
        "oldest_undelivered_at": counts.oldest_undelivered_at,
        "marks_due": store.marks.outstanding(),
        "legal_holds": store.retention.held(),
        **seen,
        "older": counts.sightings[SightingState.OLDER],
        "incomplete": [asdict(each) for each in store.queries.incomplete()],
        "channels": [each.model_dump() for each in store.queries.bookmarks()],
    }


def _print_status(facts: dict[str, Any]) -> None:
    last = facts["last_message_at"]
    typer.echo(
        f"{facts['messages']} letters stored, the last at "
        f"{last.strftime('%Y-%m-%d %H:%M:%S') if last else 'no time yet'}"
    )
    typer.echo(
        "deliveries: "
        + ", ".join(f"{count} {state}" for state, count in facts["deliveries"].items())
    )
    if facts["oldest_undelivered_at"]:
        typer.echo(
            "the oldest that is not delivered is from "
            f"{facts['oldest_undelivered_at']:%Y-%m-%d %H:%M:%S}"
        )
    if facts["legal_holds"]:
        typer.echo(f"under a legal hold: {facts['legal_holds']}")
    for late in facts["not_taken"]:
        typer.echo(
            f"not taken in time: {late['reference']}, delivered "
            f"{late['delivered_at']:%Y-%m-%d %H:%M:%S}"
        )
    words = {
        "waiting": "confidential letters wait in Altinn and were not opened",
        "failing": "letters could not be fetched yet",
        "gone": "letters were removed before they could be fetched",
        "duplicate": "letters were here already, under the id that they had in Altinn 2",
    }
    for name, text in words.items():
        if facts[name]:
            typer.echo(f"{len(facts[name])} {text}:")
            print_table(
                ("party", "service", "id", "seen", "why"),
                [list(each.values()) for each in facts[name]],
            )
    if facts["older"]:
        typer.echo(
            f"{facts['older']} letters are older than the first poll, and stay where they are"
        )
    if facts["incomplete"]:
        typer.echo(
            f"{len(facts['incomplete'])} letters are here without some of their attachments "
            "as sent (`postmottak messages refetch`):"
        )
        print_table(
            ("message", "came", "missing", "may come"),
            [list(each.values()) for each in facts["incomplete"]],
        )
    if facts["channels"]:
        columns = ("party", "service", "resource", "succeeded_at", "failed_at", "last_error")
        print_table(columns, [[each[column] for column in columns] for each in facts["channels"]])
