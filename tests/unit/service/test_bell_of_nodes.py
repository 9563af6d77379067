"""A mailbox with a bell that two nodes share: one has the bell, and the other one after it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from connectors.sandbox.altinn3.access import ReadyClient
from connectors.sandbox.altinn3.server import FakeAltinn
from connectors.sandbox.letters import PretendLetter
from daemon.core.pacing import PAUSES, PROCESSES
from daemon.service.app import App, open_app
from daemon.service.stack import load
from daemon.service.supervisor import Supervisor
from tests.unit.conftest import PARTY
from tests.unit.nodes_together import Nodes, new_nodes  # noqa: F401  # a fixture
from tests.unit.service.test_bell_loop import POST, drops, write


@pytest.fixture(autouse=True)
def alone_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process knows of other nodes ends with the test."""
    monkeypatch.setattr(PROCESSES, "nodes", 1)
    monkeypatch.setattr(PAUSES, "tell", PAUSES.tell)


@pytest.fixture(name="altinn")
def new_altinn() -> Iterator[FakeAltinn]:
    """Altinn, with no letter yet."""
    with FakeAltinn() as running:
        yield running


@pytest.fixture(name="client")
def new_client(altinn: FakeAltinn) -> ReadyClient:
    """A client that may read for one organisation."""
    ready = altinn.ready_client()
    altinn.allow(ready.client_id, PARTY, [POST])
    return ready


@contextmanager
def running(
    name: str, url: str, place: Path, altinn: FakeAltinn, client: ReadyClient
) -> Iterator[App]:
    """A node at work."""
    folder = place / name
    folder.mkdir()
    file = write(folder, altinn, client)
    text = file.read_text()
    for old, new in (
        ('"sqlite:///letters.db"', f'"{url}"\nown_files = "own"\nnode = "{name}"'),
        ('content = "content"', f'content = "{place}/content"'),
        ('path = "drop"', f'path = "{place}/drop"'),
    ):
        text = text.replace(old, new)
    file.write_text(text)
    with open_app(load(file)) as app:
        supervisor = Supervisor(app)
        thread = threading.Thread(target=supervisor.run)
        thread.start()
        try:
            yield app
        finally:
            supervisor.stop()
            thread.join(20)


def bell_of(app: App) -> str:
    """Which node has the bell; empty while none has had it."""
    return "".join(each.node.name for each in app.store.nodes.states() if each.parties)


def test_the_bell_moves(
    nodes: Nodes,
    altinn: FakeAltinn,
    client: ReadyClient,
    tmp_path: Path,
) -> None:
    """One of two nodes asks the bell, about as often as one machine does, and fetches what it
    rings for; when that node is stopped, the other one has the bell and goes on."""
    (tmp_path / "drop").mkdir()
    with running("a", nodes.url, tmp_path, altinn, client) as first:
        assert altinn.wait_for_calls("dialogsearch", 2, timeout=30)
        assert bell_of(first) == "a"
        with running("b", nodes.url, tmp_path, altinn, client) as second:
            altinn.publish(PretendLetter(party=PARTY))
            assert altinn.wait_for(lambda: drops(tmp_path) == 1, timeout=30)
            assert bell_of(second) in {"a", "b"}
            before = altinn.count("dialogsearch")
            threading.Event().wait(5)
            assert 2 <= altinn.count("dialogsearch") - before <= 8
    with running("c", nodes.url, tmp_path, altinn, client) as third:
        altinn.publish(PretendLetter(party=PARTY))
        assert altinn.wait_for(lambda: drops(tmp_path) == 2, timeout=30)
        assert bell_of(third) == "c"
        assert third.store.bells.of("altinn").found_by_bell >= 1
