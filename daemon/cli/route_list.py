"""`postmottak routes list`: the whole table for people."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING, Any

import typer

from daemon.cli.output import Exit, Json, options, print_json, print_table, printable

if TYPE_CHECKING:
    from daemon.routing.rows import Delegation, Recipient
    from daemon.routing.table import Table
    from daemon.service.stack import LoadedConfig


def loaded(context: typer.Context) -> LoadedConfig:
    """Read the files; where the table's has faults, say so, and take the table in force."""
    from daemon.runtime import logs
    from daemon.service.table_in_force import load_or_in_force

    logs.configure()
    checked = load_or_in_force(options(context).config)
    if checked.ignored:
        for fault in checked.ignored:
            sys.stderr.write(f"{printable(str(fault))}\n")
        sys.stderr.write(
            f"\n{checked.configuration.routing.file} has errors; this is the table in force, "
            f"{checked.table.version[:12]}:\n"
        )
    return checked


def end_of(checked: LoadedConfig) -> None:
    """Exit with the code of a faulty table if the file is one."""
    if checked.ignored:
        raise typer.Exit(Exit.WRONG)


def list_routes(context: typer.Context, *, json: Json = False) -> None:
    """List the routes in the order in which they are tried, the recipients and the covers.

    The table is as the file says now. `postmottak status` shows whether the file is active. If the
    file has errors, they are shown with the table in force, and the exit code is 1.
    """
    from pydantic_core import to_jsonable_python

    checked = loaded(context)
    table = checked.table
    if json:
        print_json(to_jsonable_python({"version": table.version, **table.rows}))
    else:
        _print_table(table)
    end_of(checked)


def _print_table(table: Table) -> None:
    from daemon.core.times import norwegian_day
    from daemon.service import stack

    typer.echo("Routes, in the order in which they are tried:")
    print_table(("", "route", "conditions", "to", "also", "options"), _routes(table))
    typer.echo("\nRecipients:")
    print_table(
        ("recipient", "title", "delivered to", "e-mail", "deputy", "acknowledged"),
        _recipients(table),
    )
    if table.delegations:
        typer.echo("\nCovers:")
        today = norwegian_day(stack.utc_now())
        columns = ("away", "covered by", "from", "to", "state", "services", "options")
        print_table(columns, _covers(table, today))


def _routes(table: Table) -> Iterator[tuple[Any, ...]]:
    from daemon.routing.rows import Conditions

    conditions = (*Conditions.model_fields, "not")
    for number, row in enumerate(table.rows["route"], start=1):
        also = [*row.pop("copy_to", ()), *row.pop("deliver_to", ())]
        enabled = row.pop("enabled", True)
        name, to = row.pop("name"), row.pop("to", ())
        wanted = {key: row.pop(key) for key in conditions if key in row}
        others = "; ".join(filter(None, ("" if enabled else "disabled", _words(row))))
        yield number, name, _words(wanted) or "every letter", to, also, others


def _recipients(table: Table) -> Iterator[tuple[Any, ...]]:
    for each in table.recipients.values():
        yield (
            each.name,
            each.title,
            each.deliver_to,
            each.email,
            each.deputy,
            "; ".join(_acknowledging(each)),
        )


def _acknowledging(recipient: Recipient) -> Iterator[str]:
    """Yield by whom a recipient's letters are acknowledged, and how soon."""
    if recipient.members:
        yield f"by {', '.join(recipient.members)}"
    if recipient.acknowledge_within:
        yield f"within {recipient.acknowledge_within}"
    if recipient.remind_every:
        yield f"told again every {recipient.remind_every}"
    if recipient.digest:
        yield f"digest at {recipient.digest}"
    if recipient.manager:
        yield f"manager {recipient.manager}"
    if recipient.last_resort:
        yield "last resort"


def _covers(table: Table, today: date) -> Iterator[tuple[Any, ...]]:
    for each in table.delegations:
        by = each.to or f"{table.recipients[each.from_].deputy} (deputy)"
        services = each.services or "all but confidential post"
        others = "; ".join(filter(None, ("keep_copy" if each.keep_copy else "", each.reason)))
        yield each.from_, by, each.starts, each.ends, _state(each, today), services, others


def _state(cover: Delegation, today: date) -> str:
    if cover.ends < today:
        return "ended"
    return "active" if cover.starts <= today else "planned"


def _words(values: dict[str, Any]) -> str:
    """Return conditions or options of a route on one line, those under `not` with that word."""
    from daemon.routing.conditions import in_words

    words = []
    for key, value in values.items():
        if isinstance(value, dict):
            words += [f"not {key}: {in_words(_as_tuple(each))}" for key, each in value.items()]
        else:
            words.append(f"{key}: {in_words(_as_tuple(value))}")
    return "; ".join(words)


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value
