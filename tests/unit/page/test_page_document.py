"""docs/page.md is what the page promises: addresses, rights, names of buttons and fields, and test
ids are those of the code, and the other way round."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from functools import cache

from starlette.routing import Route

from daemon.core.rights import Right
from daemon.page.wording import RIGHTS
from daemon.page.words import translations
from tests.unit.conftest import ROOT
from tests.unit.page.conftest import Site

DOCUMENT = (ROOT / "docs/page.md").read_text(encoding="utf-8")
TEMPLATES = ROOT / "daemon/page/templates"
_LOOKS = {"testid", "color", "size", "variant", "label"}
"""Attributes that are no facts: those of Designsystemet, and the id itself."""
_SPOKEN = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_OPENING = re.compile(r'<[a-z]+[^<>]*\sdata-testid="[^<>]*>')
_METHOD = re.compile(r"`(GET|POST) (/[^`]*)`")


def _table(first: str) -> list[list[str]]:
    """Return the cells of the table whose first heading is this."""
    _, _, rest = DOCUMENT.partition(f"\n| {first} |")
    assert rest, first
    lines = rest.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@cache
def _test_ids() -> Mapping[str, set[str]]:
    """Return the test ids of the templates, each with its attributes."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for path in TEMPLATES.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        tags = _OPENING.findall(_SPOKEN.sub("", text))
        assert len(tags) == text.count('data-testid="'), path
        for tag in tags:
            (name,) = re.findall(r'data-testid="([^"]*)"', tag)
            found[name].update(set(re.findall(r"\sdata-([\w-]+)=", tag)) - _LOOKS)
    return found


def test_test_ids_are_those_of_the_templates() -> None:
    """Every data-testid of a template is in the document with its attributes, and no other."""
    documented = {
        name.strip("`"): set(re.findall(r"`data-([\w-]+)`", attributes))
        for name, attributes, what in _table("test id")
        if what
    }
    assert documented == _test_ids()


def test_addresses_are_those_of_the_page(site: Site) -> None:
    """Every address of the page is in the document with its method, and no other."""
    documented = {
        each for addresses, _, _ in _table("address") for each in _METHOD.findall(addresses)
    }
    routes = {
        (method, re.sub(r":\w+}", "}", route.path))
        for route in site.app.routes
        if isinstance(route, Route)
        for method in route.methods or ()
        if method != "HEAD"
    }
    assert documented == routes


def test_an_address_needs_the_right_of_the_document(site: Site) -> None:
    """Somebody with every right but those of the document is refused, with 403 or 404; and without
    a session every address that needs one leads to the log-in."""
    visitor, nobody = site.user("per"), site.visitor()
    for addresses, _, right in _table("address"):
        for method, path in _METHOD.findall(addresses):
            address = re.sub(r"{place}", "1", path)
            address = re.sub(r"{\w+}", "0196f1c2-6d1e-7c3a-9a8e-2f4b6c8d0e1f", address)
            if right:
                refused = visitor.request(method, address).status_code
                assert refused in {403, 404}, (method, address)
            if path.endswith(".ics"):  # the address itself is the secret
                assert nobody.request(method, address).status_code == 404, path
            elif not path.startswith(("/login", "/help", "/acknowledge/")):
                sent = nobody.request(method, address)
                assert (sent.status_code, sent.headers["Location"][:6]) == (303, "/login"), path


def test_rights_are_those_of_the_code() -> None:
    """Every right is in the document, with its name in bokmål; addresses name no other."""
    nb = translations("nb").gettext
    rights = {right.value: nb(RIGHTS[right.value]) for right in Right}
    assert dict(_table("right")) == rights
    named = {each for _, _, right in _table("address") for each in right.split(" or ") if each}
    assert named <= set(rights)


def test_buttons_and_fields_are_those_of_the_page() -> None:
    """Each name is what the bokmål catalogue has for the English text, which the page uses."""
    used = "".join(
        path.read_text(encoding="utf-8")
        for path in (ROOT / "daemon/page").rglob("*")
        if path.suffix in {".html", ".py"}
    )
    nb = translations("nb").gettext
    for kind in ("button", "field"):
        names = _table(kind)
        assert names
        for name, english, _ in names:
            assert nb(english) == name
            assert f'_("{english}")' in used, english
