"""A receiver says in a browser that they have a letter, or that it is not theirs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from daemon.runtime.clock import utc_now
from daemon.store import Wanted
from daemon.store.users import Actor, RoleGrant
from tests.browser.conftest import NewVisitor, Site, Visitor, serving
from tests.browser.test_accessibility import findings


@pytest.fixture(name="own")
def own_site(tmp_path: Path) -> Iterator[Site]:
    """A page of this test's own, with two who receive for regnskap."""
    with serving(tmp_path) as site:
        for name in ("anna", "per"):
            grants = [RoleGrant(role="receiver", recipients=("regnskap",))]
            site.store.users.add(name, utc_now(), Actor(name="test"), grants=grants)
        yield site


def _letters(site: Site) -> list[str]:
    """Return the newest letters of regnskap."""
    return [str(each.id) for each in site.store.search.letters(Wanted(recipient="regnskap"), 2)]


def _is_narrow_enough(visitor: Visitor) -> bool:
    return bool(visitor.page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_twice_is_once_and_stays_after_a_restart(new_visitor: NewVisitor, own: Site) -> None:
    """By keyboard: `a` goes to the button, Enter acknowledges. State, name and time are shown, also
    to a colleague whose page is older, and after a restart of the page."""
    (letter, _), anna, per = _letters(own), new_visitor("anna", own), new_visitor("per", own)
    for visitor in (anna, per):
        visitor.go(f"/letters/{letter}")
    shown = anna.page.get_by_test_id("acknowledgement")
    expect(shown).to_have_attribute("data-state", "open")
    assert findings(anna) == []
    anna.page.get_by_label("Merknad").fill("svarer i dag")
    anna.page.get_by_role("heading", level=1).click()  # out of the field
    anna.page.keyboard.press("a")
    expect(anna.page.get_by_role("button", name="Kvitter")).to_be_focused()
    anna.page.keyboard.press("Enter")
    expect(shown).to_have_attribute("data-state", "acknowledged")
    expect(anna.page.get_by_test_id("flash")).to_have_text("Det er kvittert for brevet.")
    time = shown.locator("time").get_attribute("datetime") or "none"
    per.page.get_by_role("button", name="Kvitter").click()  # his page does not know it yet
    own.restart()
    for visitor in (anna, per):
        visitor.go(f"/letters/{letter}")
        shown = visitor.page.get_by_test_id("acknowledgement")
        expect(shown).to_have_attribute("data-state", "acknowledged")
        expect(shown).to_contain_text("anna")
        expect(shown).to_contain_text("svarer i dag")
        expect(shown.locator("time")).to_have_attribute("datetime", time)
        expect(visitor.page.get_by_role("button", name="Kvitter")).to_have_count(0)
    assert findings(anna) == []


def test_a_rejection_without_scripts(new_visitor: NewVisitor, own: Site) -> None:
    """Both are plain forms, also at 320 px; a rejection says why, and a colleague can then
    acknowledge."""
    (still_open, letter), narrow = _letters(own), {"width": 320, "height": 700}
    visitor = new_visitor("anna", own, java_script_enabled=False, viewport=narrow)
    visitor.go(f"/letters/{letter}")
    visitor.page.get_by_label("Hvorfor", exact=True).fill("gjelder eiendom")
    visitor.page.get_by_role("button", name="Avvis").click()
    shown = visitor.page.get_by_test_id("acknowledgement")
    expect(shown).to_have_attribute("data-state", "rejected")
    expect(shown).to_contain_text("gjelder eiendom")
    expect(visitor.page.get_by_role("button", name="Avvis")).to_have_count(0)
    visitor.page.get_by_role("button", name="Kvitter").click()
    expect(shown).to_have_attribute("data-state", "acknowledged")
    dark = new_visitor("per", own, viewport=narrow, color_scheme="dark")
    for each in (still_open, letter):
        dark.go(f"/letters/{each}")
        assert _is_narrow_enough(dark)
        assert findings(dark) == []
    kinds = [
        each.get_attribute("data-kind")
        for each in dark.page.get_by_test_id("timeline").get_by_test_id("event").all()
    ]
    assert [each for each in kinds if each and each.endswith("ed") and "letter-" in each] == [
        "letter-opened",
        "letter-rejected",
        "letter-opened",
        "letter-acknowledged",
        "letter-opened",
        "letter-opened",
    ]
