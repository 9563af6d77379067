"""Commands about the routing table: look at it, ask why, try an edit, carry it to a spreadsheet and back, and put it to work anew."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli.output import Exit, Json, options, print_json, print_table

if TYPE_CHECKING:
    from daemon.app import Checked
    from daemon.routing.dryrun import DryRun
    from daemon.routing.explain import Explanation
    from daemon.routing.facts import Facts

_CHANGED = 5
Since = Annotated[str, typer.Option(help="Letters that came in this length of time, such as 90d.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    routes = typer.Typer(help="The routing table.", no_args_is_help=True)
    routes.command("list")(list_routes)
    for command in (explain, lint, apply):
        routes.command()(command)
    routes.command("test")(try_table)
    routes.command("export")(export_table)
    routes.command("import")(import_table)
    app.add_typer(routes, name="routes")


def list_routes(context: typer.Context, *, json: Json = False) -> None:
    """List the routes in force, in the order in which they are tried."""
    table = _checked(context).table
    if json:
        print_json({"version": table.version, **table.rows})
        return
    columns = ("route", "conditions", "to", "also")
    rows = []
    for each in table.routes:
        plain = each.model_dump(by_alias=True, exclude_defaults=True)
        actions = {key: plain.pop(key, ()) for key in ("to", "copy_to", "deliver_to")}
        name = plain.pop("name")
        rows.append((name, _words(plain), actions["to"], [*actions["copy_to"], *actions["deliver_to"]]))
    print_table(columns, rows)


def _words(conditions: dict[str, Any]) -> str:
    return "; ".join(f"{key}: {', '.join(map(str, value)) if isinstance(value, tuple) else value}" for key, value in conditions.items())


def _checked(context: typer.Context) -> Checked:
    from daemon import app, log

    log.configure()
    return app.load(options(context).config)


def explain(
    context: typer.Context,
    message: Annotated[str, typer.Argument(help="A stored letter: an id, or its beginning.")] = "",
    *,
    service: Annotated[str, typer.Option(help="Instead of a stored letter: its service.")] = "",
    sender: Annotated[str, typer.Option(help="Its sender: an organisation number or a name.")] = "",
    title: Annotated[str, typer.Option(help="Its title.")] = "",
    party: Annotated[str, typer.Option(help="The organisation that it is for.")] = "",
    reference: Annotated[str, typer.Option(help="The sender's reference.")] = "",
    json: Json = False,
) -> None:
    """Say why a letter goes where it goes: every route that is tried, and what decides."""
    from daemon import app, rerouting
    from daemon.routing.explain import explain as explain_facts

    checked = _checked(context)
    facts, decided = _facts(service, sender, title, party, reference), None
    if message:
        store = app.open_store(checked.configuration)
        decided = store.rerouting.decided(store.views.message(message).id)
        facts = rerouting.facts_of_stored(decided, decided.decision.decided_at)
        table, earlier = app.table_of(store, decided.decision.routing_version), rerouting.find_earlier(store, facts, decided.message.id)
        store.close()
    else:
        table, earlier = checked.table, None
    explanation = explain_facts(table, facts, earlier)
    if json:
        stored = decided.decision.model_dump(exclude={"message_id"}) if decided else None
        print_json({"version": table.version, "tried": explanation.tried, "decision": explanation.decision, "stored": stored})
        return
    _print_explanation(explanation)
    if decided:
        stored = decided.decision
        typer.echo(f"decided {stored.decided_at:%Y-%m-%d %H:%M:%S} by table {table.version[:12]}: {', '.join(stored.recipients)}")


def _facts(service: str, sender: str, title: str, party: str, reference: str) -> Facts:
    from daemon.app import utc_now
    from daemon.dpv import find_service
    from daemon.routing.facts import Facts

    known = find_service(service) if service else None
    if service and known is None:
        raise typer.BadParameter(f"{service!r} is no service; see `postmottak services`")
    return Facts(
        service=known.code if known else "",
        at=utc_now(),
        party=party,
        sender_org=sender if sender.isdigit() else None,
        sender_name="" if sender.isdigit() else sender,
        title=title,
        reference=reference,
        confidential=bool(known and known.confidential),
    )


def _print_explanation(explanation: Explanation) -> None:
    print_table(("route", "result", "why"), [(each.route, each.result, each.reason) for each in explanation.tried])
    decision = explanation.decision
    if decision is None:
        typer.echo("Confidential, and no route appoints a recipient: it stays in Altinn, and `postmottak status` says that it waits.")
        return
    if "thread" in decision.why:
        thread = decision.why["thread"]
        typer.echo(f"thread: follows letter {thread['earlier']}, with which it shares {thread['shares']}")
    for cover in decision.why.get("delegations", ()):
        typer.echo(f"delegation: {cover['to']} covers for {cover['from']} from {cover['starts']} to {cover['ends']}")
    for destination, names in decision.destinations.items():
        typer.echo(f"to {destination}" + (f" for {', '.join(names)}" if names else ""))


def try_table(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A routing table, such as an edited copy of routing.toml.")],
    *,
    since: Since = "90d",
    json: Json = False,
) -> None:
    """Run another table over stored letters, and show only what would change. Exit code 5 if anything would."""
    from daemon import app, rerouting
    from daemon.routing import dryrun
    from daemon.routing.table import read_table

    checked = _checked(context)
    other = read_table(file, [each.name for each in checked.configuration.destinations])
    store = app.open_store(checked.configuration)
    result = dryrun.compare(checked.table, other, rerouting.samples(store.rerouting.since(_start(since))))
    store.close()
    if json:
        print_json({"letters": result.letters, "changed": len(result.moves), "moves": result.moves})
    else:
        _print_dry_run(result)
    raise typer.Exit(_CHANGED if result.moves else Exit.FINE)


def _start(since: str) -> datetime:
    from daemon.app import utc_now
    from daemon.settings import duration

    try:
        return utc_now() - duration(since)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _print_dry_run(result: DryRun) -> None:
    typer.echo(f"{result.letters} letters: {len(result.moves)} would go elsewhere")
    for before, after, count in result.summary:
        typer.echo(f"  {count} from {' and '.join(before) or 'nobody'} to {' and '.join(after) or 'nobody'}")


def lint(context: typer.Context, *, json: Json = False) -> None:
    """Tell what in the table is probably no longer meant: routes without letters, recipients without routes, covers that end."""
    from daemon import app
    from daemon.routing.facts import NORWAY
    from daemon.routing.lint import lint as lint_table

    checked = _checked(context)
    store = app.open_store(checked.configuration)
    remarks = lint_table(
        checked.table,
        destinations=[each.name for each in checked.configuration.destinations],
        matched=store.rerouting.taken(_start("365d")),
        today=app.utc_now().astimezone(NORWAY).date(),
    )
    store.close()
    if json:
        print_json(remarks)
        return
    for remark in remarks:
        typer.echo(f"{remark.subject} {remark.text}")


def apply(context: typer.Context, *, since: Since, json: Json = False) -> None:
    """Route letters anew with the present table; those that belong elsewhere get new deliveries, and what was delivered stays recorded."""
    from daemon import app

    checked = _checked(context)
    store = app.open_store(checked.configuration)
    applied = app.rerouter(store, checked.table).apply(_start(since))
    store.close()
    changed = {str(key): {"added": added, "withdrawn": applied.withdrawn[key]} for key, added in applied.added.items()}
    if json:
        print_json({"letters": applied.letters, "changed": changed})
        return
    typer.echo(f"{applied.letters} letters: {len(changed)} routed anew")


def export_table(context: typer.Context, file: Annotated[Path, typer.Argument(help="A name that ends in .csv or .xlsx.")]) -> None:
    """Write the table to a spreadsheet."""
    from daemon.errors import OperatorError
    from daemon.routing.sheet import write_sheet

    try:
        write_sheet(_checked(context).table, file)
    except OSError as error:
        raise OperatorError(f"{file} cannot be written: {error.strerror}; name another file") from error
    typer.echo(f"written to {file}")


def import_table(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A spreadsheet as `routes export` writes it.")],
    *,
    write: Annotated[bool, typer.Option("--write", help="Put it in force: replace the routing table's file.")] = False,
) -> None:
    """Show what a spreadsheet would change in the table, and with --write, change it.

    Comments in routing.toml are lost then; the old file is kept.
    """
    from daemon.routing import sheet
    from daemon.routing.table import parse_table

    checked = _checked(context)
    values = sheet.read_sheet(file)
    text = sheet.toml_text(values)
    other = parse_table(text, str(file), [each.name for each in checked.configuration.destinations])
    differences = sheet.differences(checked.table, other)
    for line in differences or ["nothing would change"]:
        typer.echo(line)
    if write and differences:
        target = checked.configuration.routing.file
        sheet.replace_file(target, text)
        typer.echo(f"written to {target}; the old table is {target}.old")
