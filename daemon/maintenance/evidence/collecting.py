"""Collects what the store has of a letter, and what proves it. Changes nothing but the journal."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from uuid import UUID

from daemon.core.document import LetterDocument, letter_document
from daemon.core.errors import NotFound, OperatorError
from daemon.core.model import Attachment, DecisionRow, Delivery, DeliveryState, Message
from daemon.core.times import in_utc
from daemon.maintenance.evidence.document import (
    BoundColumns,
    ChainPart,
    DecidingTable,
    DecisionExplained,
    Evidence,
    JournalEntry,
    StoredRow,
    TriedRoute,
)
from daemon.maintenance.evidence.words import Tries
from daemon.routing.decide import OPERATOR, followed
from daemon.routing.explain import Tried, explain
from daemon.routing.facts import facts_of, is_guarded
from daemon.routing.table import parse_table
from daemon.store import Store
from daemon.store.journal.bindings import BINDINGS
from daemon.store.journal_proof import ProvenRow

_EVENTS = 300  # that are read at a time
EVENT = "log {:012d}"
"""What the journal has an event under."""


@dataclass(frozen=True, kw_only=True)
class DisputedLetter:
    """A letter that is stored, or was: then only its id is here."""

    id: UUID
    message: Message | None = None
    attachments: Sequence[Attachment] = ()
    decisions: Sequence[DecisionRow] = ()
    deliveries: Sequence[Delivery] = ()

    def handed_on(self) -> LetterDocument | None:
        """Return the letter as the first receiver that has it got it; None if it was deleted."""
        delivered = [each for each in self.deliveries if each.state is DeliveryState.DELIVERED]
        chosen = next(iter([*delivered, *self.deliveries]), None)
        if self.message is None or chosen is None:
            return None
        decision = next((each for each in self.decisions if each.number == chosen.decision), None)
        if decision is None:
            raise ValueError("the decision of a delivery is missing")
        return letter_document(self.message, self.attachments, decision, chosen)


@dataclass(frozen=True, kw_only=True)
class Collected:
    """What goes into the file, beside the attachments."""

    letter: DisputedLetter
    evidence: Evidence
    leaves: bytes
    hashes: Mapping[int, str]
    """Those of the rows of the journal in it, by sequence."""
    tables: Mapping[str, str]
    """The text of each routing table that decided, by its version."""
    tried: Tries
    """What `evidence.explanations` has in English."""


def letter_named(store: Store, name: str) -> DisputedLetter:
    """Return a letter that is stored, or that retention has deleted. Raises OperatorError."""
    left = store.queries.tombstone(name)
    try:
        message = store.queries.message(name)
    except NotFound:
        if left is None:
            raise
        return DisputedLetter(id=left.message_id)
    if left:
        raise OperatorError(
            f"There is more than one message {name!r}: {message.id} is stored, and "
            f"{left.message_id} was deleted; write more of the id"
        )
    return DisputedLetter(
        id=message.id,
        message=message,
        attachments=store.queries.attachments(message.id),
        decisions=store.queries.decisions(message.id),
        deliveries=store.queries.deliveries(message_id=message.id),
    )


def is_confidential(store: Store, letter: DisputedLetter) -> bool:
    """Whether a letter is, or was; the journal knows of one that was deleted. Raises StoreError."""
    if letter.message:
        return is_guarded(letter.message.service, confidential=letter.message.confidential)
    return any(
        is_guarded(str(each.get("service")), confidential=bool(each.get("confidential")))
        for row in store.journal.rows_of(letter.id.hex)
        for each in json.loads(row.facts).get("messages", ())
    )


def collect(
    store: Store, letter: DisputedLetter, key: bytes, now: datetime, made_by: str
) -> Collected:
    """Collect everything, after signing the journal. `key` is the private key.

    Raises StoreError, and OperatorError if the journal is damaged.
    """
    store.journal.sign(key, now)
    subjects = [letter.id.hex, *_events(store, letter.id)]
    versions = _versions(store.journal.rows_of(letter.id.hex))
    proof = store.journal.prove(subjects)
    texts = {each: found.text for each in versions if (found := store.queries.table(each))}
    tried = dict(_tried(letter, texts))
    evidence = Evidence(
        letter=letter.id,
        is_kept=letter.message is not None,
        made_at=in_utc(now).isoformat(timespec="seconds"),
        made_by=made_by,
        made_with=_version(),
        rows=tuple(
            StoredRow(table=table, subject=subject, values=_plain(values))
            for table, subject, values in proof.values
        ),
        columns=tuple(_columns({table for table, _, _ in proof.values})),
        journal=tuple(map(_entry, proof.rows)),
        chain=tuple(
            ChainPart(first=each.first, last=each.last, previous=each.previous.hex())
            for each in proof.stretches
        ),
        tables=tuple(
            DecidingTable(version=each, file=table_file(each) if each in texts else None)
            for each in versions
        ),
        explanations=tuple(_explained(*each) for each in tried.items()),
    )
    return Collected(
        letter=letter,
        evidence=evidence,
        leaves=b"".join(each.leaves for each in proof.stretches),
        hashes={each.sequence: each.hash.hex() for each in proof.rows},
        tables=texts,
        tried=tried,
    )


def _version() -> str:
    try:
        return version("postmottak")
    except PackageNotFoundError:
        return "a checkout"


def table_file(table: str) -> str:
    """Return the name that a routing table has in the file."""
    return f"tables/{table}.toml"


def _events(store: Store, letter: UUID) -> Iterator[str]:
    """Yield the subjects of all events about the letter."""
    before: int | None = None
    while found := store.events.page(message_id=letter, before=before, limit=_EVENTS):
        for each in found:
            before = each.number
            yield EVENT.format(before)


def _versions(rows: Iterable[ProvenRow]) -> list[str]:
    """Return the routing tables that decided, by the journal, which keeps them for good."""
    found: list[str] = []
    for row in rows:
        facts: Mapping[str, Any] = json.loads(row.facts)
        found += [
            each["routing_version"]
            for each in facts.get("decisions", ())
            if "routing_version" in each
        ]
    return list(dict.fromkeys(found))


def _plain(values: Mapping[str, Any]) -> dict[str, str | int | float | None]:
    """Return values for JSON; bytes, which nothing stores there, as their hashes have them."""
    return {
        name: value.hex() if isinstance(value, bytes) else value for name, value in values.items()
    }


def _columns(tables: Collection[str]) -> Iterator[BoundColumns]:
    for each in BINDINGS:
        if each.table in tables:
            yield BoundColumns(
                table=each.table,
                key=tuple(each.key),
                clear=tuple(each.clear),
                private=tuple(each.private),
                body=tuple(each.body),
            )


def _entry(row: ProvenRow) -> JournalEntry:
    return JournalEntry(
        sequence=row.sequence,
        at=row.at,
        kind=row.kind,
        subject=row.subject,
        facts=row.facts,
        salt=row.salt.hex() if row.salt is not None else None,
        body_salt=row.body_salt.hex() if row.body_salt is not None else None,
    )


def _tried(
    letter: DisputedLetter, tables: Mapping[str, str]
) -> Iterator[tuple[int, Sequence[Tried]]]:
    """Yield what each decision by a table tried, by its number, as far as the table is here."""
    for decision in letter.decisions:
        text = tables.get(decision.routing_version)
        if letter.message is None or text is None or decision.route == OPERATOR:
            continue
        try:
            table = parse_table(text, f"table {decision.routing_version[:12]}", None)
        except OperatorError:
            continue  # this version of Postmottak cannot read it
        party = letter.message.party_name
        facts = facts_of(letter.message, letter.attachments, decision.decided_at, party)
        yield decision.number, explain(table, facts, followed(decision)).tried


def _explained(number: int, tried: Sequence[Tried]) -> DecisionExplained:
    return DecisionExplained(
        decision=number,
        routes=tuple(
            TriedRoute(route=each.route, result=each.result, reason=each.reason) for each in tried
        ),
    )
