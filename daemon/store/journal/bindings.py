"""Which tables and columns the journal binds, and how. Pure.

Every column of these tables is named here once; a test compares them with the schema. So the
person who adds a column decides what the journal has of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

FORMAT = 1
"""Which columns the facts of a row are about. Count it up when a column is added to them."""
OF_LETTER = ("message_id",)
_CLAIMED = "CASE {row}.state WHEN 'claimed' THEN 'pending' ELSE {row}.state END"
_DUE = "CASE {row}.state WHEN 'due' THEN 'waiting' ELSE {row}.state END"
_AS_TEXT = "CAST({row}.altinn2_id AS TEXT)"  # JSON has no integers of 64 bits
_EXPRESSIONS = {
    ("deliveries", "state"): _CLAIMED,
    ("marks", "state"): _DUE,
    ("tombstones", "altinn2_id"): _AS_TEXT,
}


@dataclass(frozen=True, kw_only=True)
class Binding:
    """One table: the columns whose values are in the journal, and those of which hashes are."""

    table: str
    walked: str
    """The column that says which subject a row has."""
    subject: str = "{row}.message_id"
    """The subject of a row, in SQL."""
    key: Sequence[str] = ()
    """What identifies a row of its subject."""
    clear: Sequence[str] = ()
    private: Sequence[str] = ()
    """What retention deletes with the letter's metadata, or with the log of events."""
    body: Sequence[str] = ()
    """What retention deletes with the letter's text."""
    unbound: Sequence[str] = ()
    """What only says what is to be done next, and is not bound."""

    @cached_property
    def columns(self) -> Sequence[str]:
        """The columns whose values are used, in the order in which they are captured."""
        return (*self.key, *self.clear, *self.private, *self.body)

    def within(self, row: str) -> str:
        """Return the condition that a row belongs to subjects from one to another, as SQL."""
        if self.table == "attempts":
            delivery = f'{row}."{self.walked}"'
            some = "SELECT id FROM deliveries WHERE message_id > ? AND message_id <= ?"
            return f"{delivery} IN ({some})"
        return f'{row}."{self.walked}" > ? AND {row}."{self.walked}" <= ?'

    def values(self, row: str, columns: Sequence[str] | None = None) -> str:
        """Return the values of some columns, or of all that are bound, as SQL."""
        return ", ".join(
            _EXPRESSIONS.get((self.table, name), '{row}."{name}"').format(row=row, name=name)
            for name in (self.columns if columns is None else columns)
        )


BINDINGS = (
    Binding(
        table="messages",
        subject="{row}.id",
        walked="id",
        clear=(
            *("kind", "mailbox", "external_id", "party", "service", "resource", "created_at"),
            *("requested_at", "published_at", "fetched_at", "confidential", "body_deleted_at"),
        ),
        private=(
            *("title", "body_type", "language", "sender_org", "sender_name", "technical_sender"),
            *("sender_reference", "due_at", "confirmation_needed", "altinn2_id", "properties"),
            *("references", "reply_options", "party_name", "listed_at"),
        ),
        body=("summary", "body"),
        unbound=("id",),  # the subject
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
    ),
    Binding(
        table="decisions",
        walked="message_id",
        key=("number",),
        clear=("decided_at", "routing_version", "route", "respond_by"),
        private=("chosen", "recipients", "direct", "why"),
        unbound=OF_LETTER,
    ),
    Binding(
        table="deliveries",
        walked="message_id",
        key=("id",),
        clear=(
            *("destination", "decision", "generation", "state", "created_at", "delivered_at"),
            *("awaiting_pickup", "taken_at"),
        ),
        private=("recipients", "rejection", "evidence"),
        unbound=(
            *OF_LETTER,
            *("due_at", "owner", "fence", "attempts", "crashes", "last_error", "progress"),
        ),
    ),
    Binding(
        table="attempts",
        subject="(SELECT message_id FROM deliveries WHERE id = {row}.delivery_id)",
        walked="delivery_id",
        key=("id",),
        clear=("delivery_id", "fence", "started_at", "duration_ms", "outcome"),
        private=("reason",),
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
        subject="printf('log %012d', {row}.number)",
        walked="number",
        clear=("kind", "done"),
        private=("at", "user", "address", "message_id", "about", "details", "previous", "hash"),
        unbound=("number",),  # the subject
    ),
    Binding(
        table="routing_versions",
        subject="'table ' || {row}.version",
        walked="version",
        clear=("in_force_since",),
        private=("text",),
        unbound=("version",),  # the subject
    ),
    Binding(
        table="routing_changes",
        subject="printf('table-change %012d', {row}.number)",
        walked="number",
        clear=("at", "version", "version_before", "by", "source", "approved_by"),
        private=("reason", "counts"),
        unbound=("number",),  # the subject
    ),
    Binding(
        table="users",
        subject="'user ' || {row}.name",
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
