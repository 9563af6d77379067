"""`postmottak routes export` and `import`: the routing table as a spreadsheet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli.output import options, printable, whoami
from daemon.cli.route_comparison import print_preview

if TYPE_CHECKING:
    from daemon.config.loader import Configuration
    from daemon.routing.table import Table


class Language(StrEnum):
    """The languages of the headings."""

    EN = "en"
    NB = "nb"


def add_to(routes: typer.Typer) -> None:
    """Add the commands."""
    routes.command("export")(export_table)
    routes.command("import")(import_table)


def export_table(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="File to write; its name ends in .csv or .xlsx.")],
    *,
    language: Annotated[
        Language | None,
        typer.Option(
            help="Headings in English (en) or Norwegian (nb). By default a workbook has English "
            "ones, and a CSV file the keys of routing.toml."
        ),
    ] = None,
) -> None:
    """Export the table to a spreadsheet.

    A workbook (.xlsx) has a sheet each for routes, recipients and covers, and a legend.
    """
    from daemon.core.errors import OperatorError
    from daemon.routing.spreadsheet.table_rows import write_sheet
    from daemon.runtime import logs
    from daemon.service import stack

    logs.configure()
    table = stack.load(options(context).config).table
    try:
        write_sheet(table, file, language or "")
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
    from daemon.core.times import norwegian_day
    from daemon.routing.spreadsheet import diff, diff_text
    from daemon.routing.spreadsheet.reading import read_sheet
    from daemon.runtime import logs
    from daemon.service import stack

    logs.configure()
    configuration = stack.load_configuration(options(context).config)
    target = configuration.routing.file
    names = [each.name for each in configuration.destinations]
    read = read_sheet(file, names, today=norwegian_day(stack.utc_now()))
    present, is_faulty = _present(configuration)
    differences = diff_text.difference_lines(diff.differences(present, read.table), read.language)
    for line in differences or ["nothing would change"]:
        typer.echo(printable(line))
    for warning in read.table.warnings:
        typer.echo(printable(f"warning: {warning}"))
    if not (differences or is_faulty):
        return
    if differences:
        print_preview(configuration, present, read.table, file)
    keeps = f"comments in it are lost; the old file is kept as {target.name}.old"
    typer.echo(f"{'writing' if write else 'use --write to update'} {target}: {keeps}")
    if write:
        with _recorded(configuration, present, read.table):
            _write(target, read.table.text)


def _write(target: Path, text: str) -> None:
    from daemon.core.errors import OperatorError
    from daemon.runtime.replacing import replace_and_keep

    try:
        replace_and_keep(target, text)
    except OSError as error:
        raise OperatorError(
            f"{target} cannot be written: {error.strerror}; nothing was changed"
        ) from error
    typer.echo(f"written to {target}")


@contextmanager
def _recorded(configuration: Configuration, before: Table, after: Table) -> Iterator[None]:
    """Record in the history of the table who replaces its file, unless the block raises.

    Without a database that can be opened, the service says later that the file was changed.
    """
    from daemon.core.accounts import ChangeSource
    from daemon.core.errors import StoreError
    from daemon.service import stack
    from daemon.store import Intent

    try:
        store = stack.open_store(configuration)
    except StoreError:
        yield
        return
    intent = Intent(
        version=after.version,
        version_before=before.version,
        text=after.text,
        by=whoami(),
        reason="",
        source=ChangeSource.COMMAND,
    )
    with closing(store):
        number = store.publications.begin(intent, stack.utc_now())
        try:
            yield
        except BaseException:
            store.publications.drop(number)
            raise
        store.publications.finish(number)


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
