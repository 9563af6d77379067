"""What the page consists of beside its code: templates, words, and files of others."""

from __future__ import annotations

import hashlib
import io
import re
import subprocess
import tomllib
from gettext import GNUTranslations
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from jinja2 import Environment

from tests.unit.conftest import ROOT
from tests.unit.page.words_script import words

PAGE = ROOT / "daemon/page"
TEMPLATES = sorted((PAGE / "templates").rglob("*.html"))
CATALOGUES = sorted((PAGE / "locale").rglob("*.po"))
_VENDORED = (PAGE / "static/vendor", ROOT / "tests/browser/vendor")
_NOT_IN_A_TEMPLATE = {
    r"\son\w+\s*=": "a script in an attribute",
    r"\shx-on\b": "a script in an attribute",
    r"\bjs:": "a script in a value of htmx",
    r"javascript:": "a script in an address",
    r"\sstyle\s*=": "a style in an attribute",
    r"<style\b": "a style sheet in the page",
    r"<script(?![^>]*\ssrc=)": "a script in the page",
    r"""(?:href|src\w*|action|data|poster|hx-\w+)\s*=\s*["']?\s*(\w+:)?//""": "another host",
    r"hx-trigger\s*=\s*\"[^\"]*\[": "a filter of htmx, which is a script",
}
_FETCHED = re.compile(
    r"""url\(\s*(?!["']?data:)[^)]*\)|@import|\b(?:fetch|importScripts)\(\s*["'](?:[a-z]+:)?//"""
)
"""Whatever makes a browser ask somebody for more."""


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _words(catalogue: Path) -> Catalog:
    return read_po(io.BytesIO(catalogue.read_bytes()), locale=catalogue.parent.name)


@pytest.mark.parametrize("folder", _VENDORED, ids=_name)
def test_the_files_of_others_are_as_listed(folder: Path) -> None:
    """Every vendored file has the hash that vendor.toml lists, and none is there that it does not
    list."""
    listed: dict[str, str] = {}
    for package in tomllib.loads((folder / "vendor.toml").read_text())["package"]:
        assert package["name"]
        assert package["version"]
        assert package["licence"]
        assert any(name.endswith(".LICENSE") for name in package["sha256"])
        listed |= package["sha256"]
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.name != "vendor.toml"
    }
    assert found == listed


@pytest.mark.parametrize(
    "path",
    sorted((PAGE / "static").rglob("*.css")) + sorted((PAGE / "static").rglob("*.js")),
    ids=_name,
)
def test_no_style_or_script_asks_another_host(path: Path) -> None:
    """No style sheet and no script names a file to be fetched; all that is needed is served."""
    assert _FETCHED.findall(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", TEMPLATES, ids=_name)
def test_no_template_has_scripts_styles_or_other_hosts(path: Path) -> None:
    """A template has nothing that the content security policy would have to allow."""
    text = path.read_text(encoding="utf-8")
    found = {
        why: hits
        for pattern, why in _NOT_IN_A_TEMPLATE.items()
        if (hits := re.findall(pattern, text, re.IGNORECASE))
    }
    assert found == {}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('<a onclick="x()">', "a script in an attribute"),
        ('<p style="color: red">', "a style in an attribute"),
        ("<script>x()</script>", "a script in the page"),
        ('<img src="//cdn.example/x.png">', "another host"),
        ('<a href="https://example.org/">', "another host"),
        ("""<a hx-vals="js:{a: 1}">""", "a script in a value of htmx"),
    ],
)
def test_what_is_not_in_a_template_would_be_found(text: str, why: str) -> None:
    """Each kind of script, style and other host is found."""
    assert why in {each for pattern, each in _NOT_IN_A_TEMPLATE.items() if re.search(pattern, text)}


@pytest.mark.parametrize("path", TEMPLATES, ids=_name)
def test_every_template_can_be_read(path: Path) -> None:
    """Every template is valid, those included that no test of a page renders, and has a content."""
    template = Environment(autoescape=True, extensions=["jinja2.ext.i18n"]).parse(
        path.read_text(encoding="utf-8")
    )
    assert template.body


@pytest.mark.parametrize("language", words.LANGUAGES)
@pytest.mark.parametrize("domain", sorted(path.name for path in (PAGE / "templates").iterdir()))
def test_every_word_is_translated(domain: str, language: str) -> None:
    """Every text of the page's code and templates is in its catalogue, translated, and the
    catalogue has no others: `make words` would change nothing."""
    used = {each.id: each for each in words.collected(domain) if each.id}
    catalogue = PAGE / "locale" / language / f"{domain}.po"
    if not used:
        assert not catalogue.exists()
        return
    known = {each.id: each for each in _words(catalogue) if each.id}
    assert set(known) == set(used)
    assert [each for each in known.values() if not all(words._strings(each.string))] == []
    assert [each.id for each in known.values() if each.fuzzy] == []


_PLACE = re.compile(r"%\((\w+)\)[sd]")


@pytest.mark.parametrize("path", CATALOGUES, ids=_name)
def test_a_translation_has_the_places_of_its_text(path: Path) -> None:
    """A translation names no value that its text does not have, which would end in an error."""
    for each in _words(path):
        if each.id:
            texts = each.id if isinstance(each.id, tuple) else (each.id,)
            places = {place for text in texts for place in _PLACE.findall(str(text))}
            for translation in words._strings(each.string):
                assert set(_PLACE.findall(str(translation))) <= places, translation


def test_a_text_means_the_same_everywhere() -> None:
    """The domains are one dictionary at run time, so no text has two translations."""
    for language in words.LANGUAGES:
        found: dict[object, object] = {}
        for path in sorted((PAGE / "locale" / language).glob("*.po")):
            for each in _words(path):
                if each.id:
                    assert found.setdefault(each.id, each.string) == each.string, each.id


@pytest.mark.parametrize("path", CATALOGUES, ids=_name)
def test_what_is_compiled_is_what_is_written(path: Path) -> None:
    """The compiled words are those of the catalogue, so `make words` was not forgotten."""
    compiled = io.BytesIO()
    write_mo(compiled, _words(path))
    assert _entries(path.with_suffix(".mo").read_bytes()) == _entries(compiled.getvalue())


def _entries(content: bytes) -> dict[str, str]:
    found = GNUTranslations(io.BytesIO(content))._catalog  # type: ignore[attr-defined]
    return {str(key): value for key, value in found.items() if key}


def test_make_builds_again_after_any_file_of_the_page() -> None:
    """What goes into the wheel is what `make` looks at: a template, a translation or a style that
    was changed makes a new wheel."""
    shown = subprocess.run(
        ["make", "--no-print-directory", "--eval=shown:;@echo $(SOURCES)", "shown"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    sources = set(shown.stdout.split())
    wanted = {_name(path) for path in shipped_files()}
    assert wanted - sources == set()


def test_the_debian_package_has_the_pages_libraries() -> None:
    """The package for Debian brings every library of the extra `web`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {re.split("[>=<]", each)[0] for each in project["optional-dependencies"]["web"]}
    locked = (ROOT / "packaging/debian/requirements.lock").read_text()
    assert needed
    assert {name for name in needed if not re.search(rf"^{name}==", locked, re.MULTILINE)} == set()


def shipped_files() -> list[Path]:
    """Return every file of the program that is not compiled Python."""
    return [
        path
        for top in ("daemon", "connectors", "config")
        for path in (ROOT / top).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
