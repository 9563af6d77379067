"""`deadlines calendars`: calendars that other programs read by a secret address."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from daemon.cli import completion
from daemon.cli.output import Json, print_json, print_list, whoami
from daemon.cli.stored import opened, opened_store

_SHORT = 8  # characters of an id that people see


def add_to(deadlines: typer.Typer) -> None:
    """Add the group."""
    calendars = typer.Typer(
        help="Deadlines in Outlook and other calendars, by a secret address.",
        no_args_is_help=True,
    )
    calendars.command("list")(list_calendars)
    calendars.command("add")(add)
    calendars.command("revoke")(revoke)
    deadlines.add_typer(calendars, name="calendars")


def list_calendars(context: typer.Context, *, json: Json = False) -> None:
    """List the calendars. Their addresses are kept nowhere."""
    with opened_store(context) as store:
        found = [each.model_dump() for each in store.calendars.all()]
    if json:
        print_json(found)
        return
    columns = ("id", "user", "recipient", "titles", "made", "by", "last used")
    print_list("calendar", columns, map(_line, found))


def _line(calendar: dict[str, Any]) -> list[object]:
    names = ("user", "recipient", "titles", "made_at", "made_by", "used_at")
    return [calendar["id"][:_SHORT], *(calendar[name] for name in names)]


def add(
    context: typer.Context,
    *,
    user: Annotated[
        str, typer.Option(help="A user of the page: with what they see there, and while they do.")
    ] = "",
    recipient: Annotated[
        str,
        typer.Option(
            help="Only the letters of this recipient of the routing table.",
            autocompletion=completion.recipients,
        ),
    ] = "",
    titles: Annotated[
        bool, typer.Option("--titles", help="With the titles of letters that are not confidential.")
    ] = False,
) -> None:
    """Make a calendar, and print its address.

    It lets in anybody who has it, until it is revoked. Without --user, no confidential letter is in
    it.
    """
    from daemon.cli.letter_filter import require_recipient
    from daemon.config.web import WebSettings
    from daemon.service.stack import utc_now
    from daemon.store import Actor

    if not (user or recipient):
        raise typer.BadParameter("use --user, --recipient or both")
    with opened(context) as (configuration, store):
        if recipient:
            require_recipient(store, recipient)
        settings = configuration.web or WebSettings()
        actor = Actor(name=whoami())
        token = store.calendars.make(
            utc_now(), actor, user=user or None, recipient=recipient, titles=titles
        )
    typer.echo(f"{settings.url}/deadlines/{token}.ics")
    sys.stderr.write("valid until it is revoked; it is not shown again\n")


def revoke(
    context: typer.Context,
    calendar: Annotated[str, typer.Argument(help="The ID, or its first characters.")],
) -> None:
    """End a calendar: its address no longer works."""
    from daemon.service.stack import utc_now
    from daemon.store import Actor

    with opened_store(context) as store:
        ended = store.calendars.revoke(calendar, utc_now(), Actor(name=whoami()))
    typer.echo(f"calendar {ended.id[:_SHORT]} is revoked")
