"""Compares what is in an evidence: rows of tables, the journal, the chain, and the letter's files.

Pure. Everything may have been changed by somebody, and of any type.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any
from uuid import UUID

from daemon.core.errors import OperatorError
from daemon.core.model import KEPT_STATES
from daemon.maintenance.evidence.collecting import table_file
from daemon.maintenance.evidence.document import BoundColumns, Evidence, JournalEntry, StoredRow
from daemon.maintenance.evidence.exporting import LETTER, MESSAGE
from daemon.maintenance.evidence.letter_values import message_faults, value_of
from daemon.store.journal.bindings import BINDINGS, Binding
from daemon.store.journal.bound import differences
from daemon.store.journal.chain import JournalFault, described
from daemon.store.journal.heads import Head
from daemon.store.journal.reading import BoundValues, rows_from
from daemon.store.journal.rows import BODY_DELETED
from daemon.store.journal.writing import THE_JOURNAL
from daemon.store.journal_proof import LEAF, ProvenRow, Stretch, proof_faults

_BY_TABLE = {each.table: each for each in BINDINGS}


@dataclass(frozen=True, kw_only=True)
class EvidenceFinding:
    """Something that was changed: where, and what is wrong."""

    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


@dataclass(frozen=True, kw_only=True)
class EvidenceContents:
    """What is in the file."""

    evidence: Evidence
    leaves: bytes
    message: Mapping[str, Any]
    """message.json; empty without one."""
    digests: Mapping[str, str]
    """The SHA-256 of each file, by name."""

    @property
    def letter(self) -> str:
        """The letter's subject in the journal."""
        return self.evidence.letter.hex

    def rows(self, table: str) -> list[Mapping[str, Any]]:
        """Return the letter's rows of a table."""
        every = self.evidence.rows
        return [each.values for each in every if (each.table, each.subject) == (table, self.letter)]


def findings(
    contents: EvidenceContents, keys: Collection[str], heads: Sequence[Head] = ()
) -> Iterator[EvidenceFinding]:
    """Yield what was changed.

    `keys` are the public keys whose signatures hold, in hex, or their fingerprints.
    """
    yield from map(_of_journal, _chain(contents, keys, heads))
    yield from map(_of_journal, _compared(contents))
    yield from _subjects(contents)
    yield from _tables(contents)
    yield from _files(contents)
    for text in message_faults(contents.message, contents.rows, contents.evidence.letter):
        yield EvidenceFinding(where=MESSAGE, text=text)


def _of_journal(fault: JournalFault) -> EvidenceFinding:
    where = "the journal" if fault.sequence is None else f"row {fault.sequence} of the journal"
    about = f"{described(fault.subject)}: " if fault.subject else ""
    return EvidenceFinding(where=where, text=f"{about}{fault.text}")


def _proven(row: JournalEntry) -> ProvenRow:
    return ProvenRow(
        sequence=row.sequence,
        at=row.at,
        kind=row.kind,
        subject=row.subject,
        facts=row.facts,
        salt=_bytes(row.salt),
        body_salt=_bytes(row.body_salt),
    )


def _bytes(text: str | None) -> bytes | None:
    try:
        return None if text is None else bytes.fromhex(text)
    except ValueError:  # an odd number of digits
        return b""


def _chain(
    contents: EvidenceContents, keys: Collection[str], heads: Sequence[Head]
) -> Iterator[JournalFault]:
    """Yield what is wrong with the rows of the journal and with the chain."""
    rows = [_proven(each) for each in contents.evidence.journal]
    twice = [key for key, count in Counter(each.sequence for each in rows).items() if count > 1]
    for sequence in twice:
        yield JournalFault(sequence=sequence, text="is there twice")
    stretches, place = [], 0
    for part in contents.evidence.chain:
        end = place + (part.last - part.first + 1) * LEAF
        leaves = contents.leaves[place:end] if part.last >= part.first else b""
        stretches.append(
            Stretch(first=part.first, previous=bytes.fromhex(part.previous), leaves=leaves)
        )
        if stretches[-1].last != part.last:
            yield JournalFault(
                sequence=part.first, text="the leaves of the chain from here are missing"
            )
        place = max(place, end)
    if place != len(contents.leaves):
        yield JournalFault(sequence=None, text="the chain has more leaves, or fewer, than it says")
    yield from proof_faults(rows, stretches, keys, heads)


