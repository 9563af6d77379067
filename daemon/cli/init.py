"""`postmottak init`: write the first configuration, prepare this machine, and say what is missing.

Running it again lists what is missing by then, and brings the unit's drop-in up to date.
"""

from __future__ import annotations

import os
import re
import textwrap
import tomllib
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

import daemon
from daemon.core.durable_files import new_file
from daemon.core.errors import ConfigurationError, OperatorError
from daemon.core.file_owner import inherit
from daemon.runtime.owner import make_folder

_USUAL = Path("/etc/postmottak")
_EXAMPLE = Path(daemon.__file__).parents[1] / "config" / "postmottak.example.toml"
_WANTED = ("", "store", "delivery", "routing", "mailbox.altinn", "destination.erp")
_KEY = "maskinporten.pem"
_WIDTH = 80
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
    """Write a first configuration and key, and list what to register where and what is missing.

    Run as root in the default folder, it also creates the folders for letters and a drop-in for the
    service's unit. Existing files are never overwritten, except that drop-in. Run it again to see
    what is still missing, and after each new folder or secret.
    """
    from daemon.core.settings import secret_text
    from daemon.service import plugins

    try:
        make_folder(folder, 0o777)  # narrowed by the umask
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
    typer.echo("\nRegister, once:")
    for number, step in enumerate(first_steps.steps(jwk), start=1):
        typer.echo(f"\n{_wrapped(step, f'{number}. ')}")
    _show_registration(folder / "postmottak.toml")
    _prepare(folder)
    _make_journal_key(folder / "postmottak.toml")
    _report_missing(folder)


def _wrapped(text: str, first: str = "") -> str:
    """Return the text in lines of 80 columns.

    A line of JSON, which is to be copied, stays whole.
    """
    lines = [
        line
        if line.startswith("{")
        else textwrap.fill(
            line,
            _WIDTH,
            initial_indent=first if not place else "   ",
            subsequent_indent="   ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for place, line in enumerate(text.split("\n"))
    ]
    return "\n".join(lines)


def _write(path: Path, text: Callable[[], str], mode: int) -> None:
    """Write a new file completely; leave an existing one unchanged."""
    try:
        with new_file(path, mode) as file:
            file.write(text().encode())
        inherit(path, path.parent)
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
        r"(?m)^(?=(?:maskinporten_url|platform_url|proxy|proxy_password_file|no_proxy|password_file"
        r"|node|own_files) =)",
        "# ",
        kept,
    )  # the addresses follow from the environment, and few need a proxy
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
    # another encoding is reported with the other faults, and is not a fault of the key
    text = (folder / "postmottak.toml").read_text(encoding="utf-8", errors="replace")
    found = re.search(r'(?m)^\s*key_id\s*=\s*"([^"]+)"', text)
    return found[1] if found else "postmottak"


def _show_registration(path: Path) -> None:
    """Print the pages to register at, and the bodies to paste, with what the file says by now."""
    from daemon.service import plugins

    registration = plugins.registration()
    known = registration.Known(**_known(path))
    typer.echo("")
    for what, address in registration.pages(known):
        typer.echo(f"{what}:\n  {address}")
    typer.echo(
        "\n"
        + _wrapped(
            "The two calls below need an Altinn token with these scopes, from another client than "
            "Postmottak's:"
        )
    )
    for scope in registration.scopes():
        typer.echo(f"  {scope}")
    for what, address, body in registration.requests(known):
        typer.echo(f"\n{what} with POST to:\n{address}\n{body}")


def _known(path: Path) -> dict[str, str]:
    """Return what the mailbox's section says, even if it is not complete."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        (box,) = values["mailbox"].values()
    except (OSError, ValueError, KeyError, AttributeError):
        return {}
    parties = box.get("parties") if isinstance(box, dict) else None
    found: dict[str, Any] = {
        "client_id": box.get("client_id") if isinstance(box, dict) else "",
        "organisation": parties[0] if isinstance(parties, list) and parties else "",
        "environment": "tt02" if isinstance(box, dict) and box.get("environment") == "tt02" else "",
    }
    return {name: value for name, value in found.items() if value and isinstance(value, str)}


def _prepare(folder: Path) -> None:
    """Create the folders and the unit's drop-in, or print what to do about them."""
    from daemon.cli import prepare_machine
    from daemon.service.unit_needs import unit_needs

    path = folder / "postmottak.toml"
    typer.echo("\nOn this machine:\n")
    try:
        needs = unit_needs(path)
    except (OSError, ValueError):  # what is wrong with it is reported at the end
        typer.echo(f"{path} cannot be read, so {prepare_machine.DROP_IN} is left unchanged")
        return
    prepare = (
        prepare_machine.prepare
        if folder.absolute() == _USUAL and prepare_machine.possible()
        else prepare_machine.instruct
    )
    for line in prepare(needs):
        typer.echo(line)


def _make_journal_key(path: Path) -> None:
    """Make the key that signs the journal, where the store's folder is there already.

    Otherwise the service makes it. What is missing in the configuration is reported at the end.
    """
    from daemon.service import stack
    from daemon.store.journal.key import key_path, make_key

    try:
        key = key_path(stack.load_configuration(path).store.beside)
    except ConfigurationError:
        return
    if not os.path.isdir(key.parent):  # noqa: PTH112  # or it is hidden from this user
        return
    try:
        made = make_key(key)
    except PermissionError:
        typer.echo(f"{key} is left to the service, whose folder it is")
        return
    except OSError as error:
        reason = (error.strerror or "cannot be written").lower()
        raise OperatorError(f"{key}: {reason}; fix that, and run the command again") from error
    typer.echo(f"{key} {'written' if made else 'exists already; left unchanged'}")


def _report_missing(folder: Path) -> None:
    from daemon.service import stack

    path = folder / "postmottak.toml"
    option = "" if folder.absolute() == _USUAL else f"-c {path} "
    try:
        stack.load(path)
    except ConfigurationError as error:
        typer.echo("\nStill missing in the files:")
        for fault in error.faults:
            typer.echo(_wrapped(str(fault), " - "))
        again = "" if folder.absolute() == _USUAL else f" {folder}"
        typer.echo(f"\nThen continue with:\n  postmottak init{again}")
    else:
        typer.echo("\nThe files are complete. Continue with:")
    typer.echo(f"  postmottak {option}check")
    if option:
        typer.echo(
            "The files are not in the default folder, so begin each command with:\n"
            f"  postmottak {option.rstrip()}"
        )
    else:
        typer.echo("  systemctl enable --now postmottak")
