"""In a browser: letters are moved, a route is proposed, a second person approves it, and one who
leaves hands over; each page on the way is accessible."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from daemon.core.accounts import ChangeSource
from daemon.core.edits import Approval
from daemon.core.model import message_id
from daemon.page.editing.draft import version_of
from daemon.routing.table import parse_table
from daemon.runtime.clock import utc_now
from daemon.service.stack import rerouter
from daemon.store.users import Actor, RoleGrant
from tests.browser.conftest import NewVisitor, Site, Visitor, serving
from tests.browser.test_accessibility import SMALL, findings

_SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def careful_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A page that asks for a second person, with one."""
    folder = tmp_path_factory.mktemp("careful")
    with serving(folder) as site:
        file = folder / "postmottak.toml"
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace("[routing]\n", "[routing]\napprovals = 1\n"), encoding="utf-8")
        table = folder / "routing.toml"
        members = 'deliver_to = ["erp"]\nmembers = ["ola"]\nmanager = "per@example.no"'
        text = table.read_text(encoding="utf-8")
        table.write_text(text.replace('deliver_to = ["erp"]', members), encoding="utf-8")
        grants = [RoleGrant(role="router")]
        site.store.users.add("ola", utc_now(), Actor(name="test"), grants=grants)
        _prepare(site, table.read_text(encoding="utf-8"))
        site.restart()
        yield site


def _prepare(site: Site, text: str) -> None:
    """Move three letters by hand, and let a table of somebody wait for a second person."""
    table = parse_table(text, "routing.toml", ("erp", "arkiv"))
    for number in (2, 6, 10):
        rerouter(site.store, table).route(message_id("altinn", f"letter-{number}"), "eiendom")
    wanted = Approval(
        at=utc_now(),
        version=version_of(text + "#\n"),
        version_before=version_of(text),
        text=text + "#\n",
        by="ola",
        reason="Prøve",
        source=ChangeSource.PAGE,
    )
    assert site.store.approvals.ask(wanted) == 1


def _accessible(visitor: Visitor) -> None:
    """Look at what is shown in light and dark, wide and narrow."""
    for scheme in ("light", "dark"):
        visitor.page.emulate_media(color_scheme=scheme)
        assert findings(visitor) == []
    visitor.page.set_viewport_size({"width": 320, "height": 800})
    assert visitor.page.evaluate(_SIDEWAYS) == 0
    assert visitor.page.evaluate(SMALL) == []


def test_a_proposal_is_approved_by_a_second_person(
    careful_site: Site, new_visitor: NewVisitor
) -> None:
    """Three letters moved by hand are a proposal; accepted and published, it waits for somebody
    else, who sees its effect and approves it; then the file has it."""
    kari, ola = new_visitor(at=careful_site), new_visitor("ola", at=careful_site)
    for number in (3, 7, 11):
        kari.go(f"/letters/{message_id('altinn', f'letter-{number}')}")
        kari.page.get_by_label("Til", exact=True).select_option("regnskap")
        kari.page.get_by_role("button", name="Flytt brevet").click()
        expect(kari.page.get_by_test_id("flash")).to_contain_text("Brevet er flyttet.")
    kari.go("/routing")
    kari.page.get_by_role("link", name="Forslag").click()
    proposal = kari.page.get_by_test_id("proposal").filter(has_text="til regnskap")
    expect(proposal).to_have_attribute("data-corrections", "3")
    proposal.get_by_role("button", name="Godta").click()
    kari.page.get_by_label("Hvorfor").fill("Forslag fra siden")
    kari.page.get_by_role("button", name="Publiser").click()
    approval = kari.page.get_by_test_id("approval")
    expect(approval).to_have_attribute("data-state", "waiting")
    expect(kari.page.get_by_role("button", name="Godkjenn")).to_have_count(0)
    ola.go("/routing/approvals")
    ola.page.locator("[data-testid=approval][data-by=kari]").get_by_role("link").click()
    diff = ola.page.locator("[data-testid=diff][data-state=done]")
    expect(diff).to_have_attribute("data-moved", "15")
    assert "senders" not in (careful_site.folder / "routing.toml").read_text(encoding="utf-8")
    ola.page.get_by_role("button", name="Godkjenn").click()
    expect(ola.page.get_by_test_id("origin")).to_contain_text("godkjent av ola")
    text = (careful_site.folder / "routing.toml").read_text(encoding="utf-8")
    assert 'senders = ["974760673"]' in text


def test_one_who_leaves_hands_over(careful_site: Site, new_visitor: NewVisitor) -> None:
    """What they hold is shown from the list of users, then what would happen, and then done."""
    kari = new_visitor(at=careful_site)
    kari.go("/admin/users")
    account = kari.page.locator("[data-testid=account][data-name=ola]")
    account.get_by_role("link", name="Overlat").click()
    holding = kari.page.get_by_test_id("holding")
    expect(holding.first).to_have_attribute("data-kind", "member")
    kari.page.get_by_label("Til", exact=True).fill("kari")
    kari.page.get_by_role("button", name="Se hva som ville skje").click()
    expect(kari.page.get_by_role("heading", name="Hva som skjer")).to_be_visible()
    kari.page.get_by_role("button", name="Overlat").click()
    expect(kari.page.get_by_test_id("flash")).to_contain_text("en annen")
    (waiting,) = (each for each in careful_site.store.approvals.waiting() if each.by == "kari")
    assert 'members = ["kari"]' in waiting.text


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/routing/proposals", "proposal"),
        ("/routing/approvals", "approval"),
        ("/routing/approvals/1", "approval"),
        ("/admin/handover/ola?to=kari", "holding"),
    ],
)
def test_each_page_on_the_way_is_accessible(
    careful_site: Site, new_visitor: NewVisitor, path: str, shown: str
) -> None:
    """With a proposal, a table that waits for the user, and what somebody holds."""
    visitor = new_visitor(at=careful_site)
    visitor.go(path)
    expect(visitor.page.get_by_test_id(shown).first).to_be_visible()
    _accessible(visitor)
