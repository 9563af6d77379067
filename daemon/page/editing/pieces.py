"""Splits the text of a routing table into its rows and what stands between them. Pure.

A row is its `[[section]]` with the sections below it, such as `[route.not]`, and the comments that
touch it. What is split is joined again byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from daemon.routing.table import SECTIONS

_TOKEN = re.compile(
    r'''(?P<text>"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')'''
    r"|(?P<comment>\#[^\n]*)|(?P<open>[\[{])|(?P<close>[\]}])|(?P<end>\n)",
    re.DOTALL,
)
_HEADER = re.compile(r"\s*(?P<brackets>\[\[?)\s*(?P<first>[\w-]+)")


@dataclass(frozen=True)
class Piece:
    """A part of the text: a row of this kind, or with an empty kind, what stands between rows."""

    kind: str
    text: str


@dataclass(frozen=True)
class _Line:
    """One statement, comment or blank line, which a value may make several lines long."""

    text: str

    @property
    def is_blank(self) -> bool:
        return not self.text.strip()

    @property
    def is_comment(self) -> bool:
        return self.text.lstrip().startswith("#")

    @property
    def begins(self) -> str:
        """Return the kind of the row that begins here, or nothing."""
        found = _HEADER.match(self.text)
        is_row = found and found["brackets"] == "[[" and found["first"] in SECTIONS
        return found["first"] if found and is_row and "." not in _name(self.text) else ""

    @property
    def is_foreign(self) -> bool:
        """Whether a section begins here that belongs to no row."""
        found = _HEADER.match(self.text)
        return bool(found and found["first"] not in SECTIONS)


def comments(text: str) -> list[str]:
    """Return the comments in a TOML text, in order."""
    return [each["comment"] for each in _TOKEN.finditer(text) if each["comment"]]


def split(text: str) -> list[Piece]:
    """Return the pieces of a text, which must be valid TOML."""
    lines = list(_lines(text))
    starts = [number for number, line in enumerate(lines) if line.begins]
    heads: set[str] = set()
    found: list[Piece] = []
    at = 0
    for place, start in enumerate(starts):
        kind = lines[start].begins
        # the comment above the first row of a kind is a heading, and stays where it is
        touching = 0 if kind not in heads else _touching(lines[at:start])
        heads.add(kind)
        end = _end(lines, start, starts[place + 1] if place + 1 < len(starts) else len(lines))
        found += _piece("", lines[at : start - touching])
        found += _piece(kind, lines[start - touching : end])
        at = end
    return [*found, *_piece("", lines[at:])]


def _piece(kind: str, lines: Sequence[_Line]) -> Iterator[Piece]:
    if lines:
        yield Piece(kind, "".join(line.text for line in lines))


def _touching(lines: Sequence[_Line]) -> int:
    """Return how many comment lines stand directly above what follows."""
    return len(list(takewhile(lambda line: line.is_comment, reversed(lines))))


def _end(lines: Sequence[_Line], start: int, limit: int) -> int:
    """Return where a row ends: after its last value, and the comments directly below it.

    Comments that touch the next row belong to that one.
    """
    until = next((n for n in range(start + 1, limit) if lines[n].is_foreign), limit)
    says = [n for n in range(start, until) if not (lines[n].is_blank or lines[n].is_comment)]
    end = says[-1] + 1
    below = len(list(takewhile(lambda line: line.is_comment, lines[end:until])))
    return end if end + below == limit < len(lines) else end + below


def _lines(text: str) -> Iterator[_Line]:
    start, depth = 0, 0
    for token in _TOKEN.finditer(text):
        if token["open"]:
            depth += 1
        elif token["close"]:
            depth -= 1
        elif token["end"] and not depth:
            yield _Line(text[start : token.end()])
            start = token.end()
    if start < len(text):
        yield _Line(text[start:])


def _name(header: str) -> str:
    return header.partition("]")[0]
