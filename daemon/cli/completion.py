"""`completion`: the script that lets a shell complete commands, options and values.

Nothing heavy is imported here: a shell asks at every press of the Tab key.
"""

from __future__ import annotations

import os
import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from daemon.core.dpv import service_names

STATES = ("pending", "claimed", "delivered", "held", "dead", "withdrawn")
"""The names of `DeliveryState`, whose module is slow to import; a test compares them."""
_ASKS = "_POSTMOTTAK_COMPLETE"
_AT_ONCE = """
if [ "$funcstack[1]" = "_postmottak" ]; then
  _postmottak_completion "$@"
fi"""
"""zsh calls an installed script as the function `_postmottak`: the first Tab must complete too."""


class Shell(StrEnum):
    """A shell that can complete `postmottak`."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(completion)


def completion(shell: Annotated[Shell, typer.Argument(help="The shell.")]) -> None:
    """Print the completion script for a shell. The Debian package installs all three.

    To try it at once in bash: source <(postmottak completion bash)
    """
    typer.echo(script(shell))


def script(shell: Shell) -> str:
    """Return the script, which asks `postmottak` itself for what fits."""
    # not in its list
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    found = get_completion_script(prog_name="postmottak", complete_var=_ASKS, shell=shell.value)
    return found + _AT_ONCE if shell is Shell.ZSH else found


def answer_shells() -> None:
    """Get ready to answer, if it is a shell that asks."""
    if _ASKS in os.environ:
        from typer.completion import completion_init  # type: ignore[attr-defined]  # likewise

        completion_init()


def services(incomplete: str) -> list[str]:
    """Complete a service: its code or its slug."""
    return [name for name in service_names() if name.startswith(incomplete)]


def states(incomplete: str) -> list[str]:
    """Complete the state of a delivery."""
    return [state for state in STATES if state.startswith(incomplete)]


def roles(incomplete: str) -> list[str]:
    """Complete a role on the page."""
    from daemon.core.rights import Role

    return [role for role in Role if role.startswith(incomplete)]


def destinations(context: typer.Context, incomplete: str) -> list[str]:
    """Complete a destination of the configuration, if that can be read."""
    names = _read(_configuration(context)).get("destination", {})
    return [name for name in names if name.startswith(incomplete)]


def recipients(context: typer.Context, incomplete: str) -> list[str]:
    """Complete a recipient of the routing table, if that can be read."""
    path = _configuration(context)
    file = _read(path).get("routing", {}).get("file", "routing.toml")
    rows = _read(path.parent / str(file)).get("recipient", [])
    names = [str(each.get("name", "")) for each in rows if isinstance(each, dict)]
    return [name for name in names if name.startswith(incomplete)]


def _configuration(context: typer.Context) -> Path:
    return Path(context.find_root().params["config"])


def _read(path: Path) -> dict[str, Any]:
    """Return a file's TOML; nothing if it cannot be read, since a shell shows no errors."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
