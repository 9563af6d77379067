"""Commands for retention, backup, restore, and the integrity of the store."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli.json_rows import print_json_list
from daemon.cli.output import (
    Exit,
    Json,
    Progress,
    counted,
    options,
    print_json,
    print_table,
    whoami,
)
from daemon.cli.stored import Limit
from daemon.cli.tables import print_lines
from daemon.core.errors import OperatorError

if TYPE_CHECKING:
    from daemon.config.store import StoreSettings
    from daemon.maintenance.housekeeping import Due
    from daemon.maintenance.integrity import IntegrityReport

_DUE = {"message": 36, "fetched_at": 21, "part": 11, "rule": 0}
"""The columns of what would be deleted, with their widths; the last needs none."""


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    retention = typer.Typer(
        help="Delete expired letters, and list what was deleted.", no_args_is_help=True
    )
    for command in (run, log):
        retention.command()(command)
    database = typer.Typer(
        help="Check the database and the stored attachments, and upgrade the tables.",
        no_args_is_help=True,
    )
    database.command("check")(check)
    database.command("upgrade")(upgrade)
    app.add_typer(retention, name="retention")
    app.add_typer(database, name="db")
    app.command()(backup)
    app.command()(restore)


def run(
    context: typer.Context,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be deleted, and delete nothing.")
    ] = False,
    trust_clock: Annotated[
        bool,
        typer.Option(
            "--trust-clock",
            help="Trust this machine's clock even if the database has later records.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Delete what [retention] and the routes no longer keep.

    The service does this every day by itself; stop it before running this command, and every node
    of a store that has several.
    """
    from daemon.runtime import logs as logging
    from daemon.service import stack

    logging.configure()
    checked = stack.load(options(context).config)
    with stack.housekeeping(checked, alone=not dry_run, trust_clock=trust_clock) as housekeeping:
        if dry_run:
            _print_due(housekeeping.due(Progress()), json=json)
            return
        tidied = housekeeping.run(whoami(), threading.Event())
    if json:
        print_json(tidied)
        return
    typer.echo(
        ", ".join(
            f"{part} of {counted(count, 'letter')} deleted"
            for part, count in tidied.deleted.items()
        )
        or "nothing to delete"
    )
    if tidied.events:
        typer.echo(f"{counted(tidied.events, 'event')} of the page's log removed")
    if tidied.files is None:
        typer.echo("unused files stay until the next run: a backup or a check is reading them")
    else:
        typer.echo(f"{counted(tidied.files, 'unused file')} removed, {tidied.bytes} bytes")


def _print_due(due: Iterable[Due], *, json: bool) -> None:
    """Print what would be deleted as it is found: it may be most of a large store."""
    rows = (
        (each.letter.message_id, each.letter.fetched_at, part, rule)
        for each in due
        for part, rule in each.rules.items()
    )
    if json:
        print_json_list(dict(zip(_DUE, row, strict=True)) for row in rows)
    else:
        print_lines(list(_DUE.items()), rows)


