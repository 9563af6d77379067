"""Commands for an administrator who connects a SOAP service. They need no configuration."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

_commands = typer.Typer(no_args_is_help=True, help="What a SOAP service offers, and how to map letters to it.")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(_commands, name="soap")


@_commands.command()
def describe(wsdl: Annotated[str, typer.Argument(help="A file's path or a web address.")]) -> None:
    """Print the operations of a WSDL, each as a section of the configuration to paste and complete."""
    from daemon import plugins

    sys.stdout.write(plugins.soap_description(wsdl))


@_commands.callback()
def _group() -> None:
    """Keep `describe` a command of its own although it is the only one."""
