"""Every page, in light and dark, wide and narrow: no finding of axe, no scrolling sideways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from daemon.store import DeliveryFilter
from tests.browser.conftest import NewVisitor, Site, Visitor

AXE = (Path(__file__).parent / "vendor/axe.js").read_text(encoding="utf-8")
RULES = [
    "wcag2a",
    "wcag2aa",
    "wcag21a",
    "wcag21aa",
    "wcag22a",
    "wcag22aa",
    "best-practice",
]
COLOURS = ["color-contrast", "link-in-text-block"]
"""The rules that look at colours, which are all that differs in the dark."""
PAGES = (
    "/",
    "/letters",
    "/letters?q=avgift&service=4255/8",
    "/letters?q=finnes+ikke",
    "/letters/LETTER",
    "/deadlines",
    "/deadlines/calendars",
    "/deliveries",
    "/deliveries?state=dead&did=retry&done=2&left=1&one=DELIVERY",
    "/deliveries?state=claimed&destination=none",
    "/deliveries/DELIVERY",
    "/service",
    "/coverage",
    "/service/clients",
    "/service/clients?missing=1",
    "/admin/users",
    "/admin/log",
    "/routing",
    "/routing/routes/Alt%20annet",
    "/routing/new?letter=LETTER",
    "/routing/new?kind=delegation",
    "/routing/recipients",
    "/routing/covers",
    "/routing/groups",
    "/routing/history",
    "/routing/import",
    "/my",
    "/help",
    "/accessibility",
    "/nothing",
)
SMALL = """() => [...document.querySelectorAll('a, button, input, select, summary')]
  .filter(each => each.offsetParent !== null && !each.closest('p, li, td, th, dd, h1, h2'))
  .map(each => [each.outerHTML.slice(0, 90), each.getBoundingClientRect()])
  .filter(([, box]) => box.width > 1 && (box.width < 24 || box.height < 24))
  .map(([html, box]) => `${html} ${box.width}x${box.height}`)"""
"""Targets under 24 px, but for links in running text (WCAG 2.2, 2.5.8, the exception Inline)."""


def address(path: str, site: Site) -> str:
    (delivery,) = site.store.delivery_list.page(DeliveryFilter(), None, 1).rows
    path = path.replace("DELIVERY", str(delivery.delivery.id))
    return path.replace("LETTER", str(next(iter(_letters(site)))))


def _letters(site: Site) -> list[Any]:
    from daemon.store import Wanted

    return [each.id for each in site.store.search.letters(Wanted(), 1)]


def findings(visitor: Visitor, rules: list[str] = RULES) -> list[str]:
    """Return what axe finds on the page that is shown."""
    if not visitor.page.evaluate("() => 'axe' in window"):
        visitor.page.evaluate(AXE)
    options = {"runOnly": rules, "resultTypes": ["violations"]}  # the others' nodes take its time
    found = visitor.page.evaluate("options => axe.run(document, options)", options)
    return [
        f"{each['id']}: {[node['html'][:120] for node in each['nodes']]}"
        for each in found["violations"]
    ]


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_accessible(new_visitor: NewVisitor, site: Site, path: str) -> None:
    """No finding in light or dark; at 320 px nothing scrolls sideways and no target is small."""
    visitor = new_visitor()
    visitor.go(address(path, site))
    visitor.page.emulate_media(color_scheme="light")
    assert findings(visitor) == []
    visitor.page.emulate_media(color_scheme="dark")
    assert findings(visitor, COLOURS) == []
    visitor.page.set_viewport_size({"width": 320, "height": 800})
    sideways = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert visitor.page.evaluate(sideways) == 0
    assert visitor.page.evaluate(SMALL) == []
    visitor.wrong = [each for each in visitor.wrong if "404" not in each or path != "/nothing"]


def test_the_log_in_is_accessible(new_visitor: NewVisitor) -> None:
    """The first page that anybody sees, too."""
    visitor = new_visitor(name="")
    visitor.go("/login")
    assert findings(visitor) == []
    assert visitor.page.title() == "Logg inn · Postmottak"


@pytest.mark.parametrize(
    ("language", "heading", "menu"),
    [
        ("nb", "Oversikt", "Hovedmeny"),
        ("nn", "Oversikt", "Hovudmeny"),
        ("en", "Overview", "Main menu"),
    ],
)
def test_the_language_can_be_chosen(
    visitor: Visitor, language: str, heading: str, menu: str
) -> None:
    """The language stays, and the page says which it is."""
    visitor.page.locator(f"button[name=lang][value={language}]").click()
    visitor.go("/")
    assert visitor.page.locator("html").get_attribute("lang") == language
    assert visitor.page.get_by_role("heading", level=1).inner_text() == heading
    assert visitor.page.get_by_role("navigation", name=menu).is_visible()
