"""`evidence.json`: what is known of a letter, with what proves it. Schema: evidence.schema.json."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
SCHEMA_ID = "urn:postmottak:schema:evidence:1"
_WHAT = (
    "The evidence of one letter, as evidence.json in a file that `postmottak evidence export` "
    "wrote. How it is verified is in docs/evidence.md. Within version 1, properties may be added, "
    "and nothing else changes: ignore the properties that you do not know."
)
_HEX = r"^[0-9a-f]*$"
_HASH = r"^[0-9a-f]{64}$"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)  # what later versions add is ignored


class StoredRow(_Part):
    """A row of a table of the store, as it is stored."""

    table: str = Field(description="messages, attachments, decisions, deliveries, and so on")
    subject: str = Field(
        description="what the journal has it under: the letter's id, or an event, such as "
        "`log 000000000012`"
    )
    values: dict[str, str | int | float | None] = Field(
        description="by column, exactly as stored, because hashes are made of them: moments are "
        "text in UTC, and lists and objects are text that is JSON"
    )


class BoundColumns(_Part):
    """What the journal has of a table, in the order in which hashes are made of it.

    So an evidence can be verified by versions of Postmottak whose tables have other columns.
    """

    table: str
    key: tuple[str, ...] = Field(description="what identifies a row of its subject")
    clear: tuple[str, ...] = Field(description="columns whose values are in the journal")
    private: tuple[str, ...] = Field(description="columns of which it has `private_hash`")
    body: tuple[str, ...] = Field(description="columns of which it has `body_hash`")


class JournalEntry(_Part):
    """A row of the journal."""

    sequence: int = Field(ge=1)
    at: str = Field(description="when it was written, in UTC")
    kind: str
    subject: str
    facts: str = Field(description="canonical JSON (RFC 8785); the hash is made of this text")
    salt: str | None = Field(
        default=None,
        pattern=_HEX,
        description="in hex; of the hashes of private values. Null if the row has none, or if it "
        "was deleted with the values",
    )
    body_salt: str | None = Field(default=None, pattern=_HEX, description="the same for the text")


class ChainPart(_Part):
    """Rows of the journal that follow one another, up to a signed head. Leaves are in chain.bin."""

    first: int = Field(ge=1, description="the sequence of the first row")
    last: int = Field(ge=1, description="the sequence of the last row, which has the head")
    previous: str = Field(pattern=_HASH, description="the hash of the row before the first")


class TriedRoute(_Part):
    """A route of the table, and whether it took the letter."""

    route: str
    result: str = Field(
        description="won, copy, overruled (by the thread), lost, not enabled, or not reached"
    )
    reason: str


class DecisionExplained(_Part):
    """Why a decision was made, as `routes explain` shows it, by the table that decided."""

    decision: int = Field(description="its number in the rows of `decisions`")
    routes: tuple[TriedRoute, ...] = Field(description="all, in the order of the table")


class DecidingTable(_Part):
    """A routing table that decided about the letter."""

    version: str = Field(pattern=_HASH, description="SHA-256 of its text")
    file: str | None = Field(description="its text; null if the store does not have it any more")


class Evidence(_Part):
    """All of it."""

    schema_: str = Field(default=SCHEMA_ID, alias="$schema")
    evidence_version: Literal[1] = 1
    letter: UUID = Field(description="the letter's id")
    is_kept: bool = Field(
        description="false if retention has deleted the letter; what was deleted, when and by "
        "which rule is in the rows of `deletions`"
    )
    made_at: str = Field(description="when the file was made, in UTC")
    made_by: str = Field(description="the user who made it")
    made_with: str = Field(description="the version of Postmottak")
    rows: tuple[StoredRow, ...]
    columns: tuple[BoundColumns, ...] = Field(description="those of the tables of `rows`")
    journal: tuple[JournalEntry, ...] = Field(
        description="what the journal has of the letter, and of events about it, such as who "
        "opened it; and the signed heads that cover these rows"
    )
    chain: tuple[ChainPart, ...]
    tables: tuple[DecidingTable, ...]
    explanations: tuple[DecisionExplained, ...] = Field(
        description="none for a decision by a person, nor if retention deleted the letter"
    )


def evidence_schema() -> dict[str, Any]:
    """Return the schema of evidence.json. It allows properties that are added later."""
    schema = Evidence.model_json_schema(mode="serialization")
    return {
        "$schema": _DIALECT,
        "$id": SCHEMA_ID,
        **schema,
        "title": "Evidence of a letter",
        "description": _WHAT,
    }
