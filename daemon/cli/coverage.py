"""`coverage`: for which organisations letters can be read, and what may keep letters away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli.output import Exit, Json, counted, print_json, print_table, printable
from daemon.cli.stored import opened
from daemon.cli.tables import local

if TYPE_CHECKING:
    from daemon.monitoring.coverage import Client

_WORDS = {True: "yes", False: "no", None: "not known yet"}


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(coverage)


def coverage(
    context: typer.Context,
    *,
    clients: Annotated[
        bool,
        typer.Option("--clients", help="Show every organisation, and what it has delegated."),
    ] = False,
    json: Json = False,
) -> None:
    """Show what may keep letters away, since when, and what to do.

    That is: rights and system users that were lost, services that cannot be read, resources that
    are not configured, senders that were regular and have fallen silent, and keys and certificates
    that end. With --clients, which organisations' ordinary and confidential post can be read. Exits
    with code 3 if there is anything. It goes by what the service last found; it calls nobody.
    """
    from daemon.monitoring import coverage as covered
    from daemon.monitoring.coverage_problems import compared_at, facts, findings

    with opened(context) as (configuration, store):
        rows = list(covered.clients(store, configuration.mailboxes))
        found = [facts(each) for each in findings(configuration, store)]
        looked = compared_at(configuration, store)
    missing = [row for row in rows if row.is_missing]
    if json:
        every, lacking = [asdict(row) for row in rows], [asdict(row) for row in missing]
        unknown = _count([row for row in rows if row.is_unknown])
        summary = {"organisations": _count(rows), "missing": lacking, "unknown": unknown}
        times = dict(zip(("compared_at", "senders_at"), looked, strict=True))
        print_json(every if clients else summary | {"findings": found} | times)
    else:
        _print(rows if clients else missing)
        _print_counts(rows)
        if not clients:
            _print_findings(found)
            _print_times(*looked)
    remains = missing or (found and not clients)
    raise typer.Exit(Exit.REMAINS if remains else Exit.FINE)


def _print_findings(found: Sequence[Mapping[str, Any]]) -> None:
    from daemon.monitoring.coverage_problems import MEANINGS, REMEDIES

    for kind, meaning in MEANINGS.items():
        own = [each for each in found if each["kind"] == kind.value]
        if own:
            typer.echo(f"\n{kind.value}: {meaning}\n    what to do: {REMEDIES[kind]}")
        for each in own:
            where = f" ({each['mailbox']})" if each["mailbox"] else ""
            reason = f"; {printable(each['reason'])}" if each["reason"] else ""
            typer.echo(f"  {_about(each)}{where}\n    {_times(each)}{reason}")


def _print_times(compared: datetime | None, senders: datetime | None) -> None:
    """Say how old this is: what was never looked at cannot be called fine."""
    if compared is None:
        typer.echo("\nnot every mailbox has been looked at yet; the service does so hourly")
    else:
        typer.echo(f"\nlooked at {local(compared)}")
    if senders is None:
        typer.echo("senders have not been looked at yet; the service does so once a day")
    else:
        typer.echo(f"senders looked at {local(senders)}")


def _about(each: Mapping[str, Any]) -> str:
    """Return what a finding is about; a sender of confidential post is not named."""
    subject = "(confidential post)" if each["confidential"] else each["subject"]
    return printable(" ".join(filter(None, (each["party"], subject, each["name"]))))


def _times(each: Mapping[str, Any]) -> str:
    word = {"sender": "its last letter came", "expiry": "ends"}.get(each["kind"], "since")
    return f"{word} {each['since']:%Y-%m-%d}, first seen {each['first_seen_at']:%Y-%m-%d}"


def _count(rows: Sequence[Client]) -> int:
    """Count the organisations, each once in however many mailboxes it is."""
    return len({row.party for row in rows})


def _print(rows: Sequence[Client]) -> None:
    if rows:
        print_table(
            ("organisation", "name", "mailbox", "ordinary post", "confidential post", ""),
            [
                (
                    row.party,
                    row.name,
                    row.mailbox,
                    _WORDS[row.ordinary],
                    _WORDS[row.confidential],
                    "can no longer be read" if row.gone_at else "",
                )
                for row in rows
            ],
        )


def _print_counts(rows: Sequence[Client]) -> None:
    total, missing = _count(rows), _count([row for row in rows if row.is_missing])
    unknown = _count([row for row in rows if row.is_unknown])
    if missing:
        typer.echo(
            f"{missing} of {total} organisations cannot be read. They have to delegate the access "
            "package Ordinær post til virksomheten; a delegation works after a quarter of an hour"
        )
    if unknown:
        whose = counted(unknown, "organisation")
        typer.echo(f"it is not known yet whether the ordinary post of {whose} can be read")
    elif not total:
        typer.echo("no organisation is known yet")
    elif not missing:
        whose = counted(total, "organisation")
        typer.echo(f"the ordinary post of {whose} can be read, as far as is known")
