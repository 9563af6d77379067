"""The JSON Schema of a letter, for those who read letters: docs/message.schema.json."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from daemon.core.document import LetterDocument

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ID = "urn:postmottak:schema:message:1"
_WHAT = (
    "One letter, as handed to one destination: message.json of a drop, the data of a webhook's "
    "event, and the pull API's letter. Times are in UTC (RFC 3339). Within version 1, properties "
    "may be added, and nothing else changes: ignore the properties that you do not know. Only "
    "properties that are said to be null can be null. A change that a reader could not ignore "
    "would be schema_version 2, with a schema of its own."
)


class Links(BaseModel):
    """Where the letter can be fetched from the pull API, and the delivery answered."""

    model_config = ConfigDict(extra="forbid")

    message: str = Field(description="GET: the letter")
    body: str = Field(description="GET: its text")
    attachments: dict[str, str] = Field(
        description="GET: each attachment that is here, by its `name`"
    )
    ack: str = Field(description="POST: the letter is taken")
    reject: str = Field(description="POST: the letter cannot be used")


class _Published(LetterDocument):
    """A letter, with what a webhook may add to it."""

    links: Links = Field(description='only in webhooks with `payload = "with-links"`')


def message_schema() -> dict[str, Any]:
    """Return the schema that readers validate letters by.

    It allows properties that are added later.
    """
    schema = _open_ended(_Published.model_json_schema(mode="serialization"))
    schema["required"].remove("links")
    return {
        "$schema": _DIALECT,
        "$id": _ID,
        **schema,
        "title": "Postmottak's letter",
        "description": _WHAT,
    }


def _open_ended(schema: Any) -> Any:
    """Return the schema without its refusals of unknown properties."""
    if isinstance(schema, list):
        return [_open_ended(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _open_ended(value)
        for key, value in schema.items()
        if not (key == "additionalProperties" and value is False)
    }