def _compared(contents: EvidenceContents) -> Iterator[JournalFault]:
    """Yield what of the tables is not as the journal has it."""
    found: list[BoundValues] = []
    bindings = {each.table: _binding(each) for each in contents.evidence.columns}
    for row in contents.evidence.rows:
        binding = bindings.get(row.table)
        if binding is None or set(row.values) != set(binding.columns):
            yield _unknown(row)
        else:
            found.append((binding, row.subject, tuple(map(row.values.get, binding.captured))))
    rows = rows_from(found)
    if sum(map(len, rows.values())) != len(found):
        yield JournalFault(
            sequence=None, subject=contents.letter, text="a row of a table is there twice"
        )
    journal = [
        (each.sequence, each.subject, each.facts, _bytes(each.salt), _bytes(each.body_salt))
        for each in sorted(contents.evidence.journal, key=lambda each: each.sequence)
        if each.subject != THE_JOURNAL
    ]
    yield from differences(rows, journal)


def _binding(columns: BoundColumns) -> Binding | None:
    """Return how a table was bound when the evidence was made; None for nonsense.

    What is usual goes by this version's own list, not by the file: it is left out of the hashes.
    """
    known = _BY_TABLE.get(columns.table)
    if known is None or (columns.body and BODY_DELETED not in columns.clear):
        return None
    return replace(
        known, key=columns.key, clear=columns.clear, private=columns.private, body=columns.body
    )


def _unknown(row: StoredRow) -> JournalFault:
    text = f"its row of {row.table} has other columns than those that are listed"
    return JournalFault(sequence=None, subject=row.subject, text=text)


def _subjects(contents: EvidenceContents) -> Iterator[EvidenceFinding]:
    """Yield what is about something else than the letter."""
    events = {
        each.subject
        for each in contents.evidence.rows
        if each.table == "events" and _is_letter(each.values.get("message_id"), contents)
    }
    known = {contents.letter, THE_JOURNAL, *events}
    in_rows = {each.subject for each in contents.evidence.rows}
    in_journal = {each.subject for each in contents.evidence.journal}
    for subject in sorted((in_rows | in_journal) - known):
        yield EvidenceFinding(
            where="evidence.json", text=f"{described(subject)} is not about the letter"
        )
    if contents.letter not in in_journal:
        yield EvidenceFinding(
            where="evidence.json", text="the journal's rows of the letter are missing"
        )


def _is_letter(value: object, contents: EvidenceContents) -> bool:
    try:
        return UUID(str(value)) == contents.evidence.letter
    except ValueError:
        return False


def _tables(contents: EvidenceContents) -> Iterator[EvidenceFinding]:
    """Yield what is wrong with the routing tables that decided."""
    there = {each.version: each.file for each in contents.evidence.tables}
    for row in contents.rows("decisions"):
        if row.get("routing_version") not in there:
            text = f"the routing table of decision {row.get('number')} is missing"
            yield EvidenceFinding(where="evidence.json", text=text)
    for version, file in there.items():
        if file is not None and contents.digests.get(file, "") != version:
            what = "is missing" if file not in contents.digests else "was changed"
            text = f"{what}: its SHA-256 is not the version that decided"
            yield EvidenceFinding(where=file, text=text)
    listed = {table_file(version) for version in there}
    for name in sorted(contents.digests):
        if name.startswith("tables/") and name not in listed:
            yield EvidenceFinding(where=name, text="is not a table that decided")


def _files(contents: EvidenceContents) -> Iterator[EvidenceFinding]:
    """Yield what of the letter's files is not what the store had, by the journal's SHA-256."""
    expected: dict[str, str] = {}
    for row in contents.rows("attachments"):
        if row.get("state") in KEPT_STATES and row.get("sha256"):
            expected[f"{LETTER}{row.get('safe_name')}"] = str(row["sha256"])
    for row in contents.rows("messages"):
        name = f"{LETTER}{value_of(contents.message, 'body', 'name')}"
        expected[name] = sha256(str(row.get("body")).encode()).hexdigest()
    found = {
        name: digest
        for name, digest in contents.digests.items()
        if name.startswith(LETTER) and name != MESSAGE
    }
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            yield EvidenceFinding(where=name, text="is missing")
        elif name not in expected:
            yield EvidenceFinding(where=name, text="is not of the letter")
        elif found[name] != expected[name]:
            yield EvidenceFinding(where=name, text="was changed: it is not what the journal has")


def contents_of(
    text: bytes, message: bytes, leaves: bytes, digests: Mapping[str, str]
) -> EvidenceContents:
    """Return what is in the file. Raises OperatorError if its JSON is not that of an evidence."""
    try:
        evidence = Evidence.model_validate_json(text)
        found = json.loads(message) if message else {}
    except (ValueError, RecursionError) as error:  # pydantic's errors have values of the letter
        raise OperatorError("evidence.json or message.json is not as it was written") from error
    if not isinstance(found, dict):
        raise OperatorError("letter/message.json is not as it was written")
    return EvidenceContents(evidence=evidence, leaves=leaves, message=found, digests=digests)
