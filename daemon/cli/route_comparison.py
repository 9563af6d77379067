"""What another routing table would change for stored letters, for `routes test` and `import`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from daemon.cli.apply_table import arrived_since
from daemon.cli.output import Progress, counted, printable
from daemon.cli.tables import local
from daemon.core.callbacks import do_nothing

if TYPE_CHECKING:
    from daemon.config.loader import Configuration
    from daemon.routing.dryrun import Change, DryRun
    from daemon.routing.table import Table
    from daemon.store import Store

_SPREADSHEETS = frozenset({".csv", ".xlsx"})
_PREVIEWED = "90d"
_MOST_LETTERS = 20_000  # of a preview: a few seconds
_MOST_LINES = 20  # of a preview


@dataclass(frozen=True, kw_only=True)
class ComparedWith:
    """The table that another one was compared with."""

    file: Path
    version: str
    in_force_since: datetime | None
    """None if it is not active, such as an edit that the service has not read."""

    @property
    def words(self) -> str:
        """It in words."""
        since = self.in_force_since
        state = f"in force since {local(since)}" if since else "not in force"
        return f"{self.file}, version {self.version[:12]}, {state}"


def compared_with(store: Store, table: Table, file: Path) -> ComparedWith:
    """Return what `table`, which is in `file`, is."""
    active = store.queries.table_in_force()
    since = active.in_force_since if active and active.version == table.version else None
    return ComparedWith(file=file, version=table.version, in_force_since=since)


def read_other(file: Path, destinations: Sequence[str]) -> Table:
    """Return the table in a file: TOML, or a spreadsheet as `routes import` reads it.

    Raises ConfigurationError.
    """
    from daemon.routing.spreadsheet.reading import read_sheet
    from daemon.routing.table import read_table

    if file.suffix.lower() in _SPREADSHEETS:
        return read_sheet(file, destinations).table
    return read_table(file, destinations)


def compare(  # two tables, which letters, and what is done with each
    store: Store,
    before: Table,
    after: Table,
    since: str,
    most: int | None = None,
    on_change: Callable[[Change], object] = do_nothing,
) -> DryRun:
    """Run both tables over the letters that came within `since`, over the oldest `most` of them.

    `on_change` is called with each letter that would go elsewhere.
    """
    from daemon.intake import rerouting
    from daemon.routing import dryrun

    follow_threads = before.follows_threads or after.follows_threads
    letters = rerouting.samples(store, arrived_since(since), follow_threads=follow_threads)
    letters = Progress().each("comparing the letters", letters)
    return dryrun.compare(before, after, islice(letters, most), on_change)


def print_moves(result: DryRun, most: int | None = None) -> None:
    """Print from whom to whom letters would go, the `most` frequent first."""
    for before, after, count in result.summary[:most]:
        ways = (" and ".join(each) or "no one" for each in (before, after))
        typer.echo(printable(f"  {count} from {next(ways)} to {next(ways)}"))


def print_preview(configuration: Configuration, before: Table, after: Table, file: Path) -> None:
    """Print which stored letters the table in a spreadsheet would have sent elsewhere.

    Without a database that can be read, it says why not.
    """
    from daemon.core.errors import StoreError
    from daemon.service import stack

    try:
        with closing(stack.open_store(configuration)) as store:
            result = compare(store, before, after, _PREVIEWED, _MOST_LETTERS)
    except StoreError as error:
        typer.echo(printable(f"stored letters were not compared: {error}"))
        return
    first = "first " if result.letters == _MOST_LETTERS else ""
    typer.echo(
        f"{first}{counted(result.letters, 'letter')} of the last 90 days: "
        f"{result.changed} would have gone elsewhere"
    )
    print_moves(result, _MOST_LINES)
    if first or len(result.summary) > _MOST_LINES:
        typer.echo(printable(f"for all of them: postmottak routes test {file}"))
