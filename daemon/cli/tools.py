"""Commands that need no configuration: the sandbox and the demo, both on loopback, and what a SOAP service offers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

_soap = typer.Typer(
    no_args_is_help=True, help="What a SOAP service offers, and how to map letters to it."
)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (sandbox, demo):
        app.command()(command)
    app.add_typer(_soap, name="soap")


def sandbox(
    *,
    port: Annotated[int, typer.Option(help="Port on loopback; 0 takes a free one.")] = 0,
    letters: Annotated[int, typer.Option(help="How many letters to publish.", min=0)] = 13,
    folder: Annotated[
        Path, typer.Option(help="Where the key and a configuration for it are written.")
    ] = Path("postmottak-sandbox"),
) -> None:
    """Be a pretend Altinn on loopback, for trying things out, until SIGINT."""
    from daemon.service import plugins

    plugins.sandbox("standalone").run(port=port, letters=letters, folder=folder)


def demo(
    *,
    letters: Annotated[int, typer.Option(help="How many letters to publish.", min=1)] = 13,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the folder with everything that was made.")
    ] = False,
) -> None:
    """Show the whole way: sample letters in a pretend Altinn, through the real service, to a folder, an e-mail and a webhook."""
    from daemon.cli.streams import drawing
    from daemon.service import plugins

    with drawing():
        raise typer.Exit(plugins.sandbox("demo").run(letters=letters, keep=keep))


@_soap.command()
def describe(wsdl: Annotated[str, typer.Argument(help="A file's path or a web address.")]) -> None:
    """Print the operations of a WSDL, each as a section of the configuration to paste and complete."""
    from daemon.service import plugins

    sys.stdout.write(plugins.soap_description(wsdl))


@_soap.callback()
def _soap_group() -> None:
    """Keep `describe` a command of its own although it is the only one."""
