"""`store`: move the store to another database, and use one again that was moved."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli.confirmation import Yes, confirm
from daemon.cli.output import Json, Progress, counted, options, print_json
from daemon.core.errors import OperatorError

if TYPE_CHECKING:
    from daemon.config.store import StoreSettings
    from daemon.service.store_move import StoreMove
    from daemon.store.transfer.moving import MovedStore

_store = typer.Typer(help="Move the store to another database.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(_store, name="store")


@_store.command("move")
def move(
    context: typer.Context,
    *,
    to: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="The empty database, as [store] database would have it.",
        ),
    ],
    password_file: Annotated[
        Path | None, typer.Option(help="The file with the password for that database.")
    ] = None,
    replace_nul: Annotated[
        bool,
        typer.Option(
            "--replace-nul",
            help="Replace U+0000 in texts, which PostgreSQL cannot store, with U+FFFD first.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Move the store from SQLite to PostgreSQL, or back.

    Stop the service and the page first. The database that [store] names is closed at once, and is
    not changed in anything else; every row is copied to the new one, and compared. If the command
    is interrupted, run it again. Attachments stay where they are.
    """
    from daemon.config.store import SEARCH
    from daemon.runtime import logs
    from daemon.service import stack
    from daemon.service.store_move import StoreMove

    logs.configure()
    file = options(context).config
    configuration = stack.load_configuration(file)
    target = settings_at(configuration.store, to, password_file)
    moving = StoreMove(
        configuration=configuration, target=target, replaces_zero_characters=replace_nul
    )
    moved = moving.run(stack.utc_now, Progress())
    for each in target.beside.parent.glob(f"{SEARCH}*"):
        each.unlink(missing_ok=True)  # the page fills it again
    if json:
        closed = configuration.store.database
        print_json({"database": target.database, "closed": closed, **asdict(moved)})
    else:
        _print(moved, moving, file)


def _print(moved: MovedStore, moving: StoreMove, file: Path) -> None:
    source, target = moving.configuration.store, moving.target
    if moved.was_done:
        typer.echo("The store was moved already.")
    else:
        typer.echo(
            f"{counted(sum(moved.rows.values()), 'row')} of {counted(len(moved.rows), 'table')} "
            "moved, and read again and compared in both databases."
        )
    typer.echo(f'Write into [store] of {file}:\n\n    database = "{target.database}"')
    if target.password_file:
        typer.echo(f'    password_file = "{target.password_file.path}"')
    elif not source.is_file:
        typer.echo("\nand remove password_file, own_files and node, where they are there.")
    typer.echo(
        f"\nThen run `postmottak check`, and start the service. {source.database} is closed, and "
        f"stays otherwise as it was; attachments stay in {source.content}; the page fills its "
        "search index again."
    )
    if moving.key.exists():
        typer.echo(f"The key that signs the journal is in {moving.key}; keep a copy of it.")


def settings_at(source: StoreSettings, url: str, password_file: Path | None) -> StoreSettings:
    """Return settings with another URL and password. Raises OperatorError."""
    from pydantic import ValidationError

    from daemon.config.store import StoreSettings

    try:
        return StoreSettings.model_validate(
            {
                "database": url,
                "content": source.content,
                "password_file": str(password_file.absolute()) if password_file else None,
            }
        )
    except ValidationError as error:
        found = error.errors()[0]
        option = "--password-file" if "password_file" in found["loc"] else "--to"
        said = found["msg"].removeprefix("Value error, ")
        raise OperatorError(f"{option} {said}") from None


@_store.command("reopen")
def reopen(context: typer.Context, *, yes: Yes = False) -> None:
    """Use a store again that `store move` has closed.

    For a move that was given up before it had ended, nothing is lost. After one that had ended,
    this store lacks what the other one has received, delivered and recorded since: a service that
    runs on it fetches and delivers that again. Never let services run on both.
    """
    from daemon.runtime import logs
    from daemon.service import stack
    from daemon.service.store_move import closing_move, reopen_store

    logs.configure()
    settings = stack.load_configuration(options(context).config).store
    mark = closing_move(settings)
    if mark and mark.is_source and mark.ended_at:
        confirm(
            f"The store was moved to {mark.other} at {mark.ended_at}. What that one has received "
            "and delivered since would be fetched and delivered again.",
            yes=yes,
        )
    mark = reopen_store(settings)
    typer.echo(
        f"{settings.database} can be used again. {mark.other} holds a copy, or a part of one: "
        "empty it, and let no service run on it"
    )
