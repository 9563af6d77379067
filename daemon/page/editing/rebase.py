"""Takes a draft's edits over to a table that has changed since the draft began. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from daemon.page.editing.document import TableDocument, row_key
from daemon.page.editing.draft import Draft
from daemon.page.editing.sheet import flat
from daemon.routing.table import SECTIONS

_Rows = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Rebased:
    """The draft on the new table, and the rows that both have edited, by kind and name."""

    draft: Draft
    conflicts: tuple[tuple[str, str], ...]


def rebased(draft: Draft, text: str) -> Rebased:
    """Take the draft's edits over, row by row and value by value.

    A value that both have edited differently is a conflict, and is left as the new table has it.
    Raises OperatorError if one of the three texts cannot be edited row by row.
    """
    found, conflicts = Draft(text, text), list[tuple[str, str]]()
    base, wanted = TableDocument.of(draft.base), TableDocument.of(draft.text)
    for kind in SECTIONS:
        taking = _Taking(kind, _rows(base, kind), _rows(wanted, kind))
        found, clashes = taking.into(found)
        found = _in_order(found, kind, base, wanted)
        conflicts += ((kind, key) for key in clashes)
    return Rebased(found, tuple(conflicts))


def _rows(document: TableDocument, kind: str) -> _Rows:
    return {row_key(kind, row): flat(row) for row in document.rows(kind)}


@dataclass(frozen=True)
class _Taking:
    """The edits of one kind of rows."""

    kind: str
    base: _Rows
    wanted: _Rows

    def into(self, draft: Draft) -> tuple[Draft, list[str]]:
        """Return the draft with the edits, and the rows that could not be edited."""
        conflicts = []
        present = _rows(draft.document, self.kind)
        for key in {**self.base, **self.wanted}:
            old, new, now = self.base.get(key), self.wanted.get(key), present.get(key)
            if new in (old, now):
                continue
            if old is None and new is not None and now is None:
                draft = draft.added(self.kind, new)
            elif new is None and now == old:
                draft = draft.removed(self.kind, key)
            elif old is None or new is None or now is None:
                conflicts.append(key)
            else:
                changes = _changes(old, new)
                free = {name: value for name, value in changes.items() if _is_free(name, old, now)}
                if any(name not in free and now.get(name) != changes[name] for name in changes):
                    conflicts.append(key)
                draft = draft.changed(self.kind, key, free) if free else draft
        return draft, conflicts


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    return {key: new.get(key) for key in {**old, **new} if old.get(key) != new.get(key)}


def _is_free(key: str, old: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether nobody else has edited a value."""
    return bool(old.get(key) == now.get(key))


def _in_order(draft: Draft, kind: str, base: TableDocument, wanted: TableDocument) -> Draft:
    """Put the rows that all three tables have into the draft's order, if it changed that."""
    mine, now = wanted.keys(kind), draft.document.keys(kind)
    common = set(base.keys(kind)) & set(mine) & set(now)
    target = [key for key in mine if key in common]
    if target == [key for key in base.keys(kind) if key in common]:
        return draft
    order = iter(target)
    for place, key in enumerate([next(order) if key in common else key for key in now]):
        draft = draft.moved(kind, key, place - draft.document.position(kind, key))
    return draft
