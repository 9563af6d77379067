"""Commands for those who get letters: hand over what somebody holds who leaves."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli import completion
from daemon.cli.confirmation import DryRun, Yes, confirm
from daemon.cli.output import Json, options, print_json, whoami
from daemon.cli.stored import wake_service
from daemon.cli.tables import printable

if TYPE_CHECKING:
    from daemon.config.loader import Configuration
    from daemon.page.editing.publishing import Publisher
    from daemon.page.handover import HandOver
    from daemon.routing.table import Table

_WORDS = {
    "member": "member of {about}",
    "manager": "manager of {about}",
    "route": "the route {about!r}",
    "deputy": "deputy of {about}",
    "cover": "the cover {about}",
    "letters": "letters that nobody has acknowledged: {count}",
    "deadlines": "open deadlines: {count}",
    "calendars": "calendars, which are revoked: {count}",
}


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    recipients = typer.Typer(help="Hand over what somebody holds.", no_args_is_help=True)
    recipients.callback()(_group)
    recipients.command("handover")(hand_over)
    app.add_typer(recipients, name="recipients")


def _group() -> None:
    """Hand over what somebody holds."""


def hand_over(
    context: typer.Context,
    from_: Annotated[
        str,
        typer.Argument(
            metavar="FROM",
            help="Who leaves: an e-mail address, a user name or a recipient.",
            autocompletion=completion.recipients,
        ),
    ],
    to: Annotated[
        str,
        typer.Argument(
            metavar="TO",
            help="Who takes over, named likewise.",
            autocompletion=completion.recipients,
        ),
    ],
    *,
    yes: Yes = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Put TO in the place of FROM: in routing.toml, for letters and for deadlines.

    Shows first what FROM holds. Comments in routing.toml stay. Calendars of FROM are revoked.
    """
    from daemon.page.editing.publishing import Publisher
    from daemon.page.handover import HandOvers
    from daemon.runtime import logs
    from daemon.service import stack
    from daemon.store import Actor

    logs.configure()
    configuration = stack.load_configuration(options(context).config)
    table = stack.read_routing(configuration)
    with closing(stack.open_store(configuration)) as store:
        publisher = Publisher(store, configuration.routing.file, stack.utc_now)
        text = publisher.read().text
        handovers = HandOvers(store=store, text=text, table=table, clock=stack.utc_now)
        handed = handovers.prepare(from_, to)
        after = _table_after(configuration, handed)
        if not json:
            _print_preview(handed)
        acts = bool(handed.holds) and not dry_run
        if acts:
            confirm(f"All of this is handed over from {from_} to {to}.", yes=yes)
            _publish(publisher, handed)
            handovers.finish(handed, after, Actor(name=whoami()))
            wake_service(configuration)
    if json:
        facts = {"from": from_, "to": to, "holds": handed.holds, "lacking": handed.lacking}
        print_json({**facts, "done": acts})
    elif acts:
        typer.echo(printable(f"handed over to {to}"))


def _table_after(configuration: Configuration, handed: HandOver) -> Table:
    """Return the table that names the other. Raises ConfigurationError if it has faults."""
    from daemon.core.errors import ConfigurationError
    from daemon.page.editing.draft import checked

    found = checked(handed.draft.text, [each.name for each in configuration.destinations])
    if found.table is None:
        raise ConfigurationError(found.faults)
    return found.table


def _publish(publisher: Publisher, handed: HandOver) -> None:
    from daemon.core.accounts import ChangeSource
    from daemon.store import Intent

    if not handed.draft.is_changed:
        return
    intent = Intent(
        version=handed.draft.version,
        version_before=handed.draft.base_version,
        text=handed.draft.text,
        by=whoami(),
        reason=f"{handed.name} -> {handed.to}",
        source=ChangeSource.COMMAND,
    )
    publisher.publish(intent, handed.draft.base_version)


def _print_preview(handed: HandOver) -> None:
    lines = [f"{handed.name} holds:" if handed.holds else f"{handed.name} holds nothing"]
    for each in handed.holds:
        words = _WORDS[each.kind.value].format(about=each.about, count=each.count)
        lines.append(f"  {words}")
    lines += [
        f"warning: the user {handed.to} may not receive for {name}; `postmottak web users grant "
        f"{handed.to} --role receiver --recipient {name}` gives the right"
        for name in handed.lacking
    ]
    for line in lines:
        typer.echo(printable(line))
