"""`web`: the page's users, and links that log them in."""

from __future__ import annotations

import sys

import typer

from daemon.cli import web_page, web_users
from daemon.cli.output import whoami
from daemon.cli.stored import opened


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    web = typer.Typer(help="Run the page, and manage its users.", no_args_is_help=True)
    web_page.add_to(web)
    web_users.add_to(web)
    web.command("login-link")(login_link)
    app.add_typer(web, name="web")


def login_link(context: typer.Context, name: web_users.UserName) -> None:
    """Print a link that logs a user in: once, and within 5 minutes.

    The link lets in anybody who has it, so give it to that user only.
    """
    from daemon.config.web import WebSettings
    from daemon.core.errors import OperatorError
    from daemon.service.stack import utc_now
    from daemon.store import Actor

    with opened(context) as (configuration, store):
        settings = configuration.web or WebSettings()
        if settings.listen.path and not settings.public_url:
            raise OperatorError(
                "the page listens on a Unix socket, so its address is not known; set public_url in "
                "[web]"
            )
        user = store.users.get(name).name
        token = store.login_links.create(user, utc_now(), Actor(name=whoami()))
    typer.echo(f"{settings.url}/login/link/{token}")
    sys.stderr.write("valid once, for 5 minutes\n")
