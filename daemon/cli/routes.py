"""Commands for the routing table: list, explain, test, lint, apply, export and import."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli.apply_table import Since, apply, arrived_since
from daemon.cli.explanation import print_explanation
from daemon.cli.output import Exit, Json, counted, options, print_json, print_table, printable

if TYPE_CHECKING:
    from daemon.config.loader import Configuration
    from daemon.core.model import DecisionValues
    from daemon.routing.decide import Earlier
    from daemon.routing.dryrun import DryRun
    from daemon.routing.facts import Facts
    from daemon.routing.table import Table
    from daemon.service.stack import LoadedConfig


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    routes = typer.Typer(help="Inspect, test and edit the routing table.", no_args_is_help=True)
    routes.command("list")(list_routes)
    for command in (explain, lint, apply):
        routes.command()(command)
    routes.command("test")(try_table)
    routes.command("export")(export_table)
    routes.command("import")(import_table)
    app.add_typer(routes, name="routes")


def list_routes(context: typer.Context, *, json: Json = False) -> None:
    """List the routes in the order in which they are tried, as the file says now.

    `postmottak status` shows whether the file is active.
    """
    from pydantic_core import to_jsonable_python

    table = _checked(context).table
    if json:
        print_json(to_jsonable_python({"version": table.version, **table.rows}))
        return
    columns = ("route", "conditions", "to", "also")
    rows = []
    for row in table.rows["route"]:
        actions = {key: row.pop(key, ()) for key in ("to", "copy_to", "deliver_to")}
        name = row.pop("name")
        rows.append(
            (name, _words(row), actions["to"], [*actions["copy_to"], *actions["deliver_to"]])
        )
    print_table(columns, rows)


def _words(conditions: dict[str, Any]) -> str:
    from daemon.routing.spreadsheet.diff import in_short

    return "; ".join(f"{key}: {in_short(value)}" for key, value in conditions.items())


def _checked(context: typer.Context) -> LoadedConfig:
    from daemon.runtime import logs
    from daemon.service import stack

    logs.configure()
    return stack.load(options(context).config)


def explain(
    context: typer.Context,
    message: Annotated[
        str, typer.Argument(help="A stored letter: its ID, or the first characters.")
    ] = "",
    *,
    service: Annotated[str, typer.Option(help="Instead of a stored letter: the service.")] = "",
    sender: Annotated[str, typer.Option(help="The sender: an organisation number or a name.")] = "",
    title: Annotated[str, typer.Option(help="The title.")] = "",
    party: Annotated[
        str, typer.Option(help="The organisation number that the letter is for.")
    ] = "",
    reference: Annotated[str, typer.Option(help="The sender's reference.")] = "",
    json: Json = False,
) -> None:
    """Explain how a letter is routed: every route tried, and which one decides."""
    from daemon.routing.explain import explain as explain_facts
    from daemon.service.stack import utc_now

    described = {
        "service": service,
        "sender": sender,
        "title": title,
        "party": party,
        "reference": reference,
    }
    if bool(message) == any(described.values()):
        raise typer.BadParameter(
            "name a stored letter, or describe one with --service, --sender, --title, --party "
            "or --reference"
        )
    if message:
        _explain_stored(context, message, json=json)
        return
    table = _checked(context).table
    explanation = explain_facts(table, _facts(at=utc_now(), **described))
    if json:
        print_json(
            {
                "version": table.version,
                "tried": explanation.tried,
                "decision": explanation.decision,
                "stored": None,
            }
        )
        return
    print_explanation(explanation)


def _explain_stored(context: typer.Context, message: str, *, json: bool) -> None:
    """Explain with the table that decided it.

    Later changes of routing.toml and of the destinations do not matter.
    """
    from daemon.intake import rerouting
    from daemon.routing.explain import explain as explain_facts
    from daemon.runtime import logs
    from daemon.service import stack

    logs.configure()
    store = stack.open_store(stack.load_configuration(options(context).config))
    letter = store.rerouting.decided(store.queries.message(message).id)
    table = stack.table_of(store, letter.decision.routing_version)
    store.close()
    facts = rerouting.facts_of_stored(letter, letter.decision.decided_at)
    explanation = explain_facts(table, facts, _followed(letter.decision))
    if json:
        stored = letter.decision.model_dump(exclude={"message_id"})
        print_json(
            {
                "version": table.version,
                "tried": explanation.tried,
                "decision": explanation.decision,
                "stored": stored,
            }
        )
        return
    print_explanation(explanation)
    made = letter.decision
    typer.echo(
        f"decided {made.decided_at:%Y-%m-%d %H:%M:%S} by table {table.version[:12]}, "
        f"{made.route}: {', '.join(made.recipients)}"
    )


def _followed(decision: DecisionValues) -> Earlier | None:
    """Return the earlier letter that this decision followed, as it was then."""
    from daemon.routing.decide import Earlier

    thread = decision.why.get("thread")
    if thread is None:
        return None
    return Earlier(
        message=thread["earlier"],
        thread=thread["shares"],
        route=thread["route"],
        recipients=tuple(decision.chosen),
        deliver_to=tuple(decision.direct),
    )


def _facts(
    *, at: datetime, service: str, sender: str, title: str, party: str, reference: str
) -> Facts:
    from daemon.core.dpv import find_service
    from daemon.core.folding import readable
    from daemon.routing.facts import Facts

    known = find_service(service) if service else None
    if service and known is None:
        raise typer.BadParameter(
            f"{service!r} is not a service; list them with `postmottak services`"
        )
    number = readable(sender).replace(" ", "")
    return Facts(
        service=known.code if known else "",
        at=at,
        party=party,
        sender_org=number if number.isdigit() else None,
        sender_name="" if number.isdigit() else sender,
        title=title,
        reference=reference,
        confidential=bool(known and known.confidential),
    )


def try_table(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(help="A routing table, such as an edited copy of routing.toml.")
    ],
    *,
    since: Since = "90d",
    json: Json = False,
) -> None:
    """Compare another routing table with the current one, using stored letters.

    Shows only what would change. Exits with code 5 if anything would.
    """
    from daemon.intake import rerouting
    from daemon.routing import dryrun
    from daemon.routing.table import read_table
    from daemon.service import stack

    checked = _checked(context)
    other = read_table(file, [each.name for each in checked.configuration.destinations])
    store = stack.open_store(checked.configuration)
    follow_threads = checked.table.follows_threads or other.follows_threads
    result = dryrun.compare(
        checked.table,
        other,
        rerouting.samples(store, arrived_since(since), follow_threads=follow_threads),
    )
    store.close()
    if json:
        print_json({"letters": result.letters, "changed": len(result.moves), "moves": result.moves})
    else:
        _print_dry_run(result)
    raise typer.Exit(Exit.CHANGED if result.moves else Exit.FINE)


def _print_dry_run(result: DryRun) -> None:
    typer.echo(f"{counted(result.letters, 'letter')}: {len(result.moves)} would change")
    for before, after, count in result.summary:
        typer.echo(
            f"  {count} from {' and '.join(before) or 'no one'} to "
            f"{' and '.join(after) or 'no one'}"
        )


def lint(context: typer.Context, *, json: Json = False) -> None:
    """Point out table entries that look outdated.

    These are routes without letters, recipients without routes, and covers that end soon.
    """
    from daemon.core.times import norwegian_day
    from daemon.routing.lint import lint as lint_table
    from daemon.service import stack

    checked = _checked(context)
    store = stack.open_store(checked.configuration)
    remarks = lint_table(
        checked.table,
        destinations=[each.name for each in checked.configuration.destinations],
        matched=store.rerouting.taken(arrived_since("365d")),
        today=norwegian_day(stack.utc_now()),
    )
    store.close()
    if json:
        print_json(remarks)
        return
    for remark in remarks:
        typer.echo(f"{remark.subject}: {remark.text}")


def export_table(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="File to write; its name ends in .csv or .xlsx.")],
) -> None:
    """Export the table to a spreadsheet."""
    from daemon.core.errors import OperatorError
    from daemon.routing.spreadsheet.table_rows import write_sheet

    try:
        write_sheet(_checked(context).table, file)
    except FileExistsError as error:
        raise OperatorError(f"{file} exists already; choose another file") from error
    except OSError as error:
        raise OperatorError(
            f"{file} cannot be written: {error.strerror}; choose another file"
        ) from error
    typer.echo(f"written to {file}")


def import_table(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A spreadsheet in the format of `routes export`.")],
    *,
    write: Annotated[
        bool, typer.Option("--write", help="Replace the routing table's file, which activates it.")
    ] = False,
) -> None:
    """Show what a spreadsheet would change in the table; with --write, change it.

    Comments in routing.toml are lost; the old file is kept as routing.toml.old.
    """
    from daemon.core.errors import OperatorError
    from daemon.routing.spreadsheet import diff
    from daemon.routing.spreadsheet.table_rows import read_sheet
    from daemon.runtime import logs
    from daemon.service import stack

    logs.configure()
    configuration = stack.load_configuration(options(context).config)
    target = configuration.routing.file
    other = read_sheet(file, [each.name for each in configuration.destinations])
    present, is_faulty = _present(configuration)
    differences = diff.differences(present, other)
    for line in differences or ["nothing would change"]:
        typer.echo(printable(line))
    if not (differences or is_faulty):
        return
    keeps = f"comments in it are lost; the old file is kept as {target.name}.old"
    typer.echo(f"{'writing' if write else 'use --write to update'} {target}: {keeps}")
    if write:
        try:
            diff.replace_file(target, other.text)
        except OSError as error:
            raise OperatorError(
                f"{target} cannot be written: {error.strerror}; nothing was changed"
            ) from error


def _present(configuration: Configuration) -> tuple[Table, bool]:
    """Return the table that the file says now, and False.

    If the file has faults, return the active table, and True: a spreadsheet must be able to fix it.
    """
    from daemon.core.errors import ConfigurationError
    from daemon.service import stack

    try:
        return stack.read_routing(configuration), False
    except ConfigurationError:
        store = stack.open_store(configuration)
        current = store.queries.table_in_force()
        if current is None:
            raise
        typer.echo(
            f"{configuration.routing.file} has errors; comparing with the active table instead"
        )
        in_force = stack.table_of(store, current.version)
        store.close()
        return in_force, True
