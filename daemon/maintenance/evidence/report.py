"""What people read of an evidence: sections with a heading, and lines with a label. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from daemon.core.html_to_text import readable_text
from daemon.core.printable import one_line, printable
from daemon.maintenance.evidence.document import Evidence
from daemon.maintenance.evidence.words import EvidenceWords, Tries
from daemon.routing.decide import OPERATOR
from daemon.store import acknowledgements, deadlines
from daemon.store.journal.heads import HEAD, Head, fingerprint

_OF_ROWS = frozenset({*acknowledgements.EVENTS.values(), *deadlines.EVENTS.values()})
"""Kinds of events that have rows of their own, with more to show."""
Line = tuple[str, str]
"""A label, which may be empty, and a text."""
_Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class ReportSection:
    """A heading, and what is under it."""

    heading: str
    lines: Sequence[Line]


def report(
    evidence: Evidence, hashes: Mapping[int, str], key: str, words: EvidenceWords, tried: Tries
) -> list[ReportSection]:
    """Return the sections. `hashes` has those of rows of the journal, `key` the public key.

    `tried` is what the explanations were made of.
    """
    facts = _Facts(evidence, words, tried)
    found = (
        ("letter", facts.letter()),
        ("files", facts.files()),
        ("happened", facts.happened()),
        ("deliveries", facts.deliveries()),
        ("why", facts.why()),
        ("journal", _journal(evidence, hashes, words)),
        ("verify", _verify(key, words)),
        ("letter text", facts.text()),
        ("stored", facts.stored()),
    )
    return [
        ReportSection(heading=words[name], lines=shown)
        for name, lines in found
        if (shown := list(lines))
    ]


def _journal(evidence: Evidence, hashes: Mapping[int, str], words: EvidenceWords) -> Iterator[Line]:
    yield "", words["journal said"]
    for each in evidence.journal:
        what = f"{words['row']} {each.sequence}, {each.kind}, {words.moment(each.at)}"
        yield what, hashes.get(each.sequence, "")
        if each.kind == HEAD:
            head = Head.of_facts(json.loads(each.facts))
            signed = f"{words['head']} {head.sequence}, {words.moment(head.at)}"
            yield signed, f"{head.hash}, {words['fingerprint']} {fingerprint(head.key)}"


def _verify(key: str, words: EvidenceWords) -> Iterator[Line]:
    yield "", words["verify said"]
    yield words["fingerprint"], fingerprint(key)
    yield words["key"], key


@dataclass(frozen=True)
class _Facts:
    evidence: Evidence
    words: EvidenceWords
    tried: Tries

    def rows(self, table: str) -> list[_Row]:
        return [each.values for each in self.evidence.rows if each.table == table]

    def letter(self) -> Iterator[Line]:
        words, evidence = self.words, self.evidence
        yield words["id"], str(evidence.letter)
        for row in (*self.rows("messages"), *self.rows("tombstones")):
            yield from self._named(row, _OF_LETTER)
            yield from self._timed(row, _TIMES)
            if row.get("confidential"):
                yield words["confidential"], words["yes"]
        if not evidence.is_kept:
            yield "", words["gone"]
        yield words["made"], f"{words.moment(evidence.made_at)}, {words['by']} {evidence.made_by}"

    def _named(self, row: _Row, names: Mapping[str, tuple[str, ...]]) -> Iterator[Line]:
        for name, columns in names.items():
            text = ", ".join(str(row[each]) for each in columns if row.get(each))
            if text:
                yield self.words[name], one_line(text)

    def _timed(self, row: _Row, names: Mapping[str, str]) -> Iterator[Line]:
        for name, column in names.items():
            if row.get(column):
                yield self.words[name], self.words.moment(row[column])

    def files(self) -> Iterator[Line]:
        words = self.words
        for row in self.rows("messages"):
            if not row.get("body_deleted_at"):
                body = str(row.get("body")).encode()
                yield words["text"], f"{len(body)} B, SHA-256 {sha256(body).hexdigest()}"
        for row in self.rows("attachments"):
            size = f"{row.get('size')} B, SHA-256 {row['sha256']}" if row.get("sha256") else ""
            text = ", ".join(filter(None, (words.of_kind(str(row.get("state"))), size)))
            yield one_line(f"{row.get('original_name')} ({row.get('safe_name')})"), text
        for row in self.rows("deletions"):
            moment, what = words.moment(row.get("deleted_at")), f"{row.get('part')} {row['what']}"
            rule = f"{words['rule']} {row.get('rule')}"
            yield words["deleted"], f"{moment}, {words['by']} {row.get('by')}, {rule}: {what}"

    def happened(self) -> Iterator[Line]:
        found = [(str(at), text) for at, text in self._happenings() if at]
        for at, text in sorted(found, key=lambda each: each[0]):
            yield self.words.moment(at), one_line(text)

    def _happenings(self) -> Iterator[tuple[object, str]]:
        words = self.words
        for row in self.rows("messages"):
            yield row.get("published_at"), f"{words['published']}, {row.get('sender_name')}"
            yield row.get("fetched_at"), f"{words['fetched']}, {row.get('mailbox')}"
        for row in self.rows("decisions"):
            yield row.get("decided_at"), f"{words['decided']} {row.get('route')}"
        yield from self._delivered()
        yield from self._said()
        for row in self.rows("marks"):
            yield row.get("done_at"), f"{words['mark']}: {row.get('kind')}"
        for row in self.rows("deletions"):
            yield row.get("deleted_at"), f"{words['deleted']}: {row.get('part')}"
        for row in self.rows("events"):
            if row.get("kind") in _OF_ROWS:
                continue
            details = _json(row.get("details"), {})
            reason = str(details.get("reason", "")) if isinstance(details, dict) else ""
            who = " ".join(filter(None, (str(row.get("user")), str(row.get("address") or ""))))
            yield row.get("at"), _with(f"{words.of_kind(str(row.get('kind')))} {who}", reason)

    def _delivered(self) -> Iterator[tuple[object, str]]:
        words = self.words
        places = {row.get("id"): row.get("destination") for row in self.rows("deliveries")}
        for row in self.rows("attempts"):
            ended, place = (
                words.of_kind(str(row.get("outcome"))),
                places.get(row.get("delivery_id")),
            )
            what = f"{words['attempt']} {place}: {ended}"
            yield row.get("started_at"), _with(what, str(row.get("reason") or ""))
        for row in self.rows("deliveries"):
            yield row.get("taken_at"), f"{words['taken']}, {row.get('destination')}"

    def _said(self) -> Iterator[tuple[object, str]]:
        """Yield what persons did, with their notes and reasons."""
        words = self.words
        for row in self.rows("acknowledgements"):
            what = f"{words.of_kind(str(row.get('state')))} {row.get('by')}"
            yield row.get("at"), _with(what, str(row.get("note") or ""))
        for row in self.rows("deadlines"):
            day = words.moment(row["due_at"]) if row.get("due_at") else ""
            state = words.of_kind(str(row.get("state")))
            what = f"{words['deadline']} {state} {day} {words['by']} {row.get('by')}"
            yield row.get("at"), _with(what, str(row.get("note") or ""))
        for row in self.rows("legal_holds"):
            what = f"{words['hold']} {row.get('begun_by')}"
            yield row.get("begun_at"), _with(what, str(row.get("reason") or ""))
            ended = f"{words['hold ended']}, {words['by']} {row.get('ended_by')}"
            yield row.get("ended_at"), ended

    def deliveries(self) -> Iterator[Line]:
        words = self.words
        for row in self.rows("deliveries"):
            parts = [words.of_kind(str(row.get("state")))]
            if row.get("delivered_at"):
                parts.append(words.moment(row["delivered_at"]))
            if names := _names(row.get("recipients")):
                parts.append(f"{words['for']} {names}")
            if row.get("evidence") not in {None, "null"}:
                parts.append(f"{words['receipt']} {row['evidence']}")
            if row.get("rejection"):
                parts.append(f"{words['rejected']}: {row['rejection']}")
            yield str(row.get("destination")), one_line(", ".join(parts))

    def why(self) -> Iterator[Line]:
        words = self.words
        for row in self.rows("decisions"):
            names = ", ".join(filter(None, (_names(row.get("recipients")), _names(row["direct"]))))
            by = words["person"] if row.get("route") == OPERATOR else str(row.get("route"))
            yield words.moment(row.get("decided_at")), one_line(f"{by}: {names}")
            yield words["table"], str(row.get("routing_version"))
            for each in self.tried.get(int(row.get("number") or 0), ()):
                yield each.route, one_line(f"{words.of_kind(each.result)}: {words.reason(each)}")
        known = {row.get("routing_version") for row in self.rows("decisions")}
        for table in self.evidence.tables:
            if table.version not in known:
                yield words["table"], table.version

    def text(self) -> Iterator[Line]:
        for row in self.rows("messages"):
            body = str(row.get("body") or "")
            if row.get("body_type") == "text/html":
                body = readable_text(body)
            for line in printable(f"{row.get('summary') or ''}\n\n{body}".strip()).splitlines():
                yield "", line

    def stored(self) -> Iterator[Line]:
        """Yield every value, as it is stored, so that nothing is only in evidence.json."""
        for row in self.evidence.rows:
            yield f"{row.table}, {row.subject}", ""
            for column, value in row.values.items():
                if value not in _EMPTY and column not in {"body", "summary"}:
                    yield "", one_line(f"{column}: {value}")


_EMPTY = frozenset({None, "", "[]", "{}", "null"})
_OF_LETTER: Mapping[str, tuple[str, ...]] = {
    "heading": ("title",),
    "sender": ("sender_name", "sender_org"),
    "technical": ("technical_sender",),
    "party": ("party",),
    "service": ("service", "resource"),
    "mailbox": ("mailbox",),
    "external": ("external_id",),
    "reference": ("sender_reference",),
}
_TIMES: Mapping[str, str] = {
    "created": "created_at",
    "published": "published_at",
    "fetched": "fetched_at",
    "due": "due_at",
    "deleted": "deleted_at",
}


def _json(value: object, otherwise: Any) -> Any:
    try:
        return json.loads(str(value))
    except ValueError:
        return otherwise


def _names(value: object) -> str:
    """Return the names that a column has as JSON."""
    found = _json(value, [])
    return ", ".join(map(str, found)) if isinstance(found, list) else ""


def _with(what: str, reason: str) -> str:
    return f"{what}: {reason}" if reason else what


def texts_of(sections: Iterable[ReportSection]) -> Iterator[str]:
    """Yield every text."""
    for section in sections:
        yield section.heading
        for line in section.lines:
            yield from line
