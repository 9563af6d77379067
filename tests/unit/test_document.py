"""A letter as everybody outside reads it, and its published schema."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import jsonschema
import pytest

from daemon.core.document import LetterDocument, letter_document
from daemon.core.message_schema import message_schema
from daemon.core.model import Attachment, PartState
from tests.unit.conftest import NOW, ROOT, SENDER, TABLE, sha256, stored_letter

SCHEMA_FILE = ROOT / "docs" / "message.schema.json"
RENEW = (
    ".venv/bin/python -c 'import json; from daemon.core.message_schema import message_schema as s; "
    "print(json.dumps(s(), indent=2, ensure_ascii=False))' > docs/message.schema.json"
)


def document(
    destination: str = "erp", attachments: list[Attachment] | None = None, **changes: Any
) -> LetterDocument:
    """The document of a letter with these changes."""
    letter = stored_letter("a", (destination,), **changes)
    files = letter.attachments if attachments is None else attachments
    return letter_document(letter.message, files, letter.decision, letter.deliveries[0])


def validate(found: LetterDocument) -> None:
    """Check the JSON of a document, as a receiver would."""
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    validator = jsonschema.validators.validator_for(schema)
    validator.check_schema(schema)
    validator(schema, format_checker=validator.FORMAT_CHECKER).validate(
        json.loads(found.model_dump_json())
    )


def test_the_published_schema_is_the_codes() -> None:
    """docs/message.schema.json is what the code says; when a change is meant, renew it with the
    command that a failure shows."""
    text = json.dumps(message_schema(), indent=2, ensure_ascii=False) + "\n"
    assert SCHEMA_FILE.exists(), f"Renew it: {RENEW}"
    assert SCHEMA_FILE.read_text(encoding="utf-8") == text, f"Renew it: {RENEW}"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {
            "service": "5504/1",
            "confidential": True,
            "due_at": NOW + timedelta(days=21),
            "created_at": NOW,
            "language": "nb",
        },
        {
            "service": "9999/1",
            "sender_org": None,
            "altinn2_id": 2**40,
            "body_type": "text/html",
            "body": "<p>Hei</p>",
        },
        {
            "properties": {"ø": [1, None, {"x": True}]},
            "references": [{"type": "x"}],
            "reply_options": [{"url": "x"}],
        },
        {"body_type": "text/plain", "body": "", "summary": "S" * 4000, "title": "🎉"},
    ],
    ids=["ordinary", "confidential", "unknown service", "properties", "plain text"],
)
def test_documents_follow_the_schema(changes: dict[str, Any]) -> None:
    """Whatever a letter has and lacks, its document is valid by the published schema."""
    validate(document(**changes))
    validate(document(attachments=[], **changes))


@pytest.mark.parametrize("state", PartState)
def test_attachments_in_every_state_follow_the_schema(state: PartState) -> None:
    """An attachment that is not here is in the document, with neither size nor hash."""
    kept = state in {PartState.PRESENT, PartState.CHECKSUM_FAILED}
    attachment = Attachment(
        message_id=stored_letter("a").message.id,
        position=1,
        external_id="1",
        original_name="../../Å.pdf",
        safe_name="001-a.pdf",
        state=state,
        size=3 if kept else None,
        sha256=sha256(b"pdf") if kept else None,
    )
    found = document(attachments=[attachment])
    validate(found)
    (file,) = found.files
    assert (file.name, file.original_name, file.state) == ("001-a.pdf", "../../Å.pdf", state)


def test_a_document_that_breaks_the_schema_is_told() -> None:
    """The schema is strict: it refuses what a document never has."""
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    whole = json.loads(document().model_dump_json())
    for broken in (
        whole | {"party": None},
        whole | {"sender": whole["sender"] | {"name": 1}},
        whole | {"schema_version": 2},
        {k: v for k, v in whole.items() if k != "sender"},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, schema)


def test_the_schema_describes_itself() -> None:
    """A developer finds the dialect, an id, what a new version means, and for every property what
    it is and whether it can be null."""
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"].startswith("urn:")
    assert "schema_version" in schema["description"]
    parts = {"": schema, **schema["$defs"]}
    for name, part in parts.items():
        for key, each in part.get("properties", {}).items():
            said = each.get("description") or parts[each["$ref"].split("/")[-1]]["description"]
            nullable = {"type": "null"} in each.get("anyOf", [])
            assert said, f"{name}.{key}"
            assert ("null" in said) == nullable, f"{name}.{key}"


def test_readers_can_be_older_than_the_writer() -> None:
    """A reader that validates by the schema of today takes what a later version adds, anywhere."""
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    later = json.loads(document().model_dump_json())
    for part in (later, later["sender"], later["files"][0], later["delivery"]):
        part["added"] = {"by": "a later version"}
    jsonschema.validate(later, schema)


def test_the_document_has_nothing_that_the_schema_lacks() -> None:
    """Every property that is written is described: a letter is valid even by a closed schema."""
    schema = message_schema()
    for part in (schema, *schema["$defs"].values()):
        if "properties" in part:
            part["additionalProperties"] = False
    jsonschema.validate(json.loads(document().model_dump_json()), schema)


def test_what_a_document_says() -> None:
    """The document has the real sender and the technical one, the service by all its names, and why
    the letter went this way."""
    found = document(technical_sender="964965226", body="Hei på deg", altinn2_id=7)
    assert (found.sender.organisation, found.sender.name, found.sender.technical_organisation) == (
        SENDER,
        "Skatteetaten",
        "964965226",
    )
    assert (found.service.code, found.service.slug, found.service.name["nn"]) == (
        "4255/8",
        "skatter-avgifter",
        "Skattar og avgifter",
    )
    assert (found.source.mailbox, found.source.id, found.source.altinn2_id) == ("altinn", "a", 7)
    assert (found.routing.version, found.routing.route, found.routing.recipients) == (
        TABLE.version,
        "Alt annet",
        ("post",),
    )
    assert (found.body.name, found.body.size, found.body.sha256) == (
        "body.md",
        11,
        sha256("Hei på deg".encode()),
    )
    assert found.delivery.id == stored_letter("a").deliveries[0].id


@pytest.mark.parametrize(
    ("media_type", "name"),
    [("text/markdown", "body.md"), ("text/html", "body.html"), ("text/x", "body.txt")],
)
def test_the_name_of_the_text(media_type: str, name: str) -> None:
    """The letter's text has a file name that fits its type."""
    assert document(body_type=media_type).body.name == name
