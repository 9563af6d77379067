"""Questions before a command that changes much: `--yes` answers them, `--dry-run` needs none."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from daemon.cli.output import Exit

Yes = Annotated[bool, typer.Option("-y", "--yes", help="Do it without asking; scripts need this.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be done, and change nothing.")
]


def confirm(what: str, *, yes: bool) -> None:
    """Ask whether to do it, unless `yes`; the question stands on stderr, beside the answer.

    Raises Exit if the reply is no, or if there is no terminal to ask on.
    """
    if yes:
        return
    if sys.stdin is None or not sys.stdin.isatty():
        sys.stderr.write(
            f"{what}\nstdin is not a terminal, so nothing was asked or done: add --yes to do it\n"
        )
        raise typer.Exit(Exit.USAGE)
    sys.stderr.write(f"{what}\nGo on? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes", "j", "ja"}:
        sys.stderr.write("nothing was changed\n")
        raise typer.Exit(Exit.WRONG)