def log(
    context: typer.Context,
    *,
    limit: Limit = 200,
    json: Json = False,
) -> None:
    """List what was deleted, newest first: when, by whom, and by which rule."""
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
    folder: Annotated[Path, typer.Argument(help="An empty or a new folder.")],
    *,
    full: Annotated[
        bool,
        typer.Option(
            "--full",
            help="Read and check every attachment, also those that the newest backup in the same "
            "parent folder has.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Write a backup of the database and the attachments to a folder.

    The service may run: the backup shows the store at one moment. Attachments that the newest
    backup in the same parent folder has are linked from there, and are not read again.
    """
    from daemon.maintenance.backup import make_backup
    from daemon.runtime import logs as logging
    from daemon.service import stack

    logging.configure()
    configuration = stack.load_configuration(options(context).config)
    _refuse_server(
        configuration.store,
        "take a dump first, with `pg_dump --format custom`, or let the server's own backups do it, "
        f"and copy the folder {configuration.store.content} after that",
    )
    stack.open_store(configuration).close()  # the database exists, and its schema is current
    made = make_backup(
        configuration.store.beside,
        stack.open_content(configuration),
        folder,
        stack.utc_now(),
        full=full,
        report=Progress(),
    )
    if json:
        print_json(made)
    else:
        if made.content:
            typer.echo(
                f"{counted(made.messages, 'letter')} saved in {folder}, without attachments: these "
                f"{counted(made.files, 'file')} are in {made.content}, which must keep them itself"
            )
        else:
            typer.echo(
                f"{counted(made.messages, 'letter')} and {counted(made.files, 'file')} saved in "
                f"{folder} and verified"
            )
        if made.unchanged:
            typer.echo(
                f"{counted(made.unchanged, 'file')} of these an earlier backup had; to read and "
                "check them again, use --full"
            )
        for fault in made.faults:
            typer.echo(f"FAIL {fault}")
    raise typer.Exit(Exit.WRONG if made.faults else Exit.FINE)


def restore(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="A folder written by `postmottak backup`.")],
    *,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Set the existing database aside, and use the backup's."),
    ] = False,
    json: Json = False,
) -> None:
    """Restore a backup.

    The service must be stopped; nothing is delivered until it is started again.
    """
    from daemon.maintenance.backup import restore_backup
    from daemon.runtime import logs as logging
    from daemon.service import stack
    from daemon.service.store_access import refuse_closed_store
    from daemon.store.lock import InstanceLock

    logging.configure()
    configuration = stack.load_configuration(options(context).config)
    _refuse_server(
        configuration.store,
        "restore the dump with `pg_restore`, and copy the content to "
        f"{configuration.store.content}, where files that are there already may stay",
    )
    refuse_closed_store(configuration.store)
    path = configuration.store.beside
    lock = InstanceLock(path)
    try:
        found = restore_backup(
            folder, path, stack.open_content(configuration), stack.utc_now(), replace=replace
        )
    finally:
        lock.release()
    _print_soundness(found, json=json)


def _refuse_server(store: StoreSettings, remedy: str) -> None:
    """Refuse what is about a database file. Raises OperatorError."""
    if not store.is_file:
        raise OperatorError(
            f"The database is on PostgreSQL, which has its own tools for this: {remedy}; see "
            "docs/postgresql.md"
        )


def check(context: typer.Context, *, json: Json = False) -> None:
    """Check the database, every attachment, and the log of events.

    Reads everything and changes nothing. The service may run: if there is room, a copy of the
    database is checked.
    """
    from daemon.core.errors import StoreError
    from daemon.maintenance.integrity import IntegrityReport, check_store
    from daemon.runtime import logs as logging
    from daemon.service import stack
    from daemon.store.snapshot import copied
    from daemon.store.sqlite_file import corruption

    logging.configure()
    configuration = stack.load_configuration(options(context).config)
    path = configuration.store.beside
    progress = Progress()
    try:
        store = stack.open_store(configuration)
        content = stack.open_content(configuration)
        with copied(path, progress) if configuration.store.is_file else nullcontext() as copy:
            found = check_store(copy, store, content, progress)
        store.close()
    except StoreError:
        faults = corruption(path) if os.path.exists(path) else []  # noqa: PTH110  # or it is hidden
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
        if found.changed_event:
            typer.echo(
                f"FAIL log of events: event {found.changed_event} was changed or removed by hand. "
                "Compare the log with that of an older backup, and ask who may write the database"
            )
        for line in found.wrong_counts:
            typer.echo(
                f"FAIL numbers: {line}. Only `status` and the page use them, and no letter is "
                "affected; report this as a fault"
            )
        typer.echo(
            f"{counted(found.files, 'file')} in use, {found.orphans} unused "
            "(unused files are removed after a day)"
        )
        if found.corruption:
            typer.echo(
                "The database is damaged. Stop the service, and restore the newest backup: "
                "`postmottak restore FOLDER --replace`"
            )
        elif found.faults:
            typer.echo(
                "Copy the missing files from the folder `content` of a backup to the same place in "
                "the content folder; the deliveries then continue"
            )
        elif found.ok:
            typer.echo("The store is in order.")
    raise typer.Exit(Exit.FINE if found.ok else Exit.WRONG)


def _print(columns: tuple[str, ...], rows: Sequence[Sequence[object]], *, json: bool) -> None:
    if json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table(columns, rows)


def upgrade(
    context: typer.Context,
    *,
    user: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="On PostgreSQL: the owner of the tables, if that is not the service's user.",
        ),
    ] = "",
    password_file: Annotated[
        Path | None, typer.Option(help="The file with the password of this user.")
    ] = None,
    json: Json = False,
) -> None:
    """Bring the tables up to date with this version.

    Each start of the service does this by itself, if its user may. With --user another one does,
    and the service's user is given what it needs: it may read and write rows, and change no table.
    Other nodes may run meanwhile, unless the command says that they may not. A database on SQLite
    must not be in use.
    """
    from daemon.cli.store import settings_at
    from daemon.runtime import logs as logging
    from daemon.service import stack
    from daemon.service.store_upgrade import upgrade_store, url_as

    logging.configure()
    if password_file and not user:
        raise typer.BadParameter("--password-file needs --user")
    settings = stack.load_configuration(options(context).config).store
    if user and settings.is_file:
        raise OperatorError("--user is for PostgreSQL only")
    owner = settings_at(settings, url_as(settings.database, user), password_file) if user else None
    done = upgrade_store(settings, owner)
    if json:
        print_json(asdict(done))
        return
    if done.before == done.after:
        typer.echo(f"The tables are those of this version, {done.after}: nothing to do.")
    else:
        typer.echo(f"The tables were upgraded: from {done.before or 'none'} to {done.after}.")
    if done.service_user:
        typer.echo(f"{done.service_user} may read and write their rows.")
