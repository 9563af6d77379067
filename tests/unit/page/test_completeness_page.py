"""The page about completeness: the sentence and the numbers, for those who operate all of them."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

from daemon.core.bookkeeping import Bookmark
from daemon.core.completeness import Account
from daemon.core.ports import Channel
from daemon.store.users import RoleGrant
from tests.unit.conftest import NOW
from tests.unit.page.conftest import Site

OURS, THEIRS = "974761076", "910075918"


def _compared(site: Site, party: str, account: Account, problem: str = "", days: int = 30) -> None:
    """A channel that was read, and compared with this result."""
    channel = Channel(party=party, service="4255/8", resource="skatt")
    bookmark = Bookmark(mailbox="altinn", party=party, service="4255/8", resource="skatt")
    bookmark.begun, bookmark.succeeded_at = True, NOW
    bookmark.begins_at = NOW - timedelta(days=days)
    site.store.bookmarks.save([bookmark])
    site.store.completeness.note("altinn", channel, account, NOW)
    if problem:
        site.store.completeness.note_failure("altinn", channel, problem, NOW)


def _words(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def test_the_sentence_and_the_numbers(site: Site) -> None:
    """The overview has the sentence, in the reader's language; the page has every channel, those
    that need attention first."""
    _compared(site, OURS, Account(source=12, here=10, waiting=1, older=1))
    _compared(site, THEIRS, Account(source=5, here=4, unexplained=1))
    kari = site.user("kari", "operator")
    kari.headers["Accept-Language"] = "en"
    overview = kari.get("/").text
    assert 'data-testid="completeness" data-whole="false"' in overview
    assert "15 of 16 letters are here or explained." in _words(overview)
    assert "Cannot be explained: 1." in _words(overview)
    assert 'data-kind="shortfall" data-about="altinn"' in overview
    text = kari.get("/completeness").text
    assert re.findall(r'data-state="(\w+)" data-party="(\d+)"', text) == [
        ("short", THEIRS),
        ("complete", OURS),
    ]
    kari.headers["Accept-Language"] = "nb"
    assert "15 av 16 brev er her eller forklart." in _words(kari.get("/completeness").text)


def test_channels_that_begin_later_are_mentioned(site: Site) -> None:
    """The sentence on the page says it too, as `status` does; not where all begin together."""
    _compared(site, OURS, Account(source=2, here=2))
    kari = site.user("kari", "operator")
    kari.headers["Accept-Language"] = "en"
    assert "Some channels" not in _words(kari.get("/completeness").text)
    _compared(site, THEIRS, Account(source=5, here=5), days=5)
    assert "Some channels are read only from" in _words(kari.get("/completeness").text)


def test_what_could_not_be_asked_says_why(site: Site) -> None:
    """A channel that could not be compared does not count, and says what prevented it."""
    _compared(site, OURS, Account(source=2, here=2))
    _compared(site, THEIRS, Account(source=5, here=5), "HTTP 503; it is tried again")
    text = site.user("kari", "operator").get("/completeness").text
    assert 'data-whole="false"' in text
    assert "HTTP 503" in text
    assert '<dd data-testid="source">2</dd>' in text


def test_others_see_nothing_of_it(site: Site) -> None:
    """Who operates one organisation sees that one; who operates the letters of a recipient sees
    none: a letter that is missing has no recipient; who operates nothing is refused."""
    _compared(site, OURS, Account(source=2, here=2))
    _compared(site, THEIRS, Account(source=500, here=499, failing=1))
    ola = site.user("ola", RoleGrant(role="operator", parties=(OURS,)))
    text = ola.get("/completeness").text
    assert OURS in text
    assert THEIRS not in text
    assert "500" not in _words(text)
    per = site.user("per", RoleGrant(role="operator", recipients=("regnskap",)))
    assert OURS not in per.get("/completeness").text
    assert 'data-testid="completeness"' not in per.get("/").text
    assert site.user("lise", "reader").get("/completeness").status_code == 403
