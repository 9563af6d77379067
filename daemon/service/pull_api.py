"""The HTTP server of the pull API."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from daemon.config.loader import Configuration
from daemon.monitoring.service_problems import ServiceProblems
from daemon.runtime.clock import Clock
from daemon.store import Store
from daemon.store.content import ContentStore
from daemon.web.tokens import TokenGuard

if TYPE_CHECKING:
    from daemon.web.server import WebServer


def token_guard(configuration: Configuration, problems: ServiceProblems) -> TokenGuard | None:
    """Return the guard of the pull API; None without a section [api]."""
    api = configuration.api
    return TokenGuard(api.token_file.value, problems) if api else None


def pull_api_server(
    configuration: Configuration,
    *,
    store: Store,
    content: ContentStore,
    tokens: TokenGuard | None,
    clock: Clock,
    problems: ServiceProblems,
    destinations: Callable[[], Collection[str]],
) -> WebServer | None:
    """Return the server of the pull API; None without a section [api].

    `destinations` returns the names that are configured at the moment.
    """
    if configuration.api is None or tokens is None:
        return None
    from daemon.web.api import Api
    from daemon.web.server import WebServer

    api = Api(store=store, content=content, tokens=tokens, clock=clock, destinations=destinations)
    address = configuration.api.address
    return WebServer("the pull API", api.application(), address, problems=problems)
