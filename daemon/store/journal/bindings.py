"""Which tables and columns the journal binds, and how. Pure.

Every column of these tables is named here once; a test compares them with the schema. So the
person who adds a column decides what the journal has of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from daemon.store.sql_words import SqlWords

OF_LETTER = ("message_id",)
_CLAIMED = "CASE {row}.state WHEN 'claimed' THEN 'pending' ELSE {row}.state END"
_DUE = "CASE {row}.state WHEN 'due' THEN 'waiting' ELSE {row}.state END"
_AS_TEXT = "CAST({row}.altinn2_id AS TEXT)"  # JSON has no integers of 64 bits
PRIVATE_HASH, BODY_HASH = "private_hash", "body_hash"
_EXPRESSIONS = {
    ("messages", "altinn2_id"): _AS_TEXT,
    ("deliveries", "state"): _CLAIMED,
    ("marks", "state"): _DUE,
    ("tombstones", "altinn2_id"): _AS_TEXT,
}


@dataclass(frozen=True)
class Columns:
    """Some columns in the order of their names, which is that of canonical JSON."""

    names: Sequence[str]
    usual: tuple[Any, ...]
    """What each has usually."""

    @classmethod
    def of(cls, names: Iterable[str], defaults: Mapping[str, Any]) -> Columns:
        """Return the columns of these names."""
        ordered = tuple(sorted(names))
        return cls(ordered, tuple(map(defaults.get, ordered)))

    def unusual(self, values: Iterable[Any]) -> dict[str, Any]:
        """Return the values that are not the usual ones, by name."""
        # not strict, which costs more than the rest
        found = zip(self.names, values, self.usual)  # noqa: B905
        return {name: value for name, value, usual in found if value != usual}


@dataclass(frozen=True, kw_only=True)
class Binding:
    """One table: the columns whose values are in the journal, and those of which hashes are."""

    table: str
    walked: str
    """The column that says which subject a row has."""
    subject: str = "{row}.message_id"
    """The subject of a row, in SQL."""
    main: bool = False
    """Whether each subject that is there has a row in it. The salts of its hashes go with it."""
    key: Sequence[str] = ()
    """What identifies a row of its subject."""
    clear: Sequence[str] = ()
    private: Sequence[str] = ()
    """What retention deletes with the letter's metadata, or with the log of events; and what is
    clear from other facts."""
    body: Sequence[str] = ()
    """What retention deletes with the letter's text."""
    unbound: Sequence[str] = ()
    """What only says what is to be done next, and is not bound."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """What columns have usually, if that is not NULL. It is left out of the facts."""

    @cached_property
    def columns(self) -> Sequence[str]:
        """The columns whose values are used."""
        return (*self.key, *self.clear, *self.private, *self.body)

    @cached_property
    def entry(self) -> Columns:
        """What the facts of a row have: the readable columns, and hashes of the others."""
        hashes = [(self.private, PRIVATE_HASH), (self.body, BODY_HASH)]
        names = (*self.key, *self.clear, *(name for columns, name in hashes if columns))
        return Columns.of(names, self.defaults)

    @cached_property
    def hidden(self) -> Columns:
        """The columns of which there is one hash, but for the text."""
        return Columns.of(self.private, self.defaults)

    @cached_property
    def text(self) -> Columns:
        """The columns of the letter's text."""
        return Columns.of(self.body, self.defaults)

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Where everything is in `entry`."""
        return {name: place for place, name in enumerate(self.entry.names)}

    @cached_property
    def hidden_places(self) -> tuple[int, int]:
        """Where the columns of `hidden` begin and end in `captured`."""
        begin = len(self.entry.names)
        return begin, begin + len(self.private)

    @cached_property
    def captured(self) -> Sequence[str]:
        """What is captured of a row, in this order; nothing where the hashes are to be."""
        return (*self.entry.names, *self.hidden.names, *self.text.names)

    def by_name(self, captured: Sequence[Any]) -> dict[str, Any]:
        """Return captured values by their columns."""
        found = dict(zip(self.captured, captured, strict=True))
        return {name: found[name] for name in self.columns}

    def within(self, row: str) -> str:
        """Return the condition that a row belongs to subjects from one to another, as SQL."""
        if self.table == "attempts":
            delivery = f'{row}."{self.walked}"'
            some = "SELECT id FROM deliveries WHERE message_id > ? AND message_id <= ?"
            return f"{delivery} IN ({some})"
        return f'{row}."{self.walked}" > ? AND {row}."{self.walked}" <= ?'

    def identity(self, row: str, words: SqlWords) -> str:
        """Return the subject of a row and its key, as SQL."""
        padded = words.padded(f"{row}.number")
        subject = self.subject.format(row=row, padded=padded)
        return f"{subject}, {self.values(row, words, self.key)}" if self.key else subject

    def values(self, row: str, words: SqlWords, columns: Sequence[str] | None = None) -> str:
        """Return the values of some columns, or of all that are captured, as SQL.

        They are the same values whatever the database.
        """
        return ", ".join(
            "NULL"
            if name in {PRIVATE_HASH, BODY_HASH}
            else words.plain(self.table, name, self._value(row, name))
            for name in (self.captured if columns is None else columns)
        )

    def used(self, row: str) -> str:
        """Return the values of all columns that are used, to be compared with one another."""
        return ", ".join(self._value(row, name) for name in self.columns)

    def _value(self, row: str, name: str) -> str:
        known = _EXPRESSIONS.get((self.table, name), '{row}."{name}"')
        return known.format(row=row, name=name)


BINDINGS = (
    Binding(
        table="messages",
        subject="{row}.id",
        walked="id",
        main=True,
        clear=(
            *("kind", "mailbox", "external_id", "party", "service", "resource"),
            *("published_at", "fetched_at", "confidential", "body_deleted_at"),
        ),
        private=(
            *("title", "body_type", "language", "sender_org", "sender_name", "technical_sender"),
            *("sender_reference", "due_at", "confirmation_needed", "altinn2_id", "properties"),
            *("references", "reply_options", "party_name", "listed_at"),
            *("created_at", "requested_at"),
        ),
        body=("summary", "body"),
        unbound=("id",),  # the subject
        defaults={
            "kind": "letter",
            "confidential": 0,
            "body_type": "text/markdown",
            "confirmation_needed": 0,
            "properties": "{}",
            **dict.fromkeys(("references", "reply_options"), "[]"),
            **dict.fromkeys(("language", "sender_name", "sender_reference"), ""),
            **dict.fromkeys(("party_name", "summary", "body"), ""),
        },
    ),
    Binding(
        table="attachments",
        walked="message_id",
        key=("position",),
        clear=(
            *("sha256", "size", "sender_checksum", "state", "encrypted", "expires_at"),
            *("deleted_at", "accepted_at"),
        ),
        private=("external_id", "original_name", "display_name", "media_type", "safe_name"),
        unbound=OF_LETTER,
        defaults={
            "sender_checksum": "",
            "state": "present",
            "encrypted": 0,
            "display_name": "",
            "media_type": "application/octet-stream",
        },
    ),
    Binding(
        table="decisions",
        walked="message_id",
        key=("number",),
        clear=("routing_version", "route", "respond_by"),
        private=("decided_at", "chosen", "recipients", "direct", "why"),
        unbound=OF_LETTER,
        defaults={**dict.fromkeys(("chosen", "recipients", "direct"), "[]"), "why": "{}"},
    ),
    Binding(
        table="deliveries",
        walked="message_id",
        key=("id",),
        clear=(
            *("destination", "decision", "generation", "state", "delivered_at"),
            *("awaiting_pickup", "taken_at"),
        ),
        private=("created_at", "recipients", "rejection", "evidence"),
        unbound=(
            *OF_LETTER,
            *("due_at", "owner", "fence", "attempts", "crashes", "last_error", "progress"),
        ),
        defaults={
            "decision": 1,
            "generation": 1,
            "awaiting_pickup": 0,
            "recipients": "[]",
            "evidence": "null",
        },
    ),
    Binding(
        table="attempts",
        subject="(SELECT message_id FROM deliveries WHERE id = {row}.delivery_id)",
        walked="delivery_id",
        key=("id",),
        clear=("delivery_id", "fence", "started_at", "duration_ms", "outcome"),
        private=("reason",),
        defaults={"fence": 1, "reason": ""},
    ),
    Binding(
        table="marks",
        walked="message_id",
        key=("kind",),
        clear=("policy", "state", "done_at"),
        unbound=(*OF_LETTER, "due_at", "attempts", "last_error", "refused_since"),
    ),
    Binding(
        table="acknowledgements",
        walked="message_id",
        key=("number",),
        clear=("state", "at"),
        private=("by", "note"),
        unbound=OF_LETTER,
    ),
    Binding(
        table="deadlines",
        walked="message_id",
        key=("number",),
        clear=("state", "due_at", "at"),
        private=("by", "note"),
        unbound=OF_LETTER,
    ),
    Binding(
        table="deletions",
        walked="message_id",
        key=("part",),
        clear=("deleted_at", "by", "rule", "what"),
        unbound=OF_LETTER,
    ),
    Binding(
        table="tombstones",
        walked="message_id",
        clear=(
            *("kind", "mailbox", "party", "service", "resource", "external_id", "altinn2_id"),
            "deleted_at",
        ),
        unbound=OF_LETTER,
    ),
    Binding(
        table="legal_holds",
        walked="message_id",
        key=("id",),
        clear=("begun_at", "begun_by", "ended_at", "ended_by"),
        private=("reason",),
        unbound=OF_LETTER,
    ),
    Binding(
        table="events",
        subject="'log ' || {padded}",
        main=True,
        walked="number",
        clear=("kind", "done"),
        private=("at", "user", "address", "message_id", "about", "details", "previous", "hash"),
        unbound=("number",),  # the subject
    ),
    Binding(
        table="routing_versions",
        subject="'table ' || {row}.version",
        main=True,
        walked="version",
        clear=("in_force_since",),
        private=("text",),
        unbound=("version",),  # the subject
    ),
    Binding(
        table="routing_changes",
        subject="'table-change ' || {padded}",
        main=True,
        walked="number",
        clear=("at", "version", "version_before", "by", "source", "approved_by"),
        private=("reason", "counts"),
        unbound=("number",),  # the subject
    ),
    Binding(
        table="users",
        subject="'user ' || {row}.name",
        main=True,
        walked="name",
        clear=("disabled_at", "created_at", "source"),
        private=("password_hash",),
        unbound=("name", "language"),  # the subject, and a preference
    ),
    Binding(
        table="grants",
        subject="'user ' || {row}.\"user\"",
        walked="user",
        key=("id",),
        clear=("role", "recipients", "parties"),
        unbound=("user",),  # the subject
    ),
)
