"""A page over a real store, and visitors who ask it over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from jinja2 import BytecodeCache, Environment
from jinja2.bccache import Bucket
from starlette.applications import Starlette
from starlette.testclient import TestClient

from daemon.page import templating
from daemon.page.app import application
from daemon.page.context import Page
from daemon.page.guard.signed_in import COOKIE
from daemon.page.run import opened
from daemon.service import stack
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from daemon.store.users import Actor, RoleGrant
from tests.unit.conftest import NOW, Clock

HOME = "http://127.0.0.1:8770"
OURS = {"Origin": HOME}
ROUTING = """\
[[recipient]]
name = "regnskap"
title = "Regnskap"
deliver_to = ["erp"]

[[recipient]]
name = "eiendom"
title = "Eiendom"
deliver_to = ["erp"]

[[route]]
name = "Skatt"
services = ["4255/8"]
to = ["regnskap"]

[[route]]
name = "Alt annet"
to = ["eiendom"]
"""
CONFIGURATION = """\
[store]
database = "sqlite:///postmottak.db"
content = "content"

[routing]
file = "routing.toml"

[mailbox.altinn]
type = "altinn3"
environment = "tt02"
client_id = "client"
key_file = "key.pem"
key_id = "key"
parties = ["974761076"]

[destination.erp]
type = "filedrop"
path = "drop"
"""


@dataclass
class Site:
    """The page, its store and its visitors."""

    page: Page
    app: Starlette
    clock: Clock
    folder: Path
    woken: list[int] = field(default_factory=list)

    @property
    def store(self) -> Store:
        return self.page.store

    def user(self, name: str, *roles: str | RoleGrant) -> TestClient:
        """Add a user, and return a browser in which they have logged in."""
        grants = [RoleGrant(role=each) if isinstance(each, str) else each for each in roles]
        self.store.users.add(name, self.clock(), Actor(name="test"), grants=grants)
        return self.visitor(name)

    def visitor(self, name: str = "") -> TestClient:
        """Return a browser in which the user has logged in; without a name, nobody."""
        client = TestClient(self.app, base_url=HOME, follow_redirects=False, headers=OURS)
        if name:
            token = self.store.sessions.begin(name, "127.0.0.1", self.clock())
            client.headers["Cookie"] = f"{COOKIE}={token}"
        return client

    def events(self, **wanted: Any) -> list[tuple[str, str, bool]]:
        """Return kind, user and whether it was done, of the newest events."""
        return [(each.kind, each.user, each.done) for each in self.store.events.page(**wanted)]


class _Compiled(BytecodeCache):
    """Templates that have been compiled already."""

    def __init__(self) -> None:
        self._code: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if code := self._code.get(bucket.key):
            bucket.bytecode_from_string(code)

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._code[bucket.key] = bucket.bytecode_to_string()


@pytest.fixture(scope="session", autouse=True)
def templates_are_compiled_once() -> Iterator[None]:
    """Jinja compiles a template once for each page and language, of which a process has three, and
    the tests have thousands."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(templating, "Environment", partial(Environment, bytecode_cache=_Compiled()))
        yield


@pytest.fixture
def site(tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A page over a new store whose routing table is in force; it hashes passwords with the least
    effort, as test_passwords.py looks at the real one."""
    assert database.parent == tmp_path  # an empty one, which need not be migrated
    monkeypatch.setattr(
        "daemon.page.guard.passwords._new_hasher",
        partial(PasswordHasher, time_cost=1, memory_cost=8, parallelism=1),
    )
    with opened_site(tmp_path) as found:
        yield found


@contextmanager
def opened_site(tmp_path: Path, more: str = "") -> Iterator[Site]:
    """Open such a page in a folder; its configuration has `more` at the end."""
    (tmp_path / "postmottak.toml").write_text(CONFIGURATION + more, encoding="utf-8")
    (tmp_path / "routing.toml").write_text(ROUTING, encoding="utf-8")
    (tmp_path / "drop").mkdir()
    if not (tmp_path / "postmottak.db").exists():
        Store(f"sqlite:///{tmp_path / 'postmottak.db'}").close()
    ContentFolder(tmp_path / "content")
    loaded = stack.load_for_page(tmp_path / "postmottak.toml")
    with ExitStack() as ends:
        page, assets = ends.enter_context(opened(loaded.configuration))
        clock, woken = Clock(), list[int]()
        page = _with(page, clock, lambda: woken.append(1))
        page.store.letters.note_table(loaded.table.version, loaded.table.text, NOW)
        yield Site(
            page=page, app=application(page, assets), clock=clock, folder=tmp_path, woken=woken
        )


@pytest.fixture(autouse=True)
def what_is_shown_is_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is, a page shows what was changed before."""
    monkeypatch.setattr("daemon.page.search.following._WILL_DO", 0.0)


def _with(page: Page, clock: Clock, wake: Callable[[], None]) -> Page:
    from dataclasses import replace

    from daemon.page.search.finder import LetterFinder

    return replace(page, clock=clock, wake=wake, finder=LetterFinder(page.index, clock))
