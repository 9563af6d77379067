"""Deliveries in a browser: many at once, by keyboard alone, and without scripts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from daemon.core.model import DeliveryState
from daemon.store.in_use import SERVICE
from daemon.store.lock import InstanceLock
from tests.browser.conftest import NewVisitor, Site, serving
from tests.browser.test_accessibility import findings

FOCUSED = "document.activeElement.innerText || document.activeElement.getAttribute('name')"


@pytest.fixture(name="own")
def own_site(tmp_path: Path) -> Iterator[Site]:
    """A page of this test's own, because it changes what is stored."""
    with serving(tmp_path) as site:
        yield site


def _in_state(site: Site, state: DeliveryState) -> set[str]:
    found = site.store.search.deliveries(state=state, destination=None, limit=1000)
    return {str(each.id) for each in found}


def _tab_to(page: Page, words: str) -> None:
    for _ in range(150):
        page.keyboard.press("Tab")
        if page.evaluate(FOCUSED) == words:
            return
    pytest.fail(f"Tab never gets to {words!r}")


def test_many_are_retried_by_keyboard_alone(new_visitor: NewVisitor, own: Site) -> None:
    """Select the page, ask, answer: what was stopped is due, and the page says how many."""
    dead = _in_state(own, DeliveryState.DEAD)
    assert dead
    page = (visitor := new_visitor(at=own)).page
    visitor.page.goto(f"{own.url}/deliveries?state=dead")
    expect(page.get_by_test_id("delivery")).to_have_count(len(dead))
    page.get_by_label("Velg denne siden").focus()
    page.keyboard.press("Space")
    expect(page.locator("input[name=id]:checked")).to_have_count(len(dead))
    _tab_to(page, "Prøv nå")
    page.keyboard.press("Enter")
    question = page.get_by_test_id("question")
    expect(question).to_have_attribute("data-count", str(len(dead)))
    assert _in_state(own, DeliveryState.DEAD) == dead
    assert findings(visitor) == []
    _tab_to(page, "Prøv nå")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("flash")).to_contain_text(str(len(dead)))
    assert _in_state(own, DeliveryState.DEAD) == set()
    assert dead <= _in_state(own, DeliveryState.PENDING)


def test_hold_release_and_send_again_without_scripts(new_visitor: NewVisitor, own: Site) -> None:
    """Plain forms: all that match are released and held, and one is sent again after a warning."""
    held = _in_state(own, DeliveryState.HELD)
    assert held
    page = new_visitor(at=own, java_script_enabled=False).page
    for button, state, then in (
        ("Slipp", DeliveryState.HELD, DeliveryState.PENDING),
        ("Hold tilbake", DeliveryState.PENDING, DeliveryState.HELD),
    ):
        page.goto(f"{own.url}/deliveries?state={state}")
        expect(page.get_by_label("Velg denne siden")).to_be_hidden()
        page.get_by_label("Velg alle som passer").check()
        page.get_by_role("button", name=button).click()
        expect(page.get_by_test_id("question")).to_be_visible()
        page.get_by_role("button", name=button).click()
        expect(page.get_by_test_id("flash")).to_be_visible()
        assert _in_state(own, then) == held
    one = min(_in_state(own, DeliveryState.DELIVERED))
    page.goto(f"{own.url}/deliveries/{one}")
    page.get_by_role("button", name="Send på nytt").click()
    expect(page.get_by_test_id("question")).to_contain_text("to ganger")
    page.get_by_role("button", name="Send på nytt").click()
    expect(page.get_by_test_id("flash")).to_be_visible()
    letter = own.store.queries.delivery(one).message_id
    generations = [each.generation for each in own.store.queries.deliveries(message_id=letter)]
    assert sorted(generations) == [1, 2]


def test_every_page_says_that_no_service_runs(new_visitor: NewVisitor, own: Site) -> None:
    """The banner is there where a service has worked with the store and does not now."""
    lock = InstanceLock(own.folder / "postmottak.db")
    lock.write_holder(SERVICE)
    lock.release()
    visitor = new_visitor(at=own)
    for path in ("/", "/letters", "/deliveries", "/service"):
        visitor.page.goto(f"{own.url}{path}")
        expect(visitor.page.get_by_test_id("stopped")).to_be_visible()
        assert findings(visitor) == []
