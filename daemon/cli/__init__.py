"""The operator's commands.

Each command imports the heavy modules that it needs by itself, so that `--help` answers at once.

Exit codes (`daemon.cli.output.Exit`): 0 success, 1 the configuration is not valid or a check
failed, 2 wrong usage, 3 work remains or `status` found a problem, 4 Altinn or the database cannot
be reached or the output cannot be written, 5 `routes test` found changes, 130 interrupted with SIGINT, 141 the reader of the
output has gone.

With `--json`, stdout carries one JSON document and nothing else; everything else goes to stderr.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from daemon.cli import (
    checks,
    deliveries,
    init,
    maintenance,
    messages,
    routes,
    service,
    status,
    tools,
)
from daemon.cli.output import Exit, Options
from daemon.cli.streams import OutputLost, guarded_streams
from daemon.core.errors import OperatorError, PostmottakError

_DEFAULT = Path("/etc/postmottak/postmottak.toml")

app = typer.Typer(
    help=(
        "Fetch government mail (Digital post til virksomheter) from Altinn, and route each letter"
        " to the people and systems that handle it."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for _part in (init, service, checks, status, messages, deliveries, maintenance, routes, tools):
    _part.add_to(app)


@app.callback()
def _options(
    context: typer.Context,
    config: Annotated[
        Path, typer.Option("-c", "--config", metavar="FILE", help="Configuration file.")
    ] = _DEFAULT,
) -> None:
    context.obj = Options(config=config)


def main() -> None:
    """Run one command and exit with its code.

    An operator's mistake ends with a message and without a traceback.
    """
    try:
        with guarded_streams():
            _run()
    except OutputLost as error:
        if error.reader_gone:
            sys.exit(Exit.READER_GONE)
        _end(error, Exit.UNREACHABLE)


def _run() -> None:
    try:
        app(prog_name="postmottak")
    except OutputLost:
        raise
    except OperatorError as error:
        _end(error, Exit.WRONG)
    except PostmottakError as error:
        _end(error, Exit.UNREACHABLE)
    except KeyboardInterrupt:
        sys.exit(Exit.INTERRUPTED)


def _end(error: PostmottakError, code: Exit) -> None:
    with suppress(OSError):
        sys.stderr.write(f"{error}\n")
        sys.stderr.flush()
    sys.exit(code)
