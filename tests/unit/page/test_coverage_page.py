"""The page about coverage: what may keep letters away, within the user's limits."""

from __future__ import annotations

import re
from datetime import timedelta

from daemon.core.coverage import CoverageFinding, CoverageLook, FindingKind
from daemon.store.users import RoleGrant
from tests.unit.conftest import NOW
from tests.unit.page.conftest import Site

OURS, THEIRS = "974761076", "910075918"
TAX_OFFICE, COURT = "971032081", "926725939"
ROW = re.compile(r'data-testid="finding" data-party="(\d*)" data-subject="([^"]*)"')


def fill(site: Site) -> None:
    """One of each: a lost right, a new resource, and two silent senders, one of secrets."""
    rows = [
        (FindingKind.RIGHT, OURS, "4255/8 skatt", False),
        (FindingKind.RESOURCE, "", "4255/8 ny", False),
        (FindingKind.SENDER, THEIRS, TAX_OFFICE, False),
        (FindingKind.SENDER, OURS, COURT, True),
    ]
    found = [
        CoverageFinding(
            kind=kind,
            mailbox="altinn",
            party=party,
            subject=subject,
            name="<b>Etat</b>",
            confidential=secret,
            reason="no right",
            first_seen_at=NOW,
            since=NOW - timedelta(days=40),
        )
        for kind, party, subject, secret in rows
    ]
    site.store.coverage.note("altinn", tuple(FindingKind), found, NOW)


def test_it_shows_what_is_lacking(site: Site) -> None:
    """Each with when it was seen, since when it is, and what to do, in the reader's language."""
    fill(site)
    kari = site.user("kari", "operator")
    text = kari.get("/coverage").text
    assert ROW.findall(text) == [
        (OURS, "4255/8 skatt"),
        ("", "4255/8 ny"),
        (THEIRS, TAX_OFFICE),
    ]
    assert "&lt;b&gt;Etat" in text
    assert COURT not in text
    kari.headers["Accept-Language"] = "nb"
    text = kari.get("/coverage").text
    assert "Rettigheter som er tapt" in text
    assert "3 ting kan hindre at brev kommer fram" in text
    overview = kari.get("/").text
    assert 'data-kind="sender" data-about="altinn 971032081"' in overview
    assert 'data-kind="resource"' in overview
    assert COURT not in overview


def test_each_sees_what_is_theirs(site: Site) -> None:
    """Limits to organisations hold, also for problems; those who operate the letters of a recipient
    see nothing of organisations; senders of confidential post need that right; readers see none."""
    fill(site)
    ola = site.user("ola", RoleGrant(role="operator", parties=(OURS,)))
    assert [party for party, _ in ROW.findall(ola.get("/coverage").text)] == [OURS, ""]
    assert TAX_OFFICE not in ola.get("/").text
    per = site.user("per", RoleGrant(role="operator", recipients=("regnskap",)))
    assert [party for party, _ in ROW.findall(per.get("/coverage").text)] == [""]
    eva = site.user("eva", "operator", "confidential")
    assert (OURS, COURT) in ROW.findall(eva.get("/coverage").text)
    assert site.user("pia", "reader").get("/coverage").status_code == 403


def test_without_findings(site: Site) -> None:
    """There is a sentence and no table; what is of a mailbox that is no more is not shown."""
    kari = site.user("kari", "operator")
    kari.headers["Accept-Language"] = "en"
    text = kari.get("/coverage").text
    assert "Nothing is known that keeps letters away." in text
    assert "Not every mailbox has been looked at yet." in text
    site.store.coverage.looked(CoverageLook(mailbox="altinn", compared_at=NOW))
    assert "Not every mailbox" not in kari.get("/coverage").text
    gone = CoverageFinding(
        kind=FindingKind.RIGHT, mailbox="old", party=OURS, first_seen_at=NOW, since=NOW
    )
    site.store.coverage.note("old", (FindingKind.RIGHT,), [gone], NOW)
    assert ROW.findall(kari.get("/coverage").text) == []
