"""What the tests of SOAP share: a mapping for the sandbox's archive, and settings around it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import trustme

from connectors.destinations.soap import Settings
from connectors.sandbox.sinks.soap import WSDL

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
    given = {
        "wsdl": str(WSDL),
        "operation": "ReceiveDocument",
        "address": url,
        "input": MAPPING,
    } | options
    return Settings.model_validate(given, context={"base": base})


def signing(authority: trustme.CA, tmp_path: Path) -> dict[str, Any]:
    """Options for signing with a new certificate; it lies at sign.pem."""
    pair = authority.issue_cert("postmottak.example.no", key_type=trustme.KeyType.RSA)
    pair.cert_chain_pems[0].write_to_path(str(tmp_path / "sign.pem"))
    pair.private_key_pem.write_to_path(str(tmp_path / "sign.key"))
    return {
        "authentication": "x509",
        "signing_cert_file": "sign.pem",
        "signing_key_file": "sign.key",
    }
