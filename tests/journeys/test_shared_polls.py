"""Three nodes, real processes, share organisations; one of them is killed."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.bell import numbers
from benchmarks.other_side import letters_of
from connectors.sandbox.altinn3.server import FakeAltinn
from connectors.sandbox.samples import sandbox_resources
from tests.processes.node_crew import Crew, crew_on, wait_for
from tests.processes.postgresql import PostgresqlServer

_PARTIES = numbers(12)
_RESOURCE = next(iter(sandbox_resources(confidential=False).values()))
_EVERY, _WATCHED = 2.0, 10.0  # seconds
_TAKEOVER = 35.0
_CONFIGURATION = """\
[store]
database = "sqlite:///postmottak.db"
content = "content"

[mailbox.altinn]
type = "altinn3"
maskinporten_url = "{altinn.maskinporten_url}"
platform_url = "{altinn.platform_url}"
client_id = "{client.client_id}"
key_file = "key.pem"
key_id = "{client.key_id}"
parties = {parties}
services = ["4255/10"]
resources = {{ "4255/10" = ["{resource}"] }}
confidential = "off"

[destination.mappe]
type = "filedrop"
path = "drop"

[routing]
file = "routing.toml"
"""
_ROUTING = """\
[[recipient]]
name = "post"
deliver_to = ["mappe"]

[[route]]
name = "Alt"
to = ["post"]
"""


@pytest.fixture
def altinn() -> Iterator[FakeAltinn]:
    """Altinn, with no letter yet."""
    with FakeAltinn() as altinn:
        yield altinn


@pytest.fixture
def crew(tmp_path: Path, altinn: FakeAltinn, postgresql: PostgresqlServer) -> Iterator[Crew]:
    """No node yet; each will poll the same organisations every two seconds."""
    client = altinn.ready_client()
    for party in _PARTIES:
        altinn.allow(client.client_id, party, [_RESOURCE])
    scene = tmp_path / "scene"
    (scene / "drop").mkdir(parents=True)
    (scene / "key.pem").write_text(client.private_key)
    (scene / "key.pem").chmod(0o600)
    (scene / "routing.toml").write_text(_ROUTING)
    (scene / "postmottak.toml").write_text(
        _CONFIGURATION.format(
            altinn=altinn,
            client=client,
            parties=str(_PARTIES).replace("'", '"'),
            resource=_RESOURCE,
        )
    )
    settings = f'bell = "off"\npoll_every = "{_EVERY:.0f}s"\n'
    with crew_on(postgresql, scene, settings) as crew:
        yield crew


def parties(crew: Crew, by: str) -> dict[str, int]:
    """How many organisations each node has as its turn."""
    return {each["name"]: each["parties"] for each in crew.states(by)}


def test_nodes_share_organisations(altinn: FakeAltinn, crew: Crew) -> None:
    """Three nodes together call Altinn about as often as one, and each has some organisations;
    when one is killed, letters of all organisations come, and the others have its turns."""
    for name in "abc":
        crew.node(name).start()
    assert wait_for(lambda: sum(parties(crew, "a").values()) == len(_PARTIES), 30)
    assert wait_for(lambda: min(parties(crew, "a").values()) > 0, 30)
    before = altinn.count()
    time.sleep(_WATCHED)
    one_node = len(_PARTIES) * _WATCHED / _EVERY
    assert 0.5 * one_node < altinn.count() - before < 1.35 * one_node
    crew.nodes["c"].signal(signal.SIGKILL)
    killed = time.monotonic()
    for party in _PARTIES:
        for letter in letters_of([b"%PDF"], party, datetime.now(UTC)):
            altinn.publish(letter)
    assert wait_for(
        lambda: crew.states_of_deliveries() == {"delivered": len(_PARTIES)},
        _TAKEOVER - (time.monotonic() - killed),
    )
    assert wait_for(lambda: parties(crew, "a")["c"] == 0, 30)
    assert sum(parties(crew, "a").values()) == len(_PARTIES)
    for name in "ab":
        assert crew.nodes[name].code() is None, crew.nodes[name].tail()
        assert "Traceback" not in crew.nodes[name].log.read_text()
