"""What people read is plain English: no phrase that reads as translated from another language."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup
from typer.testing import CliRunner

from daemon.cli import app

ROOT = Path(__file__).parents[2]
_BEGIN = r"\b"
OLD_WORDS = {
    r"\bis no (?!longer|more|t\b|such)": "is not a valid …",
    r"\bat the most\b": "at most",
    r"\bin its stead\b": "instead",
    r"\banew\b": "again",
    r"\bsigns? of life\b": "heartbeat",
    r"\bthe doors? for\b": "the endpoint for",
    r"\bthat there (is|are) not\b": "missing, does not exist",
    r"\bof one's own\b": "your own",
    r"\blets? go of\b": "close, release",
    r"\bnothing amiss\b": "all is well",
    r"\bwhoever\b": "the person who, the program that",
    r"\bthere are none in use\b": "none in use",
    r"\bBe the service\b": "Run the service",
    r"\bis there already\b": "exists already",
    r"\bwhat came of\b": "the result of",
}
"""Phrases that read as translated, each with plain words for it."""
_EVERYWHERE = re.compile(
    rf"\b(?:{'|'.join(pattern.removeprefix(_BEGIN) for pattern in OLD_WORDS)})", re.IGNORECASE
)  # one look for a word's beginning, instead of one for each phrase at each letter

EVENTS = frozenset({"a thread hangs, so that the service gives no sign of life"})
"""Log events with such a phrase. Scripts search the log for events, so their names stay."""


def _old(text: str) -> list[str]:
    """Return the old phrases in a text, however its lines are broken."""
    return [found[0] for found in _EVERYWHERE.finditer(" ".join(text.split()))]


def _literals(path: Path) -> Iterator[str]:
    """Yield the text constants of a module, but for docstrings; those in pieces, joined."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inner: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            inner.add(id(node.value))  # a docstring, of a module, a function or a value
        if isinstance(node, ast.JoinedStr):
            inner.update(id(each) for each in node.values)
            yield "".join(
                str(each.value) if isinstance(each, ast.Constant) else "…" for each in node.values
            )
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
            yield node.value


def _commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command, and of every group of commands."""
    yield words
    if isinstance(command, TyperGroup):
        for name, found in command.commands.items():
            yield from _commands(found, (*words, name))


def _found() -> dict[str, int]:
    """Count the old phrases in texts of the code, in the examples and in the documents."""
    counted: Counter[str] = Counter()
    for top in ("daemon", "connectors"):
        for path in (ROOT / top).rglob("*.py"):
            for text in _literals(path):
                counted[str(path.relative_to(ROOT))] += len(_old(text)) if text not in EVENTS else 0
    for path in (
        *(ROOT / "config").glob("*.toml"),
        ROOT / "README.md",
        *(ROOT / "docs").glob("*.md"),
    ):
        counted[str(path.relative_to(ROOT))] += len(_old(path.read_text(encoding="utf-8")))
    return {name: number for name, number in sorted(counted.items()) if number}


@pytest.mark.parametrize("words", sorted(_commands(typer.main.get_command(app))), ids=" ".join)
def test_help_is_plain(words: tuple[str, ...]) -> None:
    """The help of every command has none of the old phrases, and every command has a help text."""
    ended = CliRunner().invoke(app, [*words, "--help"])
    assert ended.exit_code == 0
    assert _old(ended.output) == []
    assert len(ended.output.split("\n\n")) > 2, "a usage line, a text, and the options"


def test_texts_and_documents_are_plain() -> None:
    """Texts in the code, the examples and the documents have none of them, log events of old
    aside."""
    assert _found() == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("'x' is no service", ["is no "]),
        ("there is no longer one, and this is not", []),
        ("an empty folder, or one that there is\n    not", ["that there is not"]),
        ("delivered Anew", ["Anew"]),
    ],
)
def test_phrases_are_found(text: str, found: list[str]) -> None:
    """A phrase is found in capitals or not, and across the end of a line."""
    assert _old(text) == found
