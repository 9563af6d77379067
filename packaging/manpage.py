"""Print the man page, generated from the command line's own help."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import typer
from typer.core import TyperGroup

from daemon.cli import app
from daemon.cli.output import Exit

_FILES = (
    (
        "/etc/postmottak/postmottak.toml",
        "The configuration; every option is in /usr/share/doc/postmottak/examples.",
    ),
    (
        "/etc/postmottak/routing.toml",
        "The routing table, unless the configuration names another file.",
    ),
    ("/var/lib/postmottak", "The database and the attachments."),
)
_MONITOR_CODES = (
    (0, "OK: all is well."),
    (1, "Warning: something needs attention."),
    (2, "Critical: letters are not fetched or not delivered."),
    (3, "Unknown: the state cannot be read."),
)


def _plain(text: str) -> str:
    """Escape text for roff."""
    safe = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join(
        f"\\&{line}" if line.startswith((".", "'")) else line for line in safe.splitlines()
    )


def _commands(command: Any, context: typer.Context) -> Iterator[tuple[Any, typer.Context]]:
    """Yield every command that can be run, with its context."""
    if not isinstance(command, TyperGroup):
        yield command, context
        return
    if command.invoke_without_command:
        yield command, context
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        if found and not found.hidden:
            yield from _commands(found, typer.Context(found, info_name=name, parent=context))


def _options(command: Any, context: typer.Context) -> Iterator[str]:
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record:
            yield f".TP\n.B {_plain(record[0])}\n{_plain(record[1])}"


def _page() -> Iterator[str]:
    root = typer.main.get_command(app)
    context = typer.Context(root, info_name="postmottak")
    yield (
        '.TH POSTMOTTAK 1 "" "Postmottak" "Postmottak"\n.SH NAME\npostmottak \\- '
        f"{_plain((root.help or '').split(' from ')[0].lower())}"
    )
    yield (
        ".SH SYNOPSIS\n.B postmottak\n[options] command [arguments]\n.SH "
        f"DESCRIPTION\n{_plain(root.help or '')}\n.SH OPTIONS"
    )
    yield from _options(root, context)
    yield ".SH COMMANDS"
    for command, place in _commands(root, context):
        usage = " ".join([place.command_path, *command.collect_usage_pieces(place)])
        yield f".SS {_plain(usage)}\n{_plain(command.help or '')}"
        yield from _options(command, place)
    yield ".SH EXIT STATUS\n" + "\n".join(
        f".TP\n.B {code.value}\n{_plain(code.meaning)}" for code in Exit
    )
    yield (
        '.PP\nWith\n.BR "status \\-\\-monitor" ,\nthe codes are those of monitors:\n'
        + "\n".join(f".TP\n.B {code}\n{meaning}" for code, meaning in _MONITOR_CODES)
    )
    yield (
        ".SH ENVIRONMENT\n.TP\n.B POSTMOTTAK_LOG_FORMAT\nThe form of the log, as "
        f"{_plain('--log-format')} sets it."
    )
    yield ".SH FILES\n" + "\n".join(
        f".TP\n.I {_plain(name)}\n{_plain(text)}" for name, text in _FILES
    )


if __name__ == "__main__":
    sys.stdout.write("\n".join(_page()) + "\n")
