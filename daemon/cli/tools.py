"""Commands that need no configuration: the sandbox, the demo, and the description of a WSDL."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

_soap = typer.Typer(no_args_is_help=True, help="Describe a SOAP service, to map letters to it.")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (sandbox, demo):
        app.command()(command)
    app.add_typer(_soap, name="soap")


def sandbox(
    *,
    port: Annotated[
        int, typer.Option(help="Port on loopback; 0 picks a free one.", min=0, max=65535)
    ] = 0,
    letters: Annotated[int, typer.Option(help="Number of letters to publish.", min=0)] = 13,
    folder: Annotated[
        Path, typer.Option(help="Folder for the key and a configuration that uses the sandbox.")
    ] = Path("postmottak-sandbox"),
) -> None:
    """Run a simulated Altinn on loopback, for trying things out, until SIGINT."""
    from daemon.service import plugins

    plugins.sandbox("standalone").run(port=port, letters=letters, folder=folder)


def demo(
    *,
    letters: Annotated[int, typer.Option(help="Number of letters to publish.", min=1)] = 13,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the folder with all the results.")
    ] = False,
) -> None:
    """Demonstrate the service with sample letters from a simulated Altinn.

    They are delivered to a folder, by e-mail and to a webhook.
    """
    from daemon.cli.streams import drawing
    from daemon.service import plugins

    with drawing():
        raise typer.Exit(plugins.sandbox("demo").run(letters=letters, keep=keep))


@_soap.command()
def describe(wsdl: Annotated[str, typer.Argument(help="Path or web address of a WSDL.")]) -> None:
    """Print the operations of a WSDL, each as a configuration section to paste and complete."""
    from daemon.service import plugins

    sys.stdout.write(plugins.soap_description(wsdl))


@_soap.callback()
def _soap_group() -> None:
    """Keep `describe` a subcommand although it is the only one."""
