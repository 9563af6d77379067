"""A webhook with its secret, to a server of the test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from connectors.destinations.webhook import Settings, Webhook
from daemon.core.settings import Secret

SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


def webhook_to(server: Any, scheme: str = "http", **settings: Any) -> Webhook:
    known: dict[str, Any] = {
        "url": f"{scheme}://127.0.0.1:{server.port}/hooks/post?token=capability",
        "secret_file": Secret(Path("webhook.secret"), SECRET),
    }
    return Webhook("erp-webhook", Settings(**(known | settings)))
