"""Several nodes on one database: any of them, and the database's server, may die or stand still."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from benchmarks.other_side import letters_of
from connectors.sandbox.sinks.webhook import Reply
from daemon.core.nodes import SILENT_AFTER, Duty
from tests.journeys.conftest import Begin, Journey
from tests.processes.node_crew import ROUTING, STARTED, Crew, NodeProcess, crew_on, wait_for
from tests.processes.postgresql import NoPostgresqlError, PostgresqlServer

_MAILBOX = 'bell = "off"\npoll_every = "2s"\nmark_read = "delivered"\n'
_TAKEOVER = 35.0
"""Seconds within which others have the work of a node that died."""


@pytest.fixture
def journey(tmp_path: Path) -> Iterator[Journey]:
    """Each letter goes to a drop and a webhook."""
    with Begin(tmp_path, routing=ROUTING) as found:
        yield found


@pytest.fixture
def own_server() -> Iterator[PostgresqlServer]:
    """A server that a test may kill, in a folder that its user may enter: pytest closes its own."""
    folder = Path(tempfile.mkdtemp(prefix="postmottak-pg-"))
    server = PostgresqlServer(folder, "fsync=off")
    server.start()
    yield server
    os.kill(server.pid, signal.SIGQUIT)
    assert wait_for(lambda: not Path(f"/proc/{server.pid}").exists(), 20)
    shutil.rmtree(folder)


@pytest.fixture
def crew(journey: Journey, postgresql: PostgresqlServer) -> Iterator[Crew]:
    """No node yet, on a new database."""
    with crew_on(postgresql, journey.scene.folder, _MAILBOX) as crew:
        yield crew


def publish(journey: Journey, count: int) -> None:
    """Publish letters."""
    contents = (os.urandom(3000) for _ in range(count))
    for letter in letters_of(contents, journey.scene.party, datetime.now(UTC)):
        journey.altinn.publish(letter)


def all_delivered(crew: Crew, letters: int) -> bool:
    """Whether each letter is stored, and delivered to both destinations."""
    return crew.states_of_deliveries() == {"delivered": 2 * letters}


def assert_each_once(journey: Journey, letters: int) -> None:
    """Each letter lies in the drop once, whole, and has come to the webhook under one id."""
    assert len(set(journey.dropped_ids())) == len(journey.whole_drops()) == letters
    assert len({hook.id for hook in journey.webhook.taken}) == letters


def at_work(crew: Crew) -> tuple[NodeProcess, NodeProcess]:
    """The node that has claims, and the other one."""
    seen: list[str] = []

    def look() -> bool:
        seen.extend(owners(crew))
        return bool(seen)

    assert wait_for(look, 30)
    name = seen[0]
    (other,) = {*crew.nodes} - {name}
    return crew.nodes[name], crew.nodes[other]


def owners(crew: Crew) -> Counter[str]:
    """How many deliveries each node has claimed."""
    rows = crew.ask("SELECT owner FROM deliveries WHERE state = 'claimed'")
    return Counter(str(owner).partition("/")[0] for (owner,) in rows)


def test_others_take_over_from_a_node_that_dies(journey: Journey, crew: Crew) -> None:
    """A node dies with deliveries under way: the server tells of it, so another node makes them
    long before the node would count as silent; it is missed until it starts again, which is at
    once, and then nothing is missing."""
    for name in "ab":
        crew.node(name).start()
    journey.webhook.script(*[Reply(delay=5.0)] * 4)
    publish(journey, 4)
    dead, other = at_work(crew)
    dead.signal(signal.SIGKILL)
    assert wait_for(lambda: all_delivered(crew, 4), _TAKEOVER)
    ((took,),) = crew.ask("SELECT fenced_at - seen_at FROM nodes WHERE fenced_at IS NOT NULL")
    assert took < SILENT_AFTER
    ended = other.run("nodes")
    assert ended.returncode == 3
    assert "silent" in ended.stdout
    assert f"node {dead.name} on" in other.run("status").stdout
    dead.start()
    assert other.run("nodes").returncode == 0
    assert wait_for(lambda: all_duties(crew, other) == {*Duty}, 20)
    assert_each_once(journey, 4)


def all_duties(crew: Crew, by: NodeProcess) -> set[str]:
    """The duties that living nodes have."""
    return {duty for each in crew.states(by.name) if each["alive"] for duty in each["duties"]}


def test_a_node_that_stood_still_finds_out(journey: Journey, crew: Crew) -> None:
    """A node is frozen with deliveries under way, and another one makes them; when it goes on, it
    says that others have its work, ends with code 4 and delivers nothing."""
    for name in "ab":
        crew.node(name).start()
    journey.webhook.script(*[Reply(delay=2.0)] * 4)
    publish(journey, 4)
    frozen, other = at_work(crew)
    frozen.signal(signal.SIGSTOP)
    assert wait_for(lambda: all_delivered(crew, 4)), other.tail()
    before = len(journey.webhook.taken), journey.dropped_ids()
    frozen.signal(signal.SIGCONT)
    assert wait_for(lambda: frozen.code() is not None, 20)
    assert (frozen.code(), other.code()) == (4, None)
    assert "others have taken over its work" in frozen.tail()
    assert (len(journey.webhook.taken), journey.dropped_ids()) == before
    assert_each_once(journey, 4)


def test_a_name_is_one_nodes(journey: Journey, crew: Crew) -> None:
    """A second process under a living node's name is refused, with code 4 and the remedy; the node
    itself starts again at once after it was killed; a stopped one is not missed."""
    first = crew.node("a")
    first.start()
    second = crew.node("other")
    text = second.configuration.read_text().replace('node = "other"', 'node = "a"')
    second.configuration.write_text(text)
    second.start(ready=False)
    assert wait_for(lambda: second.code() is not None, 20)
    assert second.code() == 4
    assert "stop it, or give this one another name in [store] node" in second.tail()
    assert first.process
    first.signal(signal.SIGKILL)
    first.process.wait()
    killed = time.monotonic()
    first.start()
    assert time.monotonic() - killed < 15
    first.signal(signal.SIGTERM, all_of_it=False)
    assert first.process.wait() == 0
    assert first.run("nodes").returncode == 0
    publish(journey, 1)
    assert first.run("poll").returncode == 0, "beside no running node, a poll takes part"
    assert_each_once(journey, 1)


def test_a_lost_database_is_waited_for(journey: Journey, own_server: PostgresqlServer) -> None:
    """The server is killed and started again while letters come: no node ends, each letter arrives
    once, no webhook is called twice, and no log has what the database says of rows."""
    own_server.run("CREATE DATABASE crew")
    with closing(Crew(journey.scene.folder, own_server.url("crew"), _MAILBOX)) as crew:
        for name in "ab":
            crew.node(name).start()
        for _ in range(3):
            publish(journey, 6)
            time.sleep(1)
            os.kill(own_server.pid, signal.SIGKILL)
            time.sleep(1.5)
            start_again(own_server)
        assert wait_for(lambda: all_delivered(crew, 18))
        assert [each.code() for each in crew.nodes.values()] == [None, None]
        assert_each_once(journey, 18)
        assert len(journey.webhook.taken) == 18
        for each in crew.nodes.values():
            text = each.log.read_text()
            assert "Traceback" not in text
            assert "DETAIL" not in text
            assert "Vedtak" not in text
        os.kill(own_server.pid, signal.SIGKILL)
        ended = crew.nodes["a"].run("status")
        assert ended.returncode == 4
        assert "cannot be used now" in ended.stderr
        start_again(own_server)


def test_a_start_waits_for_the_database(journey: Journey, own_server: PostgresqlServer) -> None:
    """A service that starts while the server is away says so at once and waits; SIGTERM ends it
    well, and it begins its work when the server is back. Systemd hears that it is not stuck. Who is
    not let in, or asks for a database that is not there, learns that at once."""
    own_server.run("CREATE DATABASE crew")
    own_server.run("CREATE ROLE guest LOGIN PASSWORD 'hest'")
    os.kill(own_server.pid, signal.SIGKILL)
    rules = "local all postgres trust\nlocal all all scram-sha-256\n"
    (own_server.folder / "data" / "pg_hba.conf").write_text(rules)
    with (
        closing(Crew(journey.scene.folder, own_server.url("crew"), _MAILBOX)) as crew,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
    ):
        node = crew.node("a")
        manager.bind(str(node.folder / "notify"))
        node.environment["NOTIFY_SOCKET"] = str(node.folder / "notify")
        for _ in range(2):
            node.log.write_text("")
            node.start(ready=False)
            assert wait_for(lambda: "the start waits for the database" in node.log.read_text())
            assert node.run("status").returncode == 4
            assert node.code() is None
            node.signal(signal.SIGTERM, all_of_it=False)
            assert wait_for(lambda: node.code() is not None, 10)
            assert node.code() == 0
        node.start(ready=False)
        time.sleep(2)
        start_again(own_server)
        assert wait_for(lambda: STARTED in node.log.read_bytes()), node.tail()
        publish(journey, 2)
        assert wait_for(lambda: all_delivered(crew, 2))
        assert_each_once(journey, 2)
        assert "Traceback" not in node.log.read_text()
        heard = list(all_heard(manager))
        assert any("EXTEND_TIMEOUT_USEC" in each and "waiting for" in each for each in heard)
        for name, old, new in (
            ("b", "/crew?", "/nowhere?"),
            ("c", "//postgres@", "//guest@"),
            ("d", "//postgres@", "//nobody@"),
        ):
            other = crew.node(name)
            text = other.configuration.read_text()
            assert old in text
            other.configuration.write_text(text.replace(old, new))
            refused = other.run("run")
            assert refused.returncode == 4
            assert "cannot be used now" in refused.stderr


def all_heard(manager: socket.socket) -> Iterator[str]:
    """What a service has told systemd."""
    manager.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            yield manager.recv(4096).decode()


def start_again(server: PostgresqlServer) -> None:
    """Start a server that was killed, when its last process has let go."""
    assert wait_for(lambda: not _fails(server), 20)


def _fails(server: PostgresqlServer) -> bool:
    try:
        server.start()
    except (NoPostgresqlError, OSError, ValueError):
        return True
    return False


_NO_ROOM = """
CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$;
"""
"""What a trigger does for a server whose disk is full."""


def test_a_full_server_is_waited_for(journey: Journey, crew: Crew) -> None:
    """The server has no room, for turns or for letters or for the journal, while letters come: no
    node ends, nothing is lost, and what waited is done once there is room."""
    for name in "ab":
        crew.node(name).start()
    crew.do(_NO_ROOM)
    tables = ("polls", "messages", "journal", "nodes")
    for published, table in enumerate(tables, 1):
        on = f"BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION no_room()"
        crew.do(f"CREATE TRIGGER no_room {on}")
        publish(journey, 1)
        time.sleep(4)
        crew.do(f"DROP TRIGGER no_room ON {table}")
        assert wait_for(partial(all_delivered, crew, published)), table
        assert [each.code() for each in crew.nodes.values()] == [None, None], table
    assert_each_once(journey, len(tables))
    assert not any("Traceback" in each.log.read_text() for each in crew.nodes.values())
