"""Commands for trying things out: the sandbox and the demo. Both are on loopback, and neither touches a real configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (sandbox, demo):
        app.command()(command)


def sandbox(
    *,
    port: Annotated[int, typer.Option(help="Port on loopback; 0 takes a free one.")] = 0,
    letters: Annotated[int, typer.Option(help="How many letters to publish.", min=0)] = 13,
    folder: Annotated[Path, typer.Option(help="Where the key and a configuration for it are written.")] = Path("postmottak-sandbox"),
) -> None:
    """Be a pretend Altinn on loopback, for trying things out, until SIGINT."""
    from daemon import plugins

    plugins.sandbox("standalone").run(port=port, letters=letters, folder=folder)


def demo(
    *,
    letters: Annotated[int, typer.Option(help="How many letters to publish.", min=1)] = 13,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the folder with everything that was made.")] = False,
) -> None:
    """Show the whole way: sample letters in a pretend Altinn, through the real service, to a folder, an e-mail and a webhook."""
    from daemon import plugins
    from daemon.cli.streams import drawing

    with drawing():
        raise typer.Exit(plugins.sandbox("demo").run(letters=letters, keep=keep))
