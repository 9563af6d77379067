"""Commands about keeping and deleting: what retention deletes and has deleted, backup, restore, and whether the store is sound."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli.output import Exit, Json, Progress, options, print_json, print_table, whoami

if TYPE_CHECKING:
    from daemon.maintenance.integrity import IntegrityReport


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    retention = typer.Typer(
        help="How long letters are kept, and what was deleted.", no_args_is_help=True
    )
    for command in (run, log):
        retention.command()(command)
    database = typer.Typer(help="The database and the attachments' bytes.", no_args_is_help=True)
    database.command("check")(check)
    app.add_typer(retention, name="retention")
    app.add_typer(database, name="db")
    app.command()(backup)
    app.command()(restore)


def run(
    context: typer.Context,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would go, and delete nothing.")
    ] = False,
    trust_clock: Annotated[
        bool,
        typer.Option(
            "--trust-clock",
            help="The clock of this machine is right, whatever the last record in the database.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Delete what [retention] and the routes no longer keep.

    The service does it every day by itself, and has to be stopped for this.
    """
    from daemon.runtime import logs as logging
    from daemon.service import stack

    logging.configure()
    checked = stack.load(options(context).config)
    with stack.housekeeping(checked, alone=not dry_run, trust_clock=trust_clock) as housekeeping:
        if dry_run:
            due = list(housekeeping.due())
            rows = [
                (each.letter.message_id, each.letter.fetched_at, part, rule)
                for each in due
                for part, rule in each.rules.items()
            ]
            _print(("message", "fetched_at", "part", "rule"), rows, json=json)
            return
        tidied = housekeeping.run(whoami(), threading.Event())
    if json:
        print_json(tidied)
        return
    typer.echo(
        ", ".join(f"{count} times {part}" for part, count in tidied.deleted.items())
        or "no letter's time is over"
    )
    if tidied.files is None:
        typer.echo("files were left for a later round: a backup or a check reads them")
    else:
        typer.echo(f"{tidied.files} files removed that no letter needs, {tidied.bytes} bytes")


def log(
    context: typer.Context,
    *,
    limit: Annotated[int, typer.Option(help="How many at the most.", min=1)] = 200,
    json: Json = False,
) -> None:
    """List what was deleted, the newest first: when, by whom, and by which rule."""
    from daemon.runtime import logs as logging
    from daemon.service import stack

    logging.configure()
    store = stack.open_store(stack.load_configuration(options(context).config))
    found = store.retention.deletions(limit)
    store.close()
    columns = ("message", "deleted_at", "part", "by", "rule")
    _print(
        columns,
        [(each.message_id, each.deleted_at, each.part, each.by, each.rule) for each in found],
        json=json,
    )


def backup(
    context: typer.Context,
    folder: Annotated[
        Path, typer.Argument(help="A folder that is empty, or that there is not yet.")
    ],
    *,
    json: Json = False,
) -> None:
    """Write the store to a folder, also while the service runs: the database as it is at one moment, and the bytes that it names."""
    from daemon.maintenance.backup import make_backup
    from daemon.runtime import logs as logging
    from daemon.service import stack

    logging.configure()
    configuration = stack.load_configuration(options(context).config)
    stack.open_store(configuration).close()  # there is one, and its tables are up to date
    made = make_backup(
        configuration.store.database_path,
        stack.open_content(configuration),
        folder,
        stack.utc_now(),
    )
    if json:
        print_json(made)
    else:
        typer.echo(f"{made.messages} letters and {made.files} files are in {folder}, and checked")
        for fault in made.faults:
            typer.echo(f"FAIL {fault}")
    raise typer.Exit(Exit.WRONG if made.faults else Exit.FINE)


def restore(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="A folder that `postmottak backup` has written.")],
    *,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace", help="Put the database that is there aside, and take the backup's."
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Put a backup in the place of the store.

    The service must not run; nothing is delivered before it does again.
    """
    from daemon.maintenance.backup import restore_backup
    from daemon.runtime import logs as logging
    from daemon.service import stack
    from daemon.store.lock import InstanceLock

    logging.configure()
    configuration = stack.load_configuration(options(context).config)
    path = configuration.store.database_path
    lock = InstanceLock(path)
    try:
        found = restore_backup(
            folder, path, stack.open_content(configuration), stack.utc_now(), replace=replace
        )
    finally:
        lock.release()
    _print_soundness(found, json=json)


def check(context: typer.Context, *, json: Json = False) -> None:
    """Check the database, and that every attachment's bytes are what they were.

    Reads everything, and changes nothing.

    The service may run: of the database, a copy beside it is checked, if there is room for one.
    """
    from daemon.core.errors import StoreError
    from daemon.maintenance.integrity import IntegrityReport, check_store
    from daemon.runtime import logs as logging
    from daemon.service import stack
    from daemon.store.sqlite_file import copied, corruption

    logging.configure()
    configuration = stack.load_configuration(options(context).config)
    path = configuration.store.database_path
    progress = Progress()
    try:
        store = stack.open_store(configuration)
        progress("copying the database")
        with copied(path) as copy:
            found = check_store(copy, store, stack.open_content(configuration), progress)
        store.close()
    except StoreError:
        faults = corruption(path) if path.exists() else []
        if not faults:
            raise
        found = IntegrityReport(corruption=faults)
    _print_soundness(found, json=json)


def _print_soundness(found: IntegrityReport, *, json: bool) -> None:
    if json:
        print_json({"ok": found.ok, **asdict(found)})
    else:
        for line in found.corruption:
            typer.echo(f"FAIL database: {line}")
        for line in found.faults:
            typer.echo(f"FAIL content: {line}")
        typer.echo(
            f"{found.files} files are needed, {found.orphans} more are there, which the "
            "service removes when they are a day old"
        )
        if found.corruption:
            typer.echo(
                "The database is damaged. Stop the service, and take the newest backup: "
                "`postmottak restore FOLDER --replace`"
            )
        elif found.faults:
            typer.echo(
                "Copy the missing files from a backup's folder `content` to the same place in "
                "the store's; deliveries then go on"
            )
        else:
            typer.echo("The store is in order.")
    raise typer.Exit(Exit.FINE if found.ok else Exit.WRONG)


def _print(columns: tuple[str, ...], rows: Sequence[Sequence[object]], *, json: bool) -> None:
    if json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table(columns, rows)
