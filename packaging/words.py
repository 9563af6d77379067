"""Collects the page's words and compiles their translations: `make words`; needs Babel.

A domain is a folder of templates with the module or modules of the same name; its words are in
`locale/LANGUAGE/DOMAIN.po`. Words that are gone leave the files.
"""

from __future__ import annotations

import io
import sys
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

PAGE = Path(__file__).parents[1] / "daemon/page"
LANGUAGES = ("nb", "nn")
_NO_DATE = datetime(2026, 1, 1, tzinfo=UTC)
"""Instead of the time of the run, which would differ each time although nothing else does."""
_KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "N_": None}


def main() -> None:
    """Renew every catalogue; name those that lack a translation."""
    for folder in sorted((PAGE / "templates").iterdir()):
        words = collected(folder.name)
        for language in LANGUAGES:
            missing = renew(folder.name, language, words)
            for word in missing:
                sys.stdout.write(f"{language} {folder.name}: not translated: {word!r}\n")


def collected(domain: str) -> Catalog:
    """Return the words of a domain."""
    found = Catalog(domain=domain, charset="utf-8")
    for path in sorted((PAGE / "templates" / domain).rglob("*.html")):
        _add(found, path, "jinja2")
    for path in sorted(PAGE.rglob("*.py")):
        if _domain_of(path) == domain:
            _add(found, path, "python")
    return found


def _domain_of(path: Path) -> str:
    """Return the domain of a module: that of its templates, or what all pages share."""
    for name in (path.stem, path.parent.name):
        if (PAGE / "templates" / name).is_dir():
            return name
    return "base"


def _add(catalog: Catalog, path: Path, method: str) -> None:
    options = {"extensions": "jinja2.ext.i18n", "trimmed": "true", "silent": "false"}
    with path.open("rb") as file:
        # the extractor of Jinja2 takes keywords as a mapping without positions
        for _, message, _, _ in extract(
            "jinja2.ext:babel_extract" if method == "jinja2" else method,
            file,
            keywords=_KEYWORDS,
            options=options if method == "jinja2" else {},
        ):
            catalog.add(message)


def renew(domain: str, language: str, words: Catalog) -> list[str]:
    """Write a catalogue and its compiled form; return what is not translated."""
    path = PAGE / "locale" / language / f"{domain}.po"
    path.parent.mkdir(parents=True, exist_ok=True)
    known = read_po(io.BytesIO(path.read_bytes()), locale=language) if path.exists() else None
    catalog = Catalog(
        locale=language,
        domain=domain,
        charset="utf-8",
        creation_date=_NO_DATE,
        revision_date=_NO_DATE,
    )
    for each in words:
        if each.id:
            before = known.get(each.id) if known else None
            catalog.add(each.id, before.string if before else "")
    catalog.fuzzy = False
    missing = [str(each.id) for each in catalog if each.id and not all(_strings(each.string))]
    with path.open("wb") as file:
        write_po(file, catalog, omit_header=False, no_location=True, width=100, sort_output=True)
    with path.with_suffix(".mo").open("wb") as file:
        write_mo(file, catalog)
    return missing


def _strings(string: object) -> tuple[str, ...]:
    return tuple(string) if isinstance(string, list | tuple) else (str(string),)


if __name__ == "__main__":
    main()
