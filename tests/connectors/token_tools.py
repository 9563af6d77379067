"""A simulated Maskinporten with a client that is ready, and the tokens that are fetched from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from connectors.altinn3.maskinporten import Identity, Tokens, load_key
from connectors.net.http_client import HttpClient
from connectors.net.timeouts import Timeouts
from connectors.sandbox.altinn3.access import ReadyClient
from connectors.sandbox.altinn3.server import FakeAltinn
from tests.connectors.http_tools import Clock

PARTY, OTHER = "991825827", "974761076"
SCOPE = "altinn:correspondence.read"


@pytest.fixture(name="altinn")
def new_altinn() -> Iterator[FakeAltinn]:
    with FakeAltinn() as running:
        yield running


@pytest.fixture(name="client")
def new_client(altinn: FakeAltinn) -> ReadyClient:
    ready = altinn.ready_client()
    altinn.allow(ready.client_id, PARTY, ["eformidling-dpv-administrasjon"])
    return ready


@pytest.fixture(name="http")
def new_http(clock: Clock) -> Iterator[HttpClient]:
    made = HttpClient(
        longest_pause=300, timeouts=Timeouts(retry_delays=(0.001, 0.001)), clock=clock
    )
    yield made
    made.close()


def identity(altinn: FakeAltinn, client: ReadyClient, **other: str) -> Identity:
    told: dict[str, Any] = {
        "client_id": client.client_id,
        "key_id": client.key_id,
        "issuer": altinn.maskinporten_url,
        **other,
    }
    exchange = f"{altinn.platform_url}/authentication/api/v1/exchange/maskinporten"
    return Identity(exchange_url=exchange, key=load_key(client.private_key), **told)


@pytest.fixture(name="tokens")
def new_tokens(http: HttpClient, altinn: FakeAltinn, client: ReadyClient, clock: Clock) -> Tokens:
    return Tokens(http, identity(altinn, client), refusal_lasts=30, clock=clock)
