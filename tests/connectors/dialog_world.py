"""A simulated Altinn with dialogs, and calls to it by hand."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import httpx

from connectors.sandbox.altinn3.access import RECIPIENT_SCOPES
from connectors.sandbox.altinn3.server import FakeAltinn
from connectors.sandbox.letters import urn

PARTY, OTHER, HOUSE = "991825827", "974761076", "974760673"
NAV = "nav_eksempel_dialog"
BASE = "/dialogporten/api/v1/"


class DialogWorld:
    """Calls Dialogporten as the system user of one party."""

    def __init__(self, altinn: FakeAltinn, client_id: str, party: str = PARTY) -> None:
        self.altinn, self.client_id, self.party = altinn, client_id, party
        self.scopes: tuple[str, ...] = RECIPIENT_SCOPES

    def get(self, path: str, *pairs: tuple[str, str], **query: str) -> httpx.Response:
        token = self.altinn.token(self.client_id, self.party, scopes=self.scopes)
        text = urlencode([*pairs, *query.items()])
        address = f"{self.altinn.platform_url}{BASE}{path}?{text}"
        return httpx.get(address, headers={"Authorization": f"Bearer {token}"})

    def search(self, *parties: str, **query: str) -> dict[str, Any]:
        pairs = [("party", urn(each)) for each in parties or (self.party,)]
        answer = self.get("enduser/dialogs", *pairs, **query)
        assert answer.status_code == 200, answer.text
        return dict(json.loads(answer.text))

    def ids(self, *parties: str, **query: str) -> list[str]:
        return [each["id"] for each in self.search(*parties, **query)["items"]]
