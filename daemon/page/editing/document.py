"""The routing table's text as rows that are edited one by one; comments and order stay. Pure."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

from daemon.config.faults import parse_toml
from daemon.core.errors import NotFound, OperatorError
from daemon.page.editing.pieces import Piece, split
from daemon.page.editing.row_text import new_row, with_values
from daemon.routing.table import SECTIONS

Row = Mapping[str, Any]
FILE = "routing.toml"


@dataclass(frozen=True)
class TableDocument:
    """A routing table's text in pieces. Each edit returns another one."""

    pieces: tuple[Piece, ...]

    @classmethod
    def of(cls, text: str) -> TableDocument:
        """Return the document of a text.

        Raises ConfigurationError if it is not valid TOML, and OperatorError if its rows are not
        written as sections, so that they cannot be edited one by one.
        """
        return _read(text)

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(piece.text for piece in self.pieces)

    @cached_property
    def values(self) -> Mapping[str, Any]:
        """What the text says, as TOML."""
        return tomllib.loads(self.text)

    def rows(self, kind: str) -> Sequence[Row]:
        """Return the rows of a kind, in order."""
        return _listed(self.values.get(kind))

    def keys(self, kind: str) -> list[str]:
        """Return what the rows of a kind are found by, in order."""
        return [row_key(kind, row) for row in self.rows(kind)]

    def places(self, kind: str) -> list[int]:
        """Return the numbers of the pieces that are rows of a kind."""
        return [number for number, piece in enumerate(self.pieces) if piece.kind == kind]

    def position(self, kind: str, key: str) -> int:
        """Return which of the rows of its kind a row is. Raises NotFound."""
        keys = self.keys(kind)
        if key not in keys:
            raise NotFound(f"The routing table has no {kind} {key!r}; it may have been renamed")
        return keys.index(key)

    def row(self, kind: str, key: str) -> Row:
        """Return the values of a row. Raises NotFound."""
        return self.rows(kind)[self.position(kind, key)]

    def piece(self, kind: str, key: str) -> Piece:
        """Return the text of a row. Raises NotFound."""
        return self.pieces[self.places(kind)[self.position(kind, key)]]

    def changed(self, kind: str, key: str, values: Row) -> TableDocument:
        """Set some values of a row; None removes one, and `not.` begins a key of an exception."""
        return self.changed_at(kind, self.position(kind, key), values)

    def changed_at(self, kind: str, number: int, values: Row) -> TableDocument:
        """Do the same with a row by its number among those of its kind, beginning with 0."""
        place = self.places(kind)[number]
        return self._put(place, Piece(kind, with_values(self.pieces[place].text, kind, values)))

    def with_text(self, kind: str, key: str, text: str) -> TableDocument:
        """Put another text in the place of a row's."""
        return self._put(self.places(kind)[self.position(kind, key)], Piece(kind, text))

    def _put(self, place: int, *pieces: Piece, instead_of: int = 1) -> TableDocument:
        before, after = self.pieces[:place], self.pieces[place + instead_of :]
        return replace(self, pieces=(*before, *pieces, *after))

    def added(self, kind: str, values: Row, *, before: str | None = None) -> TableDocument:
        """Add a row before another one of its kind, or as the last of its kind."""
        return self.added_text(kind, new_row(kind, values), before=before)

    def added_text(self, kind: str, text: str, *, before: str | None = None) -> TableDocument:
        """Add a row by its text."""
        row = Piece(kind, text)
        if before is not None:
            place = self.places(kind)[self.position(kind, before)]
            return self._put(place, row, Piece("", "\n"), instead_of=0)
        own = self.places(kind)
        if own:
            return self._put(own[-1] + 1, Piece("", "\n"), row, instead_of=0)
        if kind == "recipient" and (rows := [n for n, each in enumerate(self.pieces) if each.kind]):
            return self._put(rows[0], row, Piece("", "\n"), instead_of=0)
        gap = (Piece("", "\n"),) if self.pieces else ()
        return self._put(len(self.pieces), *gap, row, instead_of=0)

    def removed(self, kind: str, key: str) -> TableDocument:
        """Remove a row with the comments that touch it, and the blank line that it leaves."""
        return self.removed_at(kind, self.position(kind, key))

    def removed_at(self, kind: str, number: int) -> TableDocument:
        """Do the same with a row by its number among those of its kind, beginning with 0."""
        place = self.places(kind)[number]
        after = self.pieces[place + 1 : place + 2]
        before = self.pieces[max(place - 1, 0) : place]
        if after and after[0] == Piece("", "\n"):
            return self._put(place, instead_of=2)
        if not after and before == (Piece("", "\n"),):
            return self._put(place - 1, instead_of=2)
        return self._put(place)

    def moved(self, kind: str, key: str, to: int) -> TableDocument:
        """Move a row to another place among those of its kind, beginning with 0."""
        places, start = self.places(kind), self.position(kind, key)
        order = [self.pieces[place] for place in places]
        order.insert(min(max(to, 0), len(order)), order.pop(start))
        pieces = list(self.pieces)
        for place, piece in zip(places, order, strict=True):
            pieces[place] = piece
        return replace(self, pieces=tuple(pieces))


@lru_cache(maxsize=16)  # each keystroke of an edit reads the same texts
def _read(text: str) -> TableDocument:
    parse_toml(text, FILE)
    found = TableDocument(tuple(split(text if text.endswith("\n") or not text else text + "\n")))
    for kind in SECTIONS:
        if len(found.places(kind)) != len(found.rows(kind)):
            raise OperatorError(
                f"The rows of {kind!r} in the file are not all sections [[{kind}]]; write them so "
                "to edit them here"
            )
    return found


def row_key(kind: str, row: Row) -> str:
    """Return what a row is found by: its name, or of a cover whom it is for and its days."""
    if kind != "delegation":
        return str(row.get("name", ""))
    return " ".join(str(row.get(each, "")) for each in ("from", "starts", "ends"))


def _listed(rows: Any) -> list[Any]:
    return rows if isinstance(rows, list) and all(isinstance(each, dict) for each in rows) else []
