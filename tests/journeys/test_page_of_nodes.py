"""The page of each of two nodes, behind one address: whatever one did, the other one knows."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from benchmarks.loopback import free_port
from benchmarks.other_side import letters_of
from tests.journeys.conftest import Begin, Journey
from tests.processes.node_crew import ROUTING, Crew, NodeProcess, crew_on, wait_for
from tests.processes.postgresql import PostgresqlServer

_ROLES = ("admin", "reader", "operator", "router")
_PATHS = ("/letters", "/deliveries", "/routing", "/deadlines", "/")
_MAILBOX = 'bell = "off"\npoll_every = "2s"\nmark_read = "delivered"\n'


@pytest.fixture
def journey(tmp_path: Path) -> Iterator[Journey]:
    """Each letter goes to a drop and a webhook."""
    with Begin(tmp_path, routing=ROUTING) as found:
        yield found


@pytest.fixture
def crew(journey: Journey, postgresql: PostgresqlServer) -> Iterator[Crew]:
    """No node yet, on a new database."""
    with crew_on(postgresql, journey.scene.folder, _MAILBOX) as crew:
        yield crew


def page_of(node: NodeProcess, ends: ExitStack) -> str:
    """The address of a node's page, which runs until the end."""
    port = free_port()
    with node.configuration.open("a") as file:
        file.write(f'\n[web]\nlisten = "127.0.0.1:{port}"\n')
    log = ends.enter_context((node.folder / "web-log").open("ab"))
    process = subprocess.Popen(node.command("web", "run"), stderr=log, env=node.variables)
    ends.callback(process.wait)
    ends.callback(process.kill)
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        with suppress(httpx.HTTPError):
            return httpx.get(f"{address}/login").is_success
        return False

    assert wait_for(answers), (node.folder / "web-log").read_text()[-2000:]
    return address


def browser_of(node: NodeProcess, address: str, ends: ExitStack) -> httpx.Client:
    """A browser of somebody who may do everything, and has followed a link to that address."""
    roles = [each for role in _ROLES for each in ("--role", role)]
    added = node.run("web", "users", "add", "kari", *roles)
    assert added.returncode == 0, added.stderr
    link = node.run("web", "login-link", "kari").stdout.strip()
    token = link.rpartition("/")[2]
    browser = ends.enter_context(httpx.Client(headers={"Sec-Fetch-Site": "same-origin"}))
    cookie = browser.get(f"{address}/login/link/{token}").headers["set-cookie"]
    browser.headers["Cookie"] = cookie.partition(";")[0]
    return browser


def test_each_node_has_a_page(journey: Journey, crew: Crew) -> None:
    """Who logs in on one node is logged in on the other, finds there what the first one stored, and
    what is done on either is seen on both, and is in one journal."""
    with ExitStack() as ends:
        a, b = (crew.node(name) for name in "ab")
        a.start()
        one = page_of(a, ends)
        for each in letters_of(iter([b"x" * 3000]), journey.scene.party, datetime.now(UTC)):
            journey.altinn.publish(each)
        assert wait_for(lambda: crew.states_of_deliveries() == {"delivered": 2}, 60)
        b.start()
        two, browser = page_of(b, ends), browser_of(a, one, ends)
        ((letter,),) = crew.ask("SELECT id FROM messages")
        letter = str(UUID(letter))
        for at in (one, two):
            for path in _PATHS:
                assert browser.get(f"{at}{path}").status_code == 200, (at, path)
            assert wait_for(lambda at=at: letter in browser.get(f"{at}/letters").text)  # type: ignore[misc]
        ids = [str(UUID(key)) for (key,) in crew.ask("SELECT id FROM deliveries")]
        again = {"action": "resend", "id": ids[:1], "confirmed": "1", "on": "one"}
        asked = browser.post(f"{two}/deliveries/actions", data=again)
        assert (asked.status_code, "done=1" in asked.headers["location"]) == (303, True)
        assert wait_for(lambda: crew.states_of_deliveries() == {"delivered": 3}, 30)
        exported = browser.post(f"{one}/letters/{letter}/evidence")
        assert exported.headers["content-type"] == "application/zip"
        refused = browser.post(f"{two}/letters/{letter}/evidence")
        assert (refused.status_code, "kan ikke signere" in refused.text) == (503, True)
        shutil.copy(_key_of(a), _key_of(b))
        assert browser.post(f"{two}/letters/{letter}/evidence").is_success
        for node in (a, b):
            verified = node.run("journal", "verify")
            assert verified.returncode == 0, verified.stdout
        refused_run = crew.node("c").run("retention", "run")
        assert (refused_run.returncode, "node a" in refused_run.stderr) == (1, True)
        assert [each["name"] for each in crew.states("a")] == ["a", "b"]


def _key_of(node: NodeProcess) -> Path:
    return node.folder / "own" / "postmottak.journal-key"
