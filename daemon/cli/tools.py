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
    letters: Annotated[
        int | None,
        typer.Option(help="Number of letters to publish.  [default: 13; with --page 130]", min=1),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the folder with all the results.")
    ] = False,
    page: Annotated[
        bool, typer.Option("--page", help="Show them on the page, in a browser, until Ctrl-C.")
    ] = False,
    port: Annotated[
        int, typer.Option(help="Port of the page on loopback.", min=1, max=65535)
    ] = 8770,
) -> None:
    """Demonstrate the service with sample letters from a simulated Altinn.

    They are delivered to a folder, by e-mail and to a webhook.
    """
    from daemon.cli.streams import drawing
    from daemon.service import plugins

    if page:
        _demo_page(letters or 130, port, keep=keep)
        return
    letters = letters or 13
    with drawing():
        raise typer.Exit(plugins.sandbox("demo").run(letters=letters, keep=keep))


def _demo_page(letters: int, port: int, *, keep: bool) -> None:
    """Run the page over sample letters, in a folder that is removed at the end unless `keep`."""
    import shutil
    import tempfile

    from daemon.cli.web_page import need_extra
    from daemon.service import plugins

    need_extra()
    folder = Path(tempfile.mkdtemp(prefix="postmottak-demo-"))
    try:
        plugins.sandbox("demo_page").run(letters=letters, folder=folder, port=port)
    finally:
        if keep:
            typer.echo(f"The folder is {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


@_soap.command()
def describe(wsdl: Annotated[str, typer.Argument(help="Path or web address of a WSDL.")]) -> None:
    """Print the operations of a WSDL, each as a configuration section to paste and complete."""
    from daemon.service import plugins

    sys.stdout.write(plugins.soap_description(wsdl))


@_soap.callback()
def _soap_group() -> None:
    """Keep `describe` a subcommand although it is the only one."""
