"""What the tests of SOAP share: a mapping for the sandbox's archive, and settings around it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from connectors.destinations.soap import Settings
from connectors.sandbox.soap_sink import WSDL

MAPPING: dict[str, Any] = {
    "@series": "POST",
    "MessageId": "$delivery.id",
    "Title": "$title",
    "DocumentDate": "$published_at",
    "Received": "$fetched_at",
    "DueDate": "$due_at",
    "Confidential": "$confidential",
    "Sender": {"Name": "$sender.name", "Number": "$sender.organisation | ukjent"},
    "Text": "$body.text",
    "File": [
        {"FileName": "$body.name", "MediaType": "$body.media_type", "Content": "$body.content"},
        {
            "$each": "attachments",
            "FileName": "$file.name",
            "MediaType": "$file.media_type",
            "Size": "$file.size",
            "Content": "$file.content",
        },
    ],
}


def settings(url: str, base: Path = Path(), **options: Any) -> Settings:
    """Settings for the archive at `url`."""
    given = {"wsdl": str(WSDL), "operation": "ReceiveDocument", "address": url, "input": MAPPING} | options
    return Settings.model_validate(given, context={"base": base})
