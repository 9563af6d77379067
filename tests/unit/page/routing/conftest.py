"""What the tests of the routing pages share: a page over real files, and people who use it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from daemon.core.model import ThreadValues
from daemon.page.app import application
from daemon.page.assets import Assets
from daemon.routing.facts import facts_of
from daemon.routing.table import read_table
from daemon.store import RoleGrant, Store
from tests.unit.conftest import NOW, TABLE, stored_letter
from tests.unit.page.conftest import Site

DESTINATIONS = ("erp",)
TEXT = """\
# kept: who gets which letter
[[recipient]]
name = "regnskap"
deliver_to = ["erp"]

[[recipient]]
name = "post"   # kept: beside
deliver_to = ["erp"]

# kept: the taxes
[[route]]
name = "Skatt"
title_contains = ["skatt"] # kept: words
to = ["regnskap"]

[[route]]
name = "Alt annet"
to = ["post"]
"""


class Person:
    """Somebody at a browser."""

    def __init__(self, client: TestClient) -> None:
        self._client = client

    def get(self, path: str) -> Any:
        """Ask for a page."""
        return self._client.get(path)

    def post(self, path: str, form: dict[str, str] | None = None, **options: Any) -> Any:
        """Send a form."""
        return self._client.post(path, data=form or {}, **options)

    def try_out(self, form: dict[str, str]) -> Any:
        """Type, and get the part of the page that says what it would do."""
        return self._client.post("/routing/try", data=form, headers={"hx-request": "true"})


class Desk:
    """A page over a store and a table's file."""

    def __init__(self, site: Site) -> None:
        self.site, self.clock = site, site.clock
        self.file = site.folder / "routing.toml"
        self.file.write_text(TEXT, encoding="utf-8")
        site.store.letters.note_table(TABLE.version, TABLE.text, NOW - timedelta(days=400))

    @property
    def store(self) -> Store:
        """The store."""
        return self.site.store

    def restart(self) -> None:
        """Begin as a new process does."""
        self.site.page = replace(self.site.page)
        self.site.app = application(self.site.page, Assets())

    def activate(self) -> str:
        """Do what the service does when the file has changed; return the version."""
        self.clock.advance(minutes=1)
        table = read_table(self.file, DESTINATIONS)
        self.store.letters.note_table(table.version, table.text, self.clock())
        return table.version

    def person(self, name: str, *roles: str, **limits: tuple[str, ...]) -> Person:
        """Add a user, and log in."""
        grants = [RoleGrant(role=role, **limits) for role in roles]
        return Person(self.site.user(name, *grants))

    def letter(self, name: str, title: str, **facts: Any) -> str:
        """Store a letter that came now, and that was sent to `post`; return its id."""
        letter = stored_letter(name, title=title, **facts)
        letter.message.fetched_at = self.clock()
        key, seen = letter.message.id, facts_of(letter.message, (), self.clock())
        threads = [ThreadValues(key=each, message_id=key) for each in seen.threads]
        self.store.letters.add([replace(letter, threads=threads)])
        return str(letter.message.id)


@pytest.fixture
def desk(site: Site) -> Desk:
    """A page over a store and a table's file, which the service has in force."""
    desk = Desk(site)
    desk.clock.advance(minutes=1)
    desk.activate()
    return desk


@pytest.fixture
def diff() -> Callable[[str], dict[str, str]]:
    """Read what a page says that an edit would do."""
    return read_diff


def read_diff(text: str) -> dict[str, str]:
    """Return the data of the element `diff`."""
    found = re.search(r'<div data-testid="diff"([^>]*)>', text)
    assert found, text
    return dict(re.findall(r'data-(\w+)="([^"]*)"', found[1]))
