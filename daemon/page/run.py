"""Runs the page as a process of its own: `postmottak web run`."""

from __future__ import annotations

import resource
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import structlog

from daemon.config.loader import Configuration
from daemon.config.store import SEARCH
from daemon.config.web import WebSettings
from daemon.core.rights import Right
from daemon.page import wording
from daemon.page.app import application
from daemon.page.assets import Assets
from daemon.page.context import Page
from daemon.page.edited_files import EditedFiles
from daemon.page.guard.body_size import SPREADSHEET
from daemon.page.guard.oidc import Provider
from daemon.page.guard.passwords import Passwords
from daemon.page.guard.pending_logins import PendingLogins
from daemon.page.guard.proxy import ProxyLogin
from daemon.page.guard.secret_file import read_secret
from daemon.page.pulse import Pulse
from daemon.page.search.finder import LetterFinder
from daemon.page.search.following import Follower
from daemon.page.search.index import SearchIndex
from daemon.page.store_file import StoreFile
from daemon.page.templating import Templates
from daemon.runtime.wake import wake_service
from daemon.service import stack
from daemon.web.limits import Limits
from daemon.web.server import WebServer

_log = structlog.get_logger(__name__)
_LANGUAGES = (("nb", "Bokmål"), ("nn", "Nynorsk"), ("en", "English"))
_CONNECTIONS, _THREADS = 1200, 16


def run(configuration: Configuration, *, ready: Callable[[str], None]) -> None:
    """Serve the page until SIGTERM or SIGINT. `ready` is called with its address at the start.

    Raises StoreError if the store cannot be opened, and OperatorError if a secret cannot be read.
    """
    stopping = threading.Event()
    servers: list[WebServer] = []

    def stop(_number: int, _frame: object) -> None:
        stopping.set()
        for each in servers:
            each.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    while not stopping.is_set():
        with opened(configuration) as (page, assets):
            servers[:] = [_server(page, assets)]
            ready(page.settings.url)
            servers[0].loop(stopping, partial(_end_if_replaced, page, servers[0]))


def _server(page: Page, assets: Assets) -> WebServer:
    return WebServer(
        "the page",
        application(page, assets),
        page.settings.listen,
        limits=_limits(),
        tls=_tls(page.settings),
    )


def _limits() -> Limits:
    """Return limits for a process that does nothing but serve the page (getrlimit(2))."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _CONNECTIONS if files == resource.RLIM_INFINITY else min(files // 2, _CONNECTIONS)
    return Limits(connections=most, body=SPREADSHEET, threads=_THREADS)


def _end_if_replaced(page: Page, server: WebServer) -> None:
    if page.store_file.is_replaced:
        _log.warning("the database was replaced", path=str(page.store_file.path))
        server.stop()


@contextmanager
def opened(configuration: Configuration) -> Iterator[tuple[Page, Assets]]:
    """Open the page's parts until the block ends. Raises StoreError, OperatorError."""
    with ExitStack() as ends:
        database = configuration.store.beside
        store_file = StoreFile.at(database)
        store = stack.open_store(configuration)
        ends.callback(store.close)
        index = SearchIndex(database.with_name(SEARCH), store)
        ends.callback(index.close)
        follower = Follower(index)
        ends.callback(follower.close)
        assets = Assets()
        yield (
            Page(
                configuration=configuration,
                settings=configuration.web or WebSettings(),
                store=store,
                store_file=store_file,
                content=stack.open_content(configuration),
                index=index,
                follower=follower,
                finder=LetterFinder(index, stack.utc_now),
                passwords=Passwords(),
                provider=_provider(configuration.web or WebSettings()),
                pending_logins=store.pending_logins if store.is_shared else PendingLogins(),
                proxy=_proxy(configuration.web or WebSettings()),
                templates=Templates(_shared(assets)),
                clock=stack.utc_now,
                wake=lambda: wake_service(database),
                edited=EditedFiles(configuration, stack.utc_now),
                is_stopped=Pulse(database).is_stopped,
            ),
            assets,
        )


def _provider(settings: WebSettings) -> Provider | None:
    if settings.oidc is None or "oidc" not in settings.login:
        return None
    secret = read_secret("[web.oidc] client_secret_file", settings.oidc.client_secret_file)
    return Provider(settings.oidc, secret, f"{settings.url}/login/oidc/callback")


def _proxy(settings: WebSettings) -> ProxyLogin:
    if settings.proxy is None or "proxy" not in settings.login:
        return ProxyLogin(settings)
    return ProxyLogin(settings, read_secret("[web.proxy] secret_file", settings.proxy.secret_file))


def _shared(assets: Assets) -> dict[str, object]:
    """Return what every template knows."""
    return {
        "asset": assets.url,
        "due_words": wording.DUES,
        "fact_words": wording.FACTS,
        "languages": _LANGUAGES,
        "menu": wording.MENU,
        "notices": wording.NOTICES,
        "problem_words": wording.PROBLEMS,
        "holding_words": wording.HOLDINGS,
        "rights": wording.RIGHTS,
        "happening_words": wording.HAPPENINGS,
        "part_words": wording.PARTS,
        "result_words": wording.RESULTS,
        "Right": Right,
        "schemes": wording.SCHEMES,
        "source_words": wording.SOURCES,
        "state_words": wording.STATES,
    }


def _tls(settings: WebSettings) -> tuple[Path, Path] | None:
    if settings.tls_cert_file and settings.tls_key_file:
        return settings.tls_cert_file, settings.tls_key_file
    return None
