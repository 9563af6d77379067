"""A real browser in front of a real page: `postmottak web run` as a child process.

A console error, which a report of the content security policy is too, and a request to another host
fail a test. Without a browser the tests are skipped, with the reason; with
POSTMOTTAK_BROWSER=required they fail.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Page,
    Request,
    expect,
    sync_playwright,
)

from benchmarks.loopback import free_port
from daemon.core.coverage import CoverageFinding, FindingKind
from daemon.runtime.clock import utc_now
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from daemon.store.users import Actor, RoleGrant
from tests.browser.letters import CONFIGURATION, ROUTING, fill

_FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
_PATIENCE = 20_000  # milliseconds; a busy machine answers late
_ALL = ("reader", "router", "operator", "admin")


@dataclass
class Site:
    """The page's address, and its store."""

    url: str
    folder: Path
    store: Store
    process: subprocess.Popen[str]

    def link(self, name: str = "kari") -> str:
        """Return a link that logs the user in."""
        token = self.store.login_links.create(name, utc_now(), Actor(name="test"))
        return f"{self.url}/login/link/{token}"

    def restart(self) -> None:
        """End the page, and start it again with the same store."""
        _end(self.process)
        self.process = _started(self.folder)
        _until_it_answers(self.url)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not path:
        missing = "no browser: apt-get install chromium, or set CHROMIUM to one"
        if os.environ.get("POSTMOTTAK_BROWSER") == "required":
            pytest.fail(missing)
        pytest.skip(missing)
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    expect.set_options(timeout=_PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*_FLAGS, *root])
        yield browser
        browser.close()


@contextmanager
def serving(folder: Path, web: str = "") -> Iterator[Site]:
    """Serve the page of a filled store until the block ends; `web` is added to `[web]`."""
    port = free_port()
    (folder / "drop").mkdir()
    text = CONFIGURATION.format(port=port).replace("[web]\n", f"[web]\n{web}")
    (folder / "postmottak.toml").write_text(text, encoding="utf-8")
    (folder / "routing.toml").write_text(ROUTING, encoding="utf-8")
    store = Store(f"sqlite:///{folder / 'postmottak.db'}")
    fill(store, ContentFolder(folder / "content"), utc_now())
    store.coverage.note("altinn", (FindingKind.RIGHT,), [_lost_right()], utc_now())
    grants = [RoleGrant(role=each) for each in _ALL]
    store.users.add("kari", utc_now(), Actor(name="test"), grants=grants)
    url = f"http://127.0.0.1:{port}"
    site = Site(url=url, folder=folder, store=store, process=_started(folder))
    try:
        _until_it_answers(url)
        yield site
    finally:
        _end(site.process)
        store.close()


def _lost_right() -> CoverageFinding:
    """What the page about coverage shows, with words that are as long as they get."""
    return CoverageFinding(
        kind=FindingKind.RIGHT,
        mailbox="altinn",
        party="991825827",
        subject="4255/8 eformidling-dpv-skatt-avgift-regnskap-og-annet",
        reason="the system user may not read eformidling-dpv-skatt-avgift-regnskap-og-annet",
        first_seen_at=utc_now(),
        since=utc_now(),
    )


def _started(folder: Path) -> subprocess.Popen[str]:
    command = [str(Path(sys.executable).with_name("postmottak")), "-c", "postmottak.toml"]
    process = subprocess.Popen(
        [*command, "web", "run"], cwd=folder, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    line = process.stdout.readline()
    if "the page is at" not in line:
        _end(process)
        pytest.fail(f"the page does not start: {line}")
    return process


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.wait(10)
    if process.stdout:
        process.stdout.close()


def _until_it_answers(url: str) -> None:
    for _ in range(200):
        try:
            httpx.get(f"{url}/login")
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("the page does not answer")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A page that the tests of a worker share; they leave it as it was."""
    with serving(tmp_path_factory.mktemp("page")) as found:
        yield found


@dataclass
class Visitor:
    """A browser window, and what went wrong in it."""

    page: Page
    site: Site
    wrong: list[str] = field(default_factory=list)

    def go(self, path: str) -> None:
        """Open an address of the page."""
        self.page.goto(f"{self.site.url}{path}")

    def watch(self) -> None:
        """Note every error, and every request to another host."""
        self.page.on("console", lambda each: self._note(each.text, at_fault=each.type == "error"))
        self.page.on("pageerror", lambda each: self._note(str(each)))
        self.page.on("request", self._foreign)

    def _foreign(self, request: Request) -> None:
        if not request.url.startswith((self.site.url, "data:")):
            self._note(f"a request to {request.url}")

    def _note(self, what: str, *, at_fault: bool = True) -> None:
        if at_fault:
            self.wrong.append(what)


NewVisitor = Callable[..., Visitor]


@pytest.fixture
def new_visitor(browser: Browser, site: Site) -> Iterator[NewVisitor]:
    """Open windows, in each of which a user has logged in; look at the end what went wrong."""
    contexts: list[BrowserContext] = []
    visitors: list[Visitor] = []

    def open_window(name: str = "kari", at: Site | None = None, **options: object) -> Visitor:
        chosen: dict[str, object] = {"locale": "nb-NO", "viewport": {"width": 1280, "height": 900}}
        context = browser.new_context(**(chosen | options))  # type: ignore[arg-type]
        context.set_default_timeout(_PATIENCE)
        contexts.append(context)
        visitor = Visitor(context.new_page(), at or site)
        visitor.watch()
        visitors.append(visitor)
        if name:
            visitor.page.goto((at or site).link(name))
        return visitor

    yield open_window
    for each in contexts:
        each.close()
    assert [each.wrong for each in visitors if each.wrong] == []


@pytest.fixture
def visitor(new_visitor: NewVisitor) -> Visitor:
    """A window in which somebody with all roles has logged in."""
    return new_visitor()
