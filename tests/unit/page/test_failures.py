"""Whatever fails, there is a clear page with the page's headers, and soon."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from daemon.core.errors import StoreUnreachable
from daemon.page.guard import failures
from daemon.page.search.index import SearchFault, SearchTooSlow
from tests.unit.page.conftest import Site


@contextmanager
def _locked(database: Path) -> Iterator[None]:
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield


@pytest.mark.parametrize("path", ["/", "/letters", "/login", "/help"])
def test_a_locked_database_is_a_page_that_says_so(
    site: Site, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """While another program locks the database, each page answers 503 in time, before it is known
    who asks; and then it works again."""
    monkeypatch.setattr(failures, "_WAIT", 0.2)
    ola = site.user("ola", "reader")
    with _locked(site.folder / "postmottak.db"):
        began = time.monotonic()
        answer = ola.get(path)
        assert time.monotonic() - began < 10
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "Databasen er opptatt" in answer.text
    _is_guarded(answer.headers)
    assert ola.get("/letters").status_code == 200


@pytest.mark.parametrize(
    ("fault", "status", "words"),
    [
        (SearchFault("x"), 503, "Lista over brev kan ikke leses"),
        (SearchTooSlow("x"), 503, "Søket tok for lang tid"),
        (StoreUnreachable("hemmelig"), 503, "Databasen svarer ikke"),
        (ValueError("hemmelig"), 500, "Noe gikk galt her"),
    ],
)
def test_a_fault_is_a_page_that_says_so(
    site: Site, monkeypatch: pytest.MonkeyPatch, fault: Exception, status: int, words: str
) -> None:
    """What fails in a view is told apart, shows nothing of the inside, and has all headers."""

    def fail(*_: object) -> None:
        raise fault

    ola = site.user("ola", "reader")
    monkeypatch.setattr(site.page.finder, "look", fail)
    answer = ola.get("/letters")
    assert answer.status_code == status
    assert words in answer.text
    assert not {"hemmelig", "Traceback"} & set(answer.text.split())
    _is_guarded(answer.headers)


def test_an_address_beneath_static_is_not_found(site: Site) -> None:
    """An old address of a style, asked for by somebody unknown, is 404 and no failure."""
    answer = site.visitor().get("/static/0000/page.css")
    assert answer.status_code == 404
    _is_guarded(answer.headers)


def test_a_method_that_is_not_allowed_names_those_that_are(site: Site) -> None:
    """RFC 9110, 15.5.6."""
    answer = site.user("ola", "reader").put("/letters")
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}


@pytest.mark.parametrize("harm", ["folder", "empty"])
def test_an_index_that_is_none_is_made_again(site: Site, harm: str) -> None:
    """Something else in the index's place is a page that says so, never a broken connection; once
    it can be, the index is made again."""
    ola: TestClient = site.user("ola", "reader")
    assert ola.get("/letters").status_code == 200
    path = site.page.index.path
    for each in path.parent.glob("search.db*"):
        each.unlink()
    if harm == "folder":
        path.mkdir()
        answer = ola.get("/letters")
        assert answer.status_code == 503
        assert "Det går ikke ut over brevene" in answer.text
        _is_guarded(answer.headers)
        shutil.rmtree(path)
    else:
        path.touch()
    assert ola.get("/letters").status_code == 200


def _is_guarded(headers: Mapping[str, str]) -> None:
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"
