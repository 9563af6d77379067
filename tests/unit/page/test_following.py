"""The index follows the store without a view that waits for it."""

from __future__ import annotations

import sqlite3
import time

import pytest

from daemon.page.search import Synced, following
from daemon.page.search.following import Freshness
from tests.unit.conftest import stored_letter
from tests.unit.page.conftest import Site

MANY = 1200
TOTAL = 'data-testid="total" data-count='


def _keep(site: Site, *names: str) -> None:
    letters = [stored_letter(name, title=f"Brev {name}") for name in names]
    table = site.store.queries.table_in_force()
    assert table
    for each in letters:
        each.decision.routing_version = table.version
    site.store.letters.add(letters)


def _wait_until_built(site: Site) -> None:
    ends = time.monotonic() + 60
    while site.page.index.progress() != (0, 0):
        assert time.monotonic() < ends
        time.sleep(0.05)


def test_the_first_view_does_not_wait_for_all_letters(site: Site) -> None:
    """After a large import a list says how much of it is there, and the rest is read meanwhile,
    without a further view."""
    _keep(site, *map(str, range(MANY)))
    kari = site.user("kari", "reader", "operator")
    for path in ("/letters", "/"):
        answer = kari.get(path)
        assert answer.status_code == 200
        if path == "/letters":
            assert 'data-testid="building"' in answer.text
            assert f'data-expected="{MANY}"' in answer.text
    _wait_until_built(site)
    answer = kari.get("/letters")
    assert 'data-testid="building"' not in answer.text
    assert f'{TOTAL}"{MANY}"' in answer.text


def test_what_is_new_is_in_the_next_list(site: Site) -> None:
    """A letter that has just come is in the list at once, after a long import too."""
    follower = site.page.follower
    _keep(site, *map(str, range(MANY)))
    assert follower.catch_up().is_building
    _wait_until_built(site)
    _keep(site, "nytt")
    ends = time.monotonic() + 30
    while follower.catch_up() != Freshness():
        assert time.monotonic() < ends
    answer = site.user("kari", "reader").get("/letters?q=nytt")
    assert answer.text.count('data-testid="letter"') == 1


def test_a_dear_look_is_good_for_a_moment(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a look costs much, views soon after it do not look again; the later ones do."""
    monkeypatch.setattr(following, "_DEAR", 0.0)
    monkeypatch.setattr(following, "_WILL_DO", 1.0)
    looks: list[float] = []
    sync = site.page.index.sync

    def counted(budget: float) -> Synced:
        looks.append(budget)
        return sync(budget)

    monkeypatch.setattr(site.page.index, "sync", counted)
    for _ in range(3):
        site.page.follower.catch_up()
    assert len(looks) == 1
    time.sleep(1.1)
    site.page.follower.catch_up()
    assert len(looks) == 2


def test_an_index_that_cannot_be_written_is_still_listed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk the list shows what is in the index, and says that letters may be missing;
    with room again it is as good as ever."""
    _keep(site, "a")
    kari = site.user("kari", "reader")
    assert f'{TOTAL}"1"' in kari.get("/letters").text
    _keep(site, *(str(number) for number in range(99)))
    writer = site.page.index._writer

    def full() -> sqlite3.Connection:
        connection = writer()
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    monkeypatch.setattr(site.page.index, "_writer", full)
    for path in ("/letters", "/", "/letters.csv"):
        answer = kari.get(path)
        assert answer.status_code == 200
        assert ('data-testid="stale"' in answer.text) == (path != "/letters.csv")
    monkeypatch.undo()
    answer = kari.get("/letters").text
    assert 'data-testid="stale"' not in answer
    assert f'{TOTAL}"100"' in answer
