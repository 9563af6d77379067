"""The operator's commands.

Each command imports the heavy modules that it needs by itself, so that `--help` answers at once.

Exit codes (`daemon.cli.output.Exit`): 0 success, 1 the configuration is not valid, a check failed
or what was asked cannot be done, 2 wrong usage, 3 work remains or `status` found a problem, 4
Altinn or the database cannot be reached or the output cannot be written, 5 `routes test` found
changes, 130 interrupted with SIGINT, 141 the reader of the
output has gone.

With `--json`, stdout carries one JSON document and nothing else; everything else goes to stderr.
Commands log warnings and errors, so that no log line stands over an answer; `run` logs everything.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from daemon.cli import (
    canary,
    checks,
    completion,
    coverage,
    deadlines,
    deliveries,
    destinations,
    discover,
    evidence,
    init,
    journal,
    keys,
    maintenance,
    messages,
    nodes,
    recipients,
    routes,
    service,
    status,
    store,
    tools,
    web,
)
from daemon.cli.output import Exit, Options
from daemon.cli.streams import OutputLost, guarded_streams
from daemon.core.errors import OperatorError, PostmottakError
from daemon.runtime import log_settings
from daemon.runtime.log_settings import LogFormat

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
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _part in (
    init,
    keys,
    service,
    checks,
    discover,
    status,
    nodes,
    coverage,
    messages,
    deadlines,
    deliveries,
    destinations,
    canary,
    maintenance,
    store,
    journal,
    evidence,
    routes,
    recipients,
    web,
    tools,
    completion,
):
    _part.add_to(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"postmottak {version('postmottak')}")
        except PackageNotFoundError:
            typer.echo("postmottak, a checkout that is not installed")
        raise typer.Exit(Exit.FINE)


@app.callback()
def _options(
    context: typer.Context,
    *,
    config: Annotated[
        Path, typer.Option("-c", "--config", metavar="FILE", help="Configuration file.")
    ] = _DEFAULT,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Log what is done, to stderr.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", help="Log errors only; `run` also logs warnings.")
    ] = False,
    log_format: Annotated[
        LogFormat,
        typer.Option(
            envvar="POSTMOTTAK_LOG_FORMAT",
            help="Form of the log: auto is the journal's fields in the journal, otherwise text.",
        ),
    ] = LogFormat.AUTO,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    from daemon.runtime import light_libraries  # noqa: F401  # before anything else imports it

    if verbose and quiet:
        raise typer.BadParameter("use either --verbose or --quiet")
    context.obj = Options(config=config)
    runs = context.invoked_subcommand == "run"
    log_settings.current = log_settings.chosen(
        runs=runs, verbose=verbose, quiet=quiet, form=log_format
    )


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
    completion.answer_shells()
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
