"""No English is left on a page in Norwegian, but what other systems said, marked as such."""

from __future__ import annotations

import re
from collections.abc import Iterator
from gettext import GNUTranslations
from html.parser import HTMLParser

import pytest

from daemon.page.words import translations
from daemon.store.users import RoleGrant
from tests.unit.page.conftest import Site
from tests.unit.page.everything import (
    OURS,
    activate,
    add_foreign,
    answer,
    draft,
    foreign_channel,
    keep_letter,
    pages,
)

_VOID = frozenset({"meta", "link", "input", "br", "img", "line", "rect", "hr"})
_SPOKEN = ("aria-label", "placeholder", "title", "alt")
_ENGLISH = frozenset(
    re.findall(
        r"\w+",
        """the and of are was were not with without this that has have been which cannot only
        letters letter deliveries delivery file files failed error errors waiting
        since none bytes yes unknown delivered stored never true false table sender
        recipients recipient first day must add write remove""",
    )
)
"""Words that no Norwegian sentence has."""
_CODE = frozenset({"option", "disk"})
"""Values of the configuration, and what is free in a folder."""
_SKATT = 'name = "Skatt"\nmark_read = "delivered"\nconfirm = "never"\nhas_attachments = false'
_BROKEN = '[[route]]\nname = "x"\nto = ["ingen"]\nsenders = ["974761077"]\n'


class _Visible(HTMLParser):
    """Collects what a visitor sees or hears, without what is marked as English, or as code."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._left_out: list[bool] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note whether what is inside counts."""
        known = dict(attrs)
        is_out = tag in {"code", "pre", "script", "style"} or known.get("lang") == "en"
        is_out = is_out or known.get("data-testid") in _CODE
        outside = bool(self._left_out) and self._left_out[-1]
        if not (is_out or outside):
            self.texts += [value for name in _SPOKEN if (value := known.get(name))]
        if tag not in _VOID:
            self._left_out.append(is_out or outside)

    def handle_endtag(self, tag: str) -> None:
        """Leave the element."""
        if tag not in _VOID:
            self._left_out.pop()

    def handle_data(self, data: str) -> None:
        """Keep a text."""
        if data.strip() and not (self._left_out and self._left_out[-1]):
            self.texts.append(" ".join(data.split()))


@pytest.mark.parametrize("language", ["nb", "nn"])
def test_no_english_is_left_on_any_page(site: Site, language: str) -> None:
    """With letters, deliveries, problems, alerts and faults of every kind."""
    words = _same(language)
    for name, text in _every_page(site, language):
        assert f'lang="{language}"' in text or not text.startswith("200 <!doctype"), name
        if name.endswith(".csv"):  # its headings are names of columns
            continue
        seen = _Visible()
        seen.feed(text.partition(" ")[2])
        whole = [each for each in seen.texts if each in words]
        assert whole == [], name
        read = [each for each in seen.texts if not each.startswith("/")]  # a file's path
        found = [each for each in read if _ENGLISH & set(re.findall(r"[a-z]+", each.lower()))]
        assert found == [], name


def _same(language: str) -> set[str]:
    """Return the English words and sentences that are said otherwise in the language."""
    known = translations(language)
    found: set[str] = set()
    while isinstance(known, GNUTranslations):
        catalog: dict[str, str] = known._catalog  # type: ignore[attr-defined]
        found |= {key for key, value in catalog.items() if isinstance(key, str) and key != value}
        known = known._fallback  # type: ignore[attr-defined]
    return {each for each in found if " " in each or len(each) > 5}


def _every_page(site: Site, language: str) -> Iterator[tuple[str, str]]:
    activate(site)
    mine = keep_letter(site, "en", OURS, "regnskap")
    roles = ("reader", "operator", "router", "confidential", "admin")
    kari, per = site.user("kari", *roles), site.user("per", "reader", "operator")
    limited = site.user("ola", RoleGrant(role="operator", parties=(OURS,)))
    ids = add_foreign(site, per)
    foreign_channel(site)
    for each in (kari, limited):
        each.headers["Cookie"] += f"; lang={language}"
    draft(site, "kari")
    file = site.folder / "routing.toml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('name = "Skatt"', _SKATT), encoding="utf-8")
    yield from pages(site, kari, (mine, mine))
    yield from pages(site, limited, (mine, mine))
    row = "/routing/routes/Skatt"
    version = site.store.queries.table_in_force()
    assert version
    delivery = site.store.queries.deliveries()[0].id
    more = ["/my", "/admin/users", row, "/routing/recipients/regnskap", "/nothing", "/login"]
    more += [f"/deliveries/{delivery}", f"/letters/{ids[1]}", "/deliveries?state=x", "/routing/new"]
    more += [f"/routing/history/{version.version}", "/routing/new?kind=delegation"]
    for address in more:
        yield address, answer(kari, "GET", address)
    site.store.drafts.remove("kari")
    yield "the file's rows", answer(kari, "GET", "/routing")
    yield "no right", answer(per, "GET", "/routing")
    file.write_text(_BROKEN, encoding="utf-8")
    config = site.page.configuration.path
    config.write_text(
        config.read_text(encoding="utf-8") + '\n[delivery]\ngive_up_after = "soon"\n',
        encoding="utf-8",
    )
    form = {"name": "x", "senders": "974761077", "to": "ingen", "draft": "1"}
    yield "faults", answer(kari, "POST", "/routing/try", {"kind": "route", "key": "Skatt", **form})
    for address in ("/", "/service", "/routing", row):
        yield f"broken {address}", answer(kari, "GET", address)
