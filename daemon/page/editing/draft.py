"""A draft: a table's text as somebody edits it, with the text that the edits began from. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import Any

from daemon.core.errors import ConfigurationError, Fault, OperatorError
from daemon.page.editing.document import FILE, TableDocument
from daemon.page.editing.sheet import flat
from daemon.routing.table import Table, parse_table

_USES: Mapping[str, Mapping[str, Sequence[str]]] = {
    "recipient": {
        "route": ("to", "copy_to"),
        "recipient": ("deputy",),
        "delegation": ("from", "to"),
    },
    "party_group": {"route": ("party_group", "not.party_group")},
}
"""Where rows name recipients, and where groups."""


def _replaced(value: Any, old: str, new: str) -> Any:
    if isinstance(value, list):
        return [new if each == old else each for each in value]
    return new if value == old else value


def version_of(text: str) -> str:
    """Return the version of a table's text, as the service counts it."""
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Checked:
    """A text as a table, or why it is none."""

    table: Table | None
    faults: tuple[Fault, ...] = ()


def checked(text: str, destinations: Collection[str], today: date | None = None) -> Checked:
    """Read a table's text, and collect all faults."""
    try:
        return Checked(parse_table(text, FILE, destinations, today=today))
    except ConfigurationError as error:
        return Checked(None, error.faults)


@dataclass(frozen=True)
class Draft:
    """What is edited, and what it was.

    An edit that is taken back leaves no trace: a row that says what it said has its text again, and
    a table that says what it said is the text that the edits began from, byte for byte.
    """

    base: str
    text: str

    @property
    def base_version(self) -> str:
        """The version that the edits began from."""
        return version_of(self.base)

    @property
    def version(self) -> str:
        """The version of the text."""
        return version_of(self.text)

    @property
    def is_changed(self) -> bool:
        """Whether it differs from what it began from."""
        return self.text != self.base

    @cached_property
    def document(self) -> TableDocument:
        """The rows. Raises ConfigurationError or OperatorError."""
        return TableDocument.of(self.text)

    @cached_property
    def _base_document(self) -> TableDocument | None:
        try:
            return TableDocument.of(self.base)
        except OperatorError:
            return None

    def changed(self, kind: str, key: str, values: Mapping[str, Any]) -> Draft:
        """Set some values of a row; a recipient's or a group's new name also where it is used.

        Raises NotFound.
        """
        number = self.document.position(kind, key)
        document = self.document.changed(kind, key, values)
        edited = self._settled(document, kind, document.keys(kind)[number])
        name = values.get("name")
        return _with_new_name(edited, kind, key, name) if kind in _USES and name else edited

    def added(self, kind: str, values: Mapping[str, Any], *, before: str | None = None) -> Draft:
        """Add a row, before another one; a route otherwise before the first that takes all."""
        if before is None and kind == "route":
            before = _before_the_last_resort(self.document)
        document = self.document.added(kind, values, before=before)
        keys = document.keys(kind)
        number = keys.index(before) - 1 if before is not None else len(keys) - 1
        return self._settled(document, kind, keys[number])

    def removed(self, kind: str, key: str) -> Draft:
        """Remove a row. Raises NotFound."""
        return self._settled(self.document.removed(kind, key), kind, None)

    def moved(self, kind: str, key: str, by: int) -> Draft:
        """Move a row up or down among those of its kind. Raises NotFound."""
        to = self.document.position(kind, key) + by
        return self._settled(self.document.moved(kind, key, to), kind, None)

    def _settled(self, document: TableDocument, kind: str, key: str | None) -> Draft:
        """Take the base's text where the draft says the same again."""
        base = self._base_document
        if base is None:
            return replace(self, text=document.text)
        if _ordered(base.values) == _ordered(document.values):
            return replace(self, text=self.base)
        if key is not None and key in base.keys(kind):
            said = base.row(kind, key)
            if said == document.row(kind, key) and document.keys(kind).count(key) == 1:
                document = document.with_text(kind, key, base.piece(kind, key).text)
        return replace(self, text=document.text)


def _with_new_name(draft: Draft, named: str, old: str, new: str) -> Draft:
    """Put a row's new name where rows name the old one."""
    for kind, keys in _USES[named].items():
        for number, row in enumerate(map(flat, draft.document.rows(kind))):
            found = {key: _replaced(row[key], old, new) for key in keys if key in row}
            changes = {key: value for key, value in found.items() if value != row[key]}
            if changes:
                draft = draft.changed(kind, draft.document.keys(kind)[number], changes)
    return draft


def _ordered(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the values without empty lists of rows, which say the same as none."""
    return {key: value for key, value in values.items() if value != []}


def _before_the_last_resort(document: TableDocument) -> str | None:
    """Return the first route that takes every letter: no letter reaches one below it."""
    silent = {"name", "to", "copy_to", "deliver_to", "mark_read", "confirm", "enabled"}
    silent |= {"keep_body", "keep_attachments", "keep_metadata", "follow_thread"}
    silent |= {"acknowledge_within", "respond_within"}
    for row in document.rows("route"):
        if row.keys() <= silent and row.get("enabled", True) is True:
            return str(row.get("name", ""))
    return None
