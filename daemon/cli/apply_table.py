"""`routes apply`: route stored letters again with the current table, after a question."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli.confirmation import DryRun, Yes, confirm
from daemon.cli.output import Json, counted, options, print_json

if TYPE_CHECKING:
    from daemon.intake.rerouting import Preview

Since = Annotated[str, typer.Option(help="Letters that arrived within this time, such as 90d.")]


def arrived_since(text: str) -> datetime:
    """Return when the letters arrived that are meant at the earliest. Raises BadParameter."""
    from daemon.core.settings import duration
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
    with closing(stack.open_store(checked.configuration)) as store:
        if dry_run or not yes:
            preview = stack.previewer(store, checked.table).preview(start)
            if dry_run:
                _print_preview(preview, json=json)
                return
            if preview.moves:
                confirm(_previewed(preview), yes=False)
        applied = stack.rerouter(store, checked.table).apply(start)
    changed = {
        str(key): {"added": added, "withdrawn": applied.withdrawn[key]}
        for key, added in applied.added.items()
    }
    if json:
        print_json({"letters": applied.letters, "changed": changed})
        return
    typer.echo(f"{counted(applied.letters, 'letter')}: {len(changed)} routed again")


def _print_preview(preview: Preview, *, json: bool) -> None:
    if not json:
        typer.echo(_previewed(preview))
        return
    moves = {
        str(key): {"before": before, "after": after}
        for key, (before, after) in preview.moves.items()
    }
    print_json({"letters": preview.letters, "would_change": moves})


def _previewed(preview: Preview) -> str:
    moves = [
        f"\n  {count} from {' and '.join(before) or 'no one'} to {' and '.join(after) or 'no one'}"
        for before, after, count in preview.summary
    ]
    said = f"{counted(preview.letters, 'letter')}: {len(preview.moves)} would be routed again"
    return said + "".join(moves)
