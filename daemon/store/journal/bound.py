"""Compares the tables with the journal: each row must be as the journal last has it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from daemon.store.journal.bindings import BINDINGS
from daemon.store.journal.chain import JournalFault
from daemon.store.journal.reading import JournalPiece, Rows, journal_of, rows_of
from daemon.store.journal.rows import BODY_DELETED, GONE, Salts, entry_of, key_of, salt_hash

_BY_TABLE = {each.table: each for each in BINDINGS}
_MAIN = ("messages", "events")
"""The tables with whose rows the salts of their subjects go."""


@dataclass(frozen=True, kw_only=True)
class _Known:
    """The last state of a row of a table that the journal has."""

    sequence: int
    entry: Mapping[str, Any]
    salts: Salts


@dataclass(kw_only=True)
class _Replayed:
    """What the journal has of one subject."""

    states: dict[tuple[str, ...], _Known] = field(default_factory=dict)
    unsalted: list[tuple[int, str]] = field(default_factory=list)
    """The rows whose salts are deleted, and which one."""
    faults: list[JournalFault] = field(default_factory=list)


def compare(connection: Any, piece: JournalPiece) -> Iterator[JournalFault]:
    """Yield what of a piece differs between the tables and the journal."""
    rows = rows_of(connection, piece)
    replayed = _replay(journal_of(connection, piece))
    for subject in sorted(rows.keys() | replayed.keys()):
        known = replayed.get(subject, _Replayed())
        yield from known.faults
        yield from _differences(subject, known, rows)
        yield from _salts_missing(subject, known)


def _replay(journal: Iterable[tuple[int, str, str, Any, Any]]) -> dict[str, _Replayed]:
    found: defaultdict[str, _Replayed] = defaultdict(_Replayed)
    for sequence, subject, facts, salt, body in journal:
        _add(found[subject], sequence, subject, facts, Salts(salt=salt, body=body))
    return found


def _add(known: _Replayed, sequence: int, subject: str, text: str, salts: Salts) -> None:
    try:
        facts = json.loads(text)
        for name, salt in (("salt", salts.salt), ("body_salt", salts.body)):
            bound = facts.get(f"{name}_hash")
            if salt is None and bound:
                known.unsalted.append((sequence, name))
            elif (salt_hash(salt) if salt is not None else None) != bound:
                known.faults.append(
                    JournalFault(sequence=sequence, subject=subject, text=f"its {name} was changed")
                )
        for table, entries in facts.items():
            if binding := _BY_TABLE.get(table):
                for entry in entries:
                    state = _Known(sequence=sequence, entry=entry, salts=salts)
                    known.states[key_of(binding, entry)] = state
    except (ValueError, TypeError, AttributeError):
        known.faults.append(
            JournalFault(sequence=sequence, subject=subject, text="its facts cannot be read")
        )


def _differences(subject: str, known: _Replayed, rows: Rows) -> Iterator[JournalFault]:
    there = rows.get(subject, {})
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
            entry = entry_of(binding, found, state.salts)
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


def _salts_missing(subject: str, known: _Replayed) -> Iterator[JournalFault]:
    """Yield the salts that are missing although what they belong to is there."""
    main = next((state for key, state in known.states.items() if key[0] in _MAIN), None)
    removed = main is not None and bool(main.entry.get(GONE))
    body_deleted = main is not None and BODY_DELETED in main.entry
    for sequence, name in known.unsalted:
        if not removed and not (name == "body_salt" and body_deleted):
            yield JournalFault(sequence=sequence, subject=subject, text=f"its {name} was removed")
