"""The page about clients: the same as `coverage --clients`, within the user's limits."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

import pytest

from daemon.core.bookkeeping import Bookmark
from daemon.core.parties import MailboxParty
from daemon.monitoring.coverage import clients
from daemon.page.views.clients import ADDRESS
from daemon.store.users import RoleGrant
from tests.unit.conftest import NOW
from tests.unit.page.conftest import Site

READ, REFUSED, GONE = "991825827", "974761076", "974760673"
ROW = re.compile(r'data-testid="client" data-party="(\d+)" data-missing="(true|false)"')
KNOWN = re.compile(
    r'data-testid="delegated" data-package="(ordinary|confidential)" data-known="(\w+)"'
)


def fill(site: Site, parties: Iterable[str] = (READ, REFUSED, GONE)) -> None:
    """One that is read, one that has delegated only confidential post, and one that has left."""
    site.store.bookmarks.save(
        [
            Bookmark(
                mailbox="altinn",
                party=party,
                service=service,
                resource=service,
                begun=not refused,
                refused=refused,
            )
            for party in parties
            for service, refused in (("4255/8", party == REFUSED), ("5504/1", party != REFUSED))
        ]
    )
    gone = MailboxParty(
        mailbox="altinn", party=GONE, name="<b>Firma</b>", found_at=NOW, gone_at=NOW
    )
    site.store.mailbox_parties.save([gone])


def test_it_says_what_the_command_says(site: Site) -> None:
    """Who has delegated which package stands in each row, and a name is text, not HTML."""
    fill(site)
    text = site.user("kari", "operator").get(ADDRESS).text
    rows = list(clients(site.store, site.page.configuration.mailboxes))
    assert ROW.findall(text) == [(each.party, json.dumps(each.is_missing)) for each in rows]
    words = {True: "yes", False: "no", None: "unknown"}
    said = [answer for _, answer in KNOWN.findall(text)]
    assert said == [words[known] for each in rows for known in (each.ordinary, each.confidential)]
    assert "&lt;b&gt;Firma" in text


def test_only_those_that_are_missing(site: Site) -> None:
    """The filter leaves those whose ordinary post cannot be read."""
    fill(site)
    text = site.user("kari", "operator").get(f"{ADDRESS}?missing=1").text
    assert ROW.findall(text) == [(GONE, "true"), (REFUSED, "true")]


@pytest.mark.parametrize("page", ["0", "-1", "x", "9" * 40, "\u0661", ""])
def test_a_page_that_is_none_is_the_first(site: Site, page: str) -> None:
    """Whatever stands in the address, there is an answer."""
    fill(site)
    answer = site.user("kari", "operator").get(ADDRESS, params={"page": page})
    assert (answer.status_code, len(ROW.findall(answer.text))) == (200, 3)


def test_many_are_shown_page_by_page(site: Site) -> None:
    """Each organisation is on one page, and the filter stays when it is turned."""
    fill(site, [f"{number:09}" for number in range(250)])
    kari, address, seen = site.user("kari", "operator"), ADDRESS, list[str]()
    for _ in range(3):
        text = kari.get(address).text
        seen += [party for party, _ in ROW.findall(text)]
        following = re.search(r'href="([^"]*)" rel="next"', text)
        address = following[1].replace("&amp;", "&") if following else ""
    assert address == ""
    assert len(seen) == len(set(seen)) == 252  # with the one of the configuration
    assert 'rel="prev"' in text


def test_whose_they_are(site: Site) -> None:
    """An operator sees the organisations of the grant; a reader sees none."""
    fill(site)
    limited = site.user("ola", RoleGrant(role="operator", parties=(READ,)))
    assert ROW.findall(limited.get(ADDRESS).text) == [(READ, "false")]
    assert site.user("per", "reader").get(ADDRESS).status_code == 403
