"""The commands in the documents, taken from the documents: code blocks, tables and the text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import typer

from daemon.cli import app

ROOT = Path(__file__).parents[2]
PAGES = (
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs/nb").glob("*.md")),
    ROOT / "SECURITY.md",
)
_PROGRAMS = frozenset(
    {"postmottak", ".venv/bin/postmottak", "make", "sh", "sudo", "apt", "apt-get", "dpkg"}
    | {"pip", "pipx", "uv", "python", "python3"}
    | {"systemctl", "journalctl", "curl", "sha256sum", "strace"}
)
_OURS = frozenset(typer.main.get_group(app).commands)
_BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def commands() -> dict[str, str]:
    """Every command, and the page that shows it first.

    Where the text names only what comes after `postmottak`, the command is completed.
    """
    found: dict[str, str] = {}
    for page in PAGES:
        for command in _shown(page.read_text(encoding="utf-8")):
            found.setdefault(command, page.name)
    return found


def _shown(text: str) -> Iterator[str]:
    for kind, body in _BLOCK.findall(text):
        if kind in {"", "sh"}:
            for line in body.splitlines():
                yield from _commands_of(line.partition(" #")[0].strip())
    for span in re.findall(r"`([^`\n]+)`", _BLOCK.sub("", text)):
        yield from _commands_of(span)


def _commands_of(text: str) -> Iterator[str]:
    """The commands in a piece of code: several where a word means several, as in `retry|hold`.

    A text that begins with `…` is not a whole command; the tests refuse it, as it cannot be run.
    """
    words = text.split()
    if len(words) < 2 or words[1] == "=":
        return
    if words[0] in _OURS:
        words.insert(0, "postmottak")
    if words[0] in _PROGRAMS or words[0] == "…":
        yield from (" ".join(chosen) for chosen in product(*(word.split("|") for word in words)))
