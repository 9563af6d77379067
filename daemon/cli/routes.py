"""Commands for the routing table: list, explain, test, lint, apply, export and import."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli import route_sheets
from daemon.cli.apply_table import Since, apply, arrived_since
from daemon.cli.explanation import print_explanation
from daemon.cli.json_rows import JsonRows
from daemon.cli.output import Exit, Json, counted, options, print_json
from daemon.cli.route_comparison import compare, compared_with, print_moves, read_other
from daemon.cli.route_list import end_of, list_routes, loaded
from daemon.cli.route_proposals import list_proposals
from daemon.cli.tables import local, printable
from daemon.core.callbacks import do_nothing

if TYPE_CHECKING:
    from daemon.routing.facts import Facts
    from daemon.service.stack import LoadedConfig


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    routes = typer.Typer(help="Inspect, test and edit the routing table.", no_args_is_help=True)
    routes.command("list")(list_routes)
    for command in (explain, lint, apply):
        routes.command()(command)
    routes.command("test")(try_table)
    routes.command("proposals")(list_proposals)
    route_sheets.add_to(routes)
    app.add_typer(routes, name="routes")


def _checked(context: typer.Context) -> LoadedConfig:
    from daemon.runtime import logs
    from daemon.service import stack

    logs.configure()
    return stack.load(options(context).config)


def explain(  # noqa: PLR0913  # one parameter for each option
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
    party_name: Annotated[str, typer.Option(help="What that organisation is called.")] = "",
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
        "party_name": party_name,
        "reference": reference,
    }
    if bool(message) == any(described.values()):
        raise typer.BadParameter(
            "name a stored letter, or describe one with --service, --sender, --title, --party, "
            "--party-name or --reference"
        )
    if message:
        _explain_stored(context, message, json=json)
        return
    checked = loaded(context)
    table = checked.table
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
    else:
        print_explanation(explanation)
    end_of(checked)


def _explain_stored(context: typer.Context, message: str, *, json: bool) -> None:
    """Explain with the table that decided it.

    Later changes of routing.toml and of the destinations do not matter.
    """
    from daemon.intake import rerouting
    from daemon.routing.decide import followed
    from daemon.routing.explain import explain as explain_facts
    from daemon.runtime import logs
    from daemon.service import stack

    logs.configure()
    store = stack.open_store(stack.load_configuration(options(context).config))
    letter = store.decisions.decided(store.queries.message(message).id)
    table = stack.table_of(store, letter.decision.routing_version)
    store.close()
    facts = rerouting.facts_of_stored(letter, letter.decision.decided_at)
    explanation = explain_facts(table, facts, followed(letter.decision))
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
    to = ", ".join([*made.recipients, *made.direct]) or "no one"
    line = f"decided {local(made.decided_at)} by table {table.version[:12]}, {made.route}: {to}"
    typer.echo(printable(line))


def _facts(
    *,
    at: datetime,
    service: str,
    sender: str,
    title: str,
    party: str,
    party_name: str,
    reference: str,
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
        party_name=party_name,
        sender_org=number if number.isdigit() else None,
        sender_name="" if number.isdigit() else sender,
        title=title,
        reference=reference,
        confidential=bool(known and known.confidential),
    )


def try_table(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            help="A routing table, such as an edited copy of routing.toml, or a spreadsheet in the "
            "format of `routes export`."
        ),
    ],
    *,
    since: Since = "90d",
    json: Json = False,
) -> None:
    """Compare another routing table with the current one, using stored letters.

    Shows only what would change. Exits with code 5 if anything would.
    """
    from daemon.service import stack

    checked = _checked(context)
    other = read_other(file, [each.name for each in checked.configuration.destinations])
    with JsonRows() as rows:
        with closing(stack.open_store(checked.configuration)) as store:
            keep = rows.add if json else do_nothing
            result = compare(store, checked.table, other, since, on_change=keep)
            compared = compared_with(store, checked.table, checked.configuration.routing.file)
        if json:
            facts = {"letters": result.letters, "changed": result.changed}
            rows.print_in({**facts, "compared_with": compared}, "moves")
        else:
            typer.echo(f"{counted(result.letters, 'letter')}: {result.changed} would change")
            print_moves(result)
            typer.echo(printable(f"compared with {compared.words}"))
    raise typer.Exit(Exit.CHANGED if result.changed else Exit.FINE)


def lint(context: typer.Context, *, json: Json = False) -> None:
    """Point out table entries that look outdated.

    These are routes without letters, recipients without routes, covers that end soon, and people
    who are neither e-mail addresses nor users of the page.
    """
    from daemon.core.times import norwegian_day
    from daemon.routing.lint import lint as lint_table
    from daemon.service import stack

    checked = _checked(context)
    store = stack.open_store(checked.configuration)
    remarks = lint_table(
        checked.table,
        destinations=[each.name for each in checked.configuration.destinations],
        matched=store.decisions.taken(arrived_since("365d")),
        today=norwegian_day(stack.utc_now()),
        users=[each.name for each in store.users.all()],
    )
    store.close()
    if json:
        print_json(remarks)
        return
    for remark in remarks:
        typer.echo(f"{remark.subject}: {remark.text}")
