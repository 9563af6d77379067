"""`routes apply`: route stored letters again with the current table, after a question."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from daemon.cli.confirmation import DryRun, Yes, confirm
from daemon.cli.json_rows import JsonRows
from daemon.cli.output import Json, Progress, counted, options
from daemon.cli.stored import wake_service
from daemon.core.callbacks import do_nothing

if TYPE_CHECKING:
    from daemon.intake.rerouting import Move, Preview
    from daemon.store import Changed

Since = Annotated[str, typer.Option(help="Letters that arrived within this time, such as 90d.")]


def arrived_since(text: str) -> datetime:
    """Return when the letters arrived that are meant at the earliest. Raises BadParameter."""
    from daemon.core.durations import duration
    from daemon.service.stack import utc_now

    try:
        return utc_now() - duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def apply(
    context: typer.Context,
    *,
    since: Since,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Route stored letters again with the current table.

    Letters that belong elsewhere get new deliveries. Earlier deliveries stay on record.
    """
    from daemon.runtime import logs
    from daemon.service import stack

    logs.configure()
    checked = stack.load(options(context).config)
    start = arrived_since(since)
    with closing(stack.open_store(checked.configuration)) as store, JsonRows() as rows:
        if dry_run or not yes:
            seen = partial(Progress().each, "looking at the letters")
            previewer = stack.previewer(store, checked.table, seen)
            on_move = _move_to(rows) if json and dry_run else do_nothing
            preview = previewer.preview(start, on_move)
            if dry_run:
                _print_preview(preview, rows, json=json)
                return
            if preview.moves:
                confirm(_previewed(preview), yes=False)
        on_change = _change_to(rows) if json else do_nothing
        seen = partial(Progress().each, "routing the letters again")
        applied = stack.rerouter(store, checked.table, seen).apply(start, on_change)
        wake_service(checked.configuration)
        if json:
            rows.print_in({"letters": applied.letters}, "changed", ("{", "}"))
            return
    typer.echo(f"{counted(applied.letters, 'letter')}: {applied.changed} routed again")


def _move_to(rows: JsonRows) -> Callable[[UUID, Move], None]:
    def add(key: UUID, move: Move) -> None:
        before, after = move
        rows.add({"before": before, "after": after}, str(key))

    return add


def _change_to(rows: JsonRows) -> Callable[[UUID, Changed], None]:
    return lambda key, changed: rows.add(changed, str(key))


def _print_preview(preview: Preview, rows: JsonRows, *, json: bool) -> None:
    if json:
        rows.print_in({"letters": preview.letters}, "would_change", ("{", "}"))
    else:
        typer.echo(_previewed(preview))


def _previewed(preview: Preview) -> str:
    moves = [
        f"\n  {count} from {' and '.join(before) or 'no one'} to {' and '.join(after) or 'no one'}"
        for before, after, count in preview.summary
    ]
    changed = preview.moves.total()
    said = f"{counted(preview.letters, 'letter')}: {changed} would be routed again"
    return said + "".join(moves)
