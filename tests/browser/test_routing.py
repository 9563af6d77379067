"""The routing table is edited, tried, published and rolled back in a browser."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from playwright.sync_api import Locator, expect

from daemon.page.editing.draft import version_of
from daemon.runtime.clock import utc_now
from daemon.store.users import Actor, RoleGrant
from tests.browser.conftest import NewVisitor, Site, Visitor, serving
from tests.browser.letters import ROUTING

REST = "/routing/routes/Alt%20annet"


@pytest.fixture
def own_site(tmp_path: Path) -> Iterator[Site]:
    """A page whose table this test may change, with a second editor."""
    key = generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key.pem").write_bytes(pem)  # the command line reads the secrets, too
    (tmp_path / "key.pem").chmod(0o600)
    with serving(tmp_path) as site:
        grants = [RoleGrant(role="router")]
        site.store.users.add("ola", utc_now(), Actor(name="test"), grants=grants)
        yield site


def _diff(visitor: Visitor, moved: int) -> Locator:
    """Wait until the page says how many letters would move."""
    found = visitor.page.locator(f"[data-testid=diff][data-state=done][data-moved='{moved}']")
    expect(found).to_be_visible()
    return found


def _routes_test(site: Site, text: str) -> Any:
    """Return what the command line says of a table."""
    (site.folder / "other.toml").write_text(text, encoding="utf-8")
    postmottak = str(Path(sys.executable).with_name("postmottak"))
    found = subprocess.run(  # our own program
        [postmottak, "-c", "postmottak.toml", "routes", "test", "other.toml", "--json"],
        cwd=site.folder,
        capture_output=True,
        check=False,
    )
    return json.loads(found.stdout)


def _file(site: Site) -> str:
    return (site.folder / "routing.toml").read_text(encoding="utf-8")


def test_an_edit_is_tried_published_and_rolled_back(
    own_site: Site, new_visitor: NewVisitor
) -> None:
    """What is typed has the effect that `routes test` finds; it is published with a reason, keeps
    the comments, and comes back byte for byte."""
    visitor = new_visitor(at=own_site)
    page = visitor.page
    visitor.go("/routing")
    names = page.get_by_test_id("route")
    expect(names).to_have_count(3)
    names.nth(1).get_by_role("link").click()
    page.get_by_label("Tittelen inneholder").press_sequentially("tillatelse, rammetillatelse")
    _diff(visitor, 0)
    page.get_by_label("Til", exact=True).fill("regnskap")
    effect = _diff(visitor, 15)
    edited = ROUTING.replace(
        'services = ["4255/1"]\nto = ["eiendom"]',
        'services = ["4255/1"]\nto = ["regnskap"]\n'
        'title_contains = ["tillatelse", "rammetillatelse"]',
    )
    found = _routes_test(own_site, edited)
    assert (found["letters"], found["changed"]) == (60, 15)
    assert effect.get_attribute("data-letters") == "60"
    move = page.get_by_test_id("move")
    expect(move).to_have_count(1)
    expect(move).to_contain_text("15 fra eiendom (arkiv) til regnskap (erp)")
    move.locator("summary").click()
    expect(move.get_by_role("link").first).to_have_attribute("href", re.compile("/letters/"))
    page.get_by_role("button", name="Publiser").click()
    expect(page.get_by_label("Hvorfor")).to_be_focused()
    assert _file(own_site) == ROUTING
    page.get_by_label("Hvorfor").fill("Ny ansvarlig")
    page.get_by_role("button", name="Publiser").click()
    expect(page.get_by_test_id("flash")).to_be_visible()
    assert sorted(_file(own_site).splitlines()) == sorted(edited.splitlines())
    text = _file(own_site)
    own_site.store.letters.note_table(version_of(text), text, utc_now())
    expect(page.get_by_test_id("in-force")).to_be_visible()
    visitor.go("/routing/history")
    newest = page.get_by_test_id("version").first
    expect(newest).to_contain_text("kari")
    expect(newest).to_contain_text("Ny ansvarlig")
    page.get_by_test_id("version").nth(1).get_by_role("link").click()
    _diff(visitor, 15)
    page.get_by_label("Hvorfor").fill("Det var feil")
    page.get_by_role("button", name="Rull tilbake").click()
    expect(page.get_by_test_id("flash")).to_be_visible()
    assert _file(own_site) == ROUTING


def test_a_fault_stands_at_its_field(visitor: Visitor, site: Site) -> None:
    """A wrong organisation number is shown while it is typed, and cannot be published."""
    page = visitor.page
    visitor.go(REST)
    senders = page.get_by_label("Avsendere")
    senders.fill("974761077")
    fault = page.get_by_test_id("fault")
    expect(fault).to_have_attribute("data-key", "route[3].senders[1]")
    assert fault.evaluate("each => each.parentElement.dataset.faultsOf") == "f-senders"
    expect(senders).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_role("button", name="Publiser")).to_be_disabled()
    senders.fill("")
    _diff(visitor, 0)
    expect(page.get_by_role("button", name="Publiser")).to_be_enabled()
    expect(fault).to_have_count(0)
    assert _file(site) == ROUTING


def test_the_later_of_two_editors_keeps_the_draft(own_site: Site, new_visitor: NewVisitor) -> None:
    """Who publishes second is told so, has the draft still, and can take it over."""
    first, second = new_visitor(at=own_site), new_visitor("ola", at=own_site)
    second.go("/routing/routes/Plan%20og%20bygg")
    second.page.get_by_label("Saksnummer").fill("2026/1*")
    second.page.get_by_role("button", name="Lagre kladd").click()
    expect(second.page.get_by_test_id("flash")).to_be_visible()
    first.go("/routing/routes/Skatt%20og%20avgift")
    first.page.get_by_label("Til", exact=True).fill("post")
    first.page.get_by_label("Hvorfor").fill("først")
    first.page.get_by_role("button", name="Publiser").click()
    expect(first.page.get_by_test_id("flash")).to_be_visible()
    second.page.get_by_label("Hvorfor").fill("sist")
    with second.page.expect_response("**/routing/publish") as answer:
        second.page.get_by_role("button", name="Publiser").click()
    assert answer.value.status == 409
    expect(second.page.get_by_test_id("conflict")).to_contain_text("kari")
    second.wrong.clear()  # the browser's own word for 409
    second.go("/routing/routes/Plan%20og%20bygg")
    expect(second.page.get_by_label("Saksnummer")).to_have_value("2026/1*")
    second.page.get_by_role("button", name="Overfør endringene mine").click()
    expect(second.page.get_by_test_id("flash")).to_be_visible()
    expect(second.page.get_by_test_id("conflict")).to_have_count(0)
    draft = own_site.store.drafts.find("ola")
    assert draft
    assert 'services = ["4255/8"]\nto = ["post"]' in draft.text
    assert 'case_numbers = ["2026/1*"]' in draft.text


def test_the_table_is_edited_without_scripts(own_site: Site, new_visitor: NewVisitor) -> None:
    """Trying, saving and publishing are plain forms."""
    visitor = new_visitor(at=own_site, java_script_enabled=False)
    page = visitor.page
    visitor.go("/routing/routes/Plan%20og%20bygg")
    page.get_by_label("Til", exact=True).fill("regnskap")
    page.get_by_role("button", name="Prøv").click()
    _diff(visitor, 15)
    expect(page.get_by_label("Til", exact=True)).to_have_value("regnskap")
    page.get_by_role("button", name="Lagre kladd").click()
    expect(page.get_by_test_id("flash")).to_be_visible()
    visitor.go("/routing")
    page.get_by_label("Hvorfor").fill("Uten skript")
    page.get_by_role("button", name="Publiser").click()
    expect(page.get_by_test_id("flash")).to_be_visible()
    assert _file(own_site) == ROUTING.replace('to = ["eiendom"]', 'to = ["regnskap"]')


def test_a_spreadsheet_is_tried_before_it_is_published(
    own_site: Site, new_visitor: NewVisitor
) -> None:
    """A sheet becomes a draft with the same effect; a bad row is named by its cell."""
    visitor = new_visitor(at=own_site)
    page = visitor.page
    rows = [
        "kind;name;deliver_to;services;to",
        "recipient;regnskap;erp;;",
        "recipient;eiendom;arkiv;;",
        "recipient;post;arkiv;;",
        "route;Skatt og avgift;;4255/8;regnskap",
        "route;Plan og bygg;;4255/1;ingen",
        "route;Alt annet;;;post",
    ]
    sheet = own_site.folder / "ark.csv"
    sheet.write_text("\n".join(rows), encoding="utf-8")
    visitor.go("/routing/import")
    page.get_by_label("Regneark").set_input_files(sheet)
    page.get_by_role("button", name="Last opp som kladd").click()
    expect(page.get_by_test_id("fault").first).to_be_visible()
    assert any(
        "6 (" in str(each.get_attribute("data-key")) for each in page.get_by_test_id("fault").all()
    )
    visitor.wrong.clear()  # the browser's own word for 422
    sheet.write_text("\n".join(rows).replace("ingen", "post"), encoding="utf-8")
    page.get_by_label("Regneark").set_input_files(sheet)
    page.get_by_role("button", name="Last opp som kladd").click()
    _diff(visitor, 15)
    assert _file(own_site) == ROUTING
