"""Compares the tables with the journal: each row must be as the journal last has it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from daemon.store.journal.bindings import BINDINGS, BODY_HASH, PRIVATE_HASH
from daemon.store.journal.chain import JournalFault
from daemon.store.journal.reading import JournalPiece, Rows, journal_of, rows_of
from daemon.store.journal.rows import BODY_DELETED, GONE, Salts, entry_of, key_of

_BY_TABLE = {each.table: each for each in BINDINGS}
_SALTS = ((PRIVATE_HASH, "salt"), (BODY_HASH, "body_salt"))
"""Hashes, and the columns that have their salts."""


@dataclass(frozen=True, kw_only=True)
class _Known:
    """The last state of a row of a table that the journal has."""

    sequence: int
    entry: Mapping[str, Any]


@dataclass(kw_only=True)
class _Replayed:
    """What the journal has of one subject."""

    states: dict[tuple[str, ...], _Known] = field(default_factory=dict)
    salts: dict[str, dict[int, Any]] = field(default_factory=lambda: defaultdict(dict))
    """The salts that are there, by their columns and rows."""
    salted: dict[str, int] = field(default_factory=dict)
    """The rows where they must be: the first ones with such a hash."""
    faults: list[JournalFault] = field(default_factory=list)


def compare(connection: Any, piece: JournalPiece) -> Iterator[JournalFault]:
    """Yield what of a piece differs between the tables and the journal."""
    yield from differences(rows_of(connection, piece), journal_of(connection, piece))


def differences(
    rows: Rows, journal: Iterable[tuple[int, str, str, Any, Any]]
) -> Iterator[JournalFault]:
    """Yield what differs between rows of tables and the journal of the same subjects, in order.

    `journal` has sequence, subject, facts and salts.
    """
    replayed = _replay(journal)
    for subject in sorted(rows.keys() | replayed.keys()):
        known = replayed.get(subject, _Replayed())
        yield from known.faults
        yield from _differences(subject, known, rows)
        yield from _misplaced_salts(subject, known)


def _replay(journal: Iterable[tuple[int, str, str, Any, Any]]) -> dict[str, _Replayed]:
    found: defaultdict[str, _Replayed] = defaultdict(_Replayed)
    for sequence, subject, facts, *salts in journal:
        known = found[subject]
        for (_, column), salt in zip(_SALTS, salts, strict=True):
            if salt is not None:
                known.salts[column][sequence] = salt
        try:
            _add(known, sequence, json.loads(facts))
        except (ValueError, TypeError, AttributeError):
            text = "its facts cannot be read"
            known.faults.append(JournalFault(sequence=sequence, subject=subject, text=text))
    return found


def _add(known: _Replayed, sequence: int, facts: Mapping[str, Any]) -> None:
    for table, entries in facts.items():
        if binding := _BY_TABLE.get(table):
            for entry in entries:
                known.states[key_of(binding, entry)] = _Known(sequence=sequence, entry=entry)
                for each, column in _SALTS:
                    if each in entry:
                        known.salted.setdefault(column, sequence)
                if binding.main and entry.get(GONE):
                    known.salted.clear()
                if BODY_DELETED in entry:
                    known.salted.pop("body_salt", None)


def _differences(subject: str, known: _Replayed, rows: Rows) -> Iterator[JournalFault]:
    there, salts = rows.get(subject, {}), _salts_of(known)
    for key in sorted(known.states.keys() | there.keys()):
        state, what = known.states.get(key), " ".join(key)
        gone = state is None or state.entry.get(GONE)
        if key not in there:
            if state and not gone:
                yield _fault(state, subject, f"{what} was removed from its table")
        elif state is None or gone:
            text = f"{what} was inserted into its table"
            yield JournalFault(
                sequence=state.sequence if state else None, subject=subject, text=text
            )
        else:
            binding, found = there[key]
            entry = entry_of(binding, found, salts)
            if entry != state.entry:
                yield _fault(state, subject, f"{what} was changed: {_names(entry, state.entry)}")


def _fault(state: _Known, subject: str, text: str) -> JournalFault:
    return JournalFault(sequence=state.sequence, subject=subject, text=text)


def _names(entry: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    """Return which columns differ; of private ones only that one of them does."""
    names = sorted(
        name for name in entry.keys() | known.keys() if entry.get(name) != known.get(name)
    )
    return ", ".join(names)


def _salts_of(known: _Replayed) -> Salts:
    salt, body = (
        known.salts[column].get(known.salted.get(column, 0)) for column in ("salt", "body_salt")
    )
    return Salts(
        salt=salt if isinstance(salt, bytes) else None,
        body=body if isinstance(body, bytes) else None,
    )


def _misplaced_salts(subject: str, known: _Replayed) -> Iterator[JournalFault]:
    """Yield the salts that are missing, and those that are where none may be."""
    for _, column in _SALTS:
        place = known.salted.get(column)
        for sequence in sorted({*known.salts[column], *filter(None, [place])}):
            if sequence != place:
                text = f"its {column} was inserted"
            elif isinstance(known.salts[column].get(sequence), bytes):
                continue
            else:
                text = f"its {column} was removed"
            yield JournalFault(sequence=sequence, subject=subject, text=text)
