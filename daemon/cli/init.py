"""`postmottak init`: write the first configuration, and say what is still missing.

Running it again lists what is missing by then.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

import daemon
from daemon.cli.output import Exit
from daemon.core.durable_files import new_file
from daemon.core.errors import ConfigurationError, OperatorError

_USUAL = Path("/etc/postmottak")
_EXAMPLE = Path(daemon.__file__).parents[1] / "config" / "postmottak.example.toml"
_WANTED = ("", "store", "delivery", "routing", "mailbox.altinn", "destination.erp")
_KEY = "maskinporten.pem"
_ROUTING = """\
# Who gets which letter. The first route that matches decides. See docs/routing.md.

[[recipient]]
name = "post"
deliver_to = ["erp"]

[[route]]                        # the last route must have no conditions, so it takes the rest
name = "Alt"
to = ["post"]
"""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(init)


def init(
    folder: Annotated[Path, typer.Argument(help="Folder of the configuration files.")] = _USUAL,
) -> None:
    """Write a first configuration and key, list what to register and where, and what is missing.

    Existing files are never overwritten. Run it again to see what is still missing.
    """
    from daemon.core.settings import secret_text
    from daemon.service import plugins

    try:
        folder.mkdir(parents=True, exist_ok=True)
        first_steps = plugins.first_steps()
        new = not (folder / _KEY).exists()
        # today, as the operator sees it
        key_expires = first_steps.key_expires(date.today()) if new else None  # noqa: DTZ011
        _write(folder / _KEY, first_steps.new_key, 0o600)
        _write(folder / "postmottak.toml", lambda: _configuration(folder, key_expires), 0o644)
        _write(folder / "routing.toml", lambda: _ROUTING, 0o644)
        jwk = first_steps.public_jwk(
            secret_text((folder / _KEY).read_bytes(), folder / _KEY), _key_id(folder)
        )
    except OSError as error:
        raise OperatorError(
            f"{error.filename}: {(error.strerror or 'cannot be used').lower()}; fix that, or "
            "choose another folder"
        ) from error
    except ValueError as error:
        raise OperatorError(f"{folder / _KEY} {error}") from error
    for number, step in enumerate(first_steps.steps(jwk), start=1):
        typer.echo(f"\n{number}. {step}")
    if folder.absolute() != _USUAL:
        typer.echo(
            "\nThe files are not in the default folder, so begin each command with: "
            f"postmottak -c {folder / 'postmottak.toml'}"
        )
    _report_missing(folder / "postmottak.toml")


def _write(path: Path, text: Callable[[], str], mode: int) -> None:
    """Write a new file completely; leave an existing one unchanged."""
    try:
        with new_file(path, mode) as file:
            file.write(text().encode())
        typer.echo(f"{path} written")
    except FileExistsError:
        typer.echo(f"{path} exists already; left unchanged")


def _configuration(folder: Path, key_expires: date | None) -> str:
    """Return the example's sections that everybody needs, with its comments.

    What only the operator knows is left empty. `key_expires` is the last day of a key that is
    registered today; None for a key that may be registered already.
    """
    text = _EXAMPLE.read_text(encoding="utf-8")
    kept = "\n\n".join(block for block in text.split("\n\n") if _section(block) in _WANTED)
    kept = kept.replace(
        "Every option of Postmottak, with its default",
        "Options of Postmottak, each with its default",
    )
    kept = re.sub(r'(?m)^client_id = "[^"]*"', 'client_id = ""', kept)
    kept = re.sub(r"(?m)^parties = \[[^\]]*\]", "parties = []", kept)
    key_id = f"postmottak-{date.today():%Y-%m-%d}"  # noqa: DTZ011  # only a name
    kept = re.sub(r'(?m)^key_id = "[^"]*"', f'key_id = "{key_id}"', kept)
    if key_expires:
        kept = re.sub(r'(?m)^key_expires = "" *', f"key_expires = {key_expires}".ljust(33), kept)
    kept = re.sub(
        r"(?m)^(?=(?:maskinporten_url|platform_url) =)", "# ", kept
    )  # they follow from the environment
    if folder.absolute() != _USUAL:
        kept = kept.replace("sqlite:////var/lib/postmottak/", "sqlite:///").replace(
            '"/var/lib/postmottak/', '"'
        )
    return kept.rstrip() + "\n"


def _section(block: str) -> str:
    found = re.search(r"(?m)^\[([^\]]+)\]", block)
    return found[1] if found else ""


def _key_id(folder: Path) -> str:
    """Return the key's id from the configuration, even if that is not valid yet."""
    found = re.search(
        r'(?m)^\s*key_id\s*=\s*"([^"]+)"', (folder / "postmottak.toml").read_text(encoding="utf-8")
    )
    return found[1] if found else "postmottak"


def _report_missing(path: Path) -> None:
    from daemon.service import stack

    try:
        stack.load(path)
        faults = []
    except ConfigurationError as error:
        faults = [str(fault) for fault in error.faults]
    if not faults:
        typer.echo(f"\nThe files are complete. Continue with: postmottak -c {path} check")
        return
    typer.echo("\nStill missing in the files:")
    for fault in faults:
        typer.echo(f"  {fault}")
    raise typer.Exit(Exit.REMAINS)
