"""Files that documents, comments and docstrings name exist, and links in documents lead
somewhere."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_TOPS = ("benchmarks", "config", "connectors", "daemon", "docs", "packaging", "systemd", "tests")
SOURCES = sorted(path for top in _TOPS for path in (ROOT / top).rglob("*.py"))
_OTHERS = [
    ROOT / "Makefile",
    ROOT / "pyproject.toml",
    *(ROOT / "config").glob("*.toml"),
    *(ROOT / "systemd").iterdir(),
]
_PATH = re.compile(
    rf"(?<![\w./\[-])(?:{'|'.join(_TOPS)})/(?:[\w.-]+/)*"
    r"(?:[\w-]+\.(?:py|md|toml|json|wsdl|conf|service)\b)?"
)
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")


def _prose(path: Path) -> Iterator[str]:
    """A module's comments and docstrings."""
    text = path.read_text(encoding="utf-8")
    if not _missing(iter([text])):
        return  # parsing takes long, and what is not in the text is not in its prose
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.string
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield str(node.value.value)


def _missing(texts: Iterator[str]) -> set[str]:
    named = {found.group().rstrip(".") for text in texts for found in _PATH.finditer(text)}
    return {name for name in named if not (ROOT / name).exists()}


def test_files_that_documents_name_exist() -> None:
    """A reader of any document finds the file that it names."""
    found = {path.name: _missing(iter([path.read_text(encoding="utf-8")])) for path in DOCUMENTS}
    assert {name: missing for name, missing in found.items() if missing} == {}


def test_files_that_comments_name_exist() -> None:
    """So does a reader of a comment, a docstring, or a configuration file."""
    found = {str(path): _missing(_prose(path)) for path in SOURCES}
    found |= {str(path): _missing(iter([path.read_text(encoding="utf-8")])) for path in _OTHERS}
    assert {name: missing for name, missing in found.items() if missing} == {}


def test_links_in_documents_lead_somewhere() -> None:
    """A link within the documents leads to a file, and its anchor to a heading of that file."""
    broken = []
    for page in DOCUMENTS:
        for target, anchor in _LINK.findall(page.read_text(encoding="utf-8")):
            path = (page.parent / target) if target else page
            if not path.exists() or (anchor and anchor not in _anchors(path)):
                broken.append((page.name, target, anchor))
    assert broken == []


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
