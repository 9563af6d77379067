"""`web run` and `web reindex`: the page itself."""

from __future__ import annotations

import sys

import typer

from daemon.cli.output import Progress, options
from daemon.core.errors import OperatorError


def add_to(web: typer.Typer) -> None:
    """Add the commands."""
    web.command()(run)
    web.command()(reindex)


def run(context: typer.Context) -> None:
    """Serve the page in the foreground until SIGTERM or SIGINT, beside the service."""
    need_extra()
    from daemon.cli.service import as_owner_of
    from daemon.page.run import run as run_page
    from daemon.runtime import logs
    from daemon.service import stack

    logs.configure()
    loaded = stack.load_for_page(options(context).config)
    as_owner_of(loaded.configuration.store)
    run_page(loaded.configuration, ready=_say_ready)


def _say_ready(address: str) -> None:
    sys.stdout.write(f"the page is at {address}\n")
    sys.stdout.flush()


def reindex(context: typer.Context) -> None:
    """Make the page's search index again from the stored letters."""
    need_extra()
    from daemon.cli.service import as_owner_of
    from daemon.config.store import SEARCH
    from daemon.page.search.index import SearchIndex
    from daemon.runtime import logs
    from daemon.service import stack

    logs.configure()
    configuration = stack.load_for_page(options(context).config).configuration
    as_owner_of(configuration.store)
    store, progress = stack.open_store(configuration), Progress()
    try:
        index = SearchIndex(configuration.store.beside.with_name(SEARCH), store)
        done = index.rebuild(lambda number, of: progress(f"{number} of about {of} letters"))
        index.close()
    finally:
        store.close()
    typer.echo(f"{done.letters} letters are indexed")


def need_extra() -> None:
    """Raise OperatorError, with the remedy, if the page's libraries are not installed."""
    from daemon.service.page_check import missing_libraries

    if missing := missing_libraries():
        raise OperatorError(
            f"The page needs the extra web, of which {', '.join(missing)} is missing; install "
            "postmottak[web]"
        )
