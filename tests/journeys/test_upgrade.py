"""Upgrades of a store that several nodes work with: one node at a time."""

from __future__ import annotations

import json
import signal
from collections import Counter
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest

from benchmarks.other_side import letters_of
from connectors.sandbox.altinn3.server import FakeAltinn
from daemon.runtime.process import own_version
from daemon.store.migrations import HEAD
from tests.journeys.test_shared_polls import _PARTIES, altinn, crew  # noqa: F401  # fixtures
from tests.processes.node_crew import Crew, wait_for
from tests.processes.other_versions import NoHistoryError, version_ahead, version_before

_CONTRACTS = 'expands = False\n\n\ndef upgrade():\n    op.drop_table("host_pauses")\n'


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """The version before."""
    try:
        return version_before(tmp_path / "before")
    except NoHistoryError as error:
        pytest.skip(f"the version before cannot be run beside this one: {error}")


def publish(altinn: FakeAltinn, rounds: int) -> int:  # noqa: F811  # that fixture's value
    """Publish letters to each organisation; return how many."""
    for _ in range(rounds):
        for party in _PARTIES:
            for letter in letters_of([b"%PDF"], party, datetime.now(UTC)):
                altinn.publish(letter)
    return rounds * len(_PARTIES)


def all_delivered(crew: Crew, letters: int) -> bool:  # noqa: F811
    """Whether each letter is delivered."""
    return crew.states_of_deliveries() == {"delivered": letters}


def dropped(crew: Crew) -> Counter[str]:  # noqa: F811
    """How often each letter lies in the drop."""
    files = (crew.scene / "drop").glob("*/message.json")
    return Counter(json.loads(each.read_text())["id"] for each in files)


def test_two_versions_side_by_side(
    altinn: FakeAltinn,  # noqa: F811
    crew: Crew,  # noqa: F811
    before: Path,
) -> None:
    """A node of the version before goes on polling and delivering when one of this version has
    upgraded the tables; each letter is dropped once, both are alive, and when the older one is
    stopped the other has all. Commands of the older one are refused from the upgrade on, and are
    told why."""
    old = crew.node("a", before)
    old.start()
    ((number,),) = crew.ask("SELECT version_num FROM alembic_version")
    assert number < HEAD, "move BEFORE on: its tables must be older"
    letters = publish(altinn, 1)
    assert wait_for(lambda: all_delivered(crew, letters))

    new = crew.node("b")
    new.start()
    assert crew.ask("SELECT version_num FROM alembic_version") == [(HEAD,)]
    assert wait_for(lambda: min(each["parties"] for each in crew.states("b")) > 0, 30)
    begun = [node.log.stat().st_size for node in (old, new)]
    for _ in range(3):
        letters += publish(altinn, 1)
        assert wait_for(partial(all_delivered, crew, letters))
    found = [(each["name"], each["version"], each["alive"]) for each in crew.states("b")]
    assert found == [("a", "0.0.1", True), ("b", own_version(), True)]
    for node, begin in zip((old, new), begun, strict=True):
        assert b"delivered" in node.log.read_bytes()[begin:], f"{node.name} delivered nothing"

    old.signal(signal.SIGTERM, all_of_it=False)
    assert old.process
    assert old.process.wait(30) == 0
    letters += publish(altinn, 2)
    assert wait_for(lambda: all_delivered(crew, letters))
    assert wait_for(lambda: [each["parties"] for each in crew.states("b")] == [0, len(_PARTIES)])
    assert sorted(dropped(crew).values()) == [1] * letters
    assert new.run("journal", "verify").returncode == 0
    for node in (old, new):
        assert "Traceback" not in node.log.read_text()
    for command in ("run", "status"):
        refused = old.run(command)
        assert refused.returncode == 4
        assert "was made by a later version of Postmottak" in refused.stderr


def test_what_takes_away_waits(
    altinn: FakeAltinn,  # noqa: F811
    crew: Crew,  # noqa: F811
    tmp_path: Path,
) -> None:
    """An upgrade that takes something away is refused, by `db upgrade` and at a start, while a node
    of an earlier version is alive, which it names; that one goes on. Once it is stopped, the
    upgrade is made, and the earlier version is told which one has made the tables."""
    ahead = version_ahead(tmp_path / "ahead", _CONTRACTS)
    node, later = crew.node("a"), crew.node("b", ahead)
    node.start()
    for command in (("db", "upgrade"), ("run",)):
        refused = later.run(*command)
        assert refused.returncode == 4
        assert "stop them: a on " in refused.stderr
    assert "postmottak db upgrade" in later.run("status").stderr
    letters = publish(altinn, 1)
    assert wait_for(lambda: all_delivered(crew, letters))
    node.signal(signal.SIGTERM, all_of_it=False)
    assert node.process
    assert node.process.wait(30) == 0
    done = later.run("db", "upgrade")
    assert (done.returncode, done.stdout) == (
        0,
        f"The tables were upgraded: from {HEAD} to 9999.\n",
    )
    again = later.run("db", "upgrade", "--json")
    assert json.loads(again.stdout) == {"before": "9999", "after": "9999", "service_user": ""}
    assert "nothing to do" in later.run("db", "upgrade").stdout
    refused = node.run("run")
    assert "was made by a later version of Postmottak, 99.0.0 " in refused.stderr


def test_the_owner_upgrades(crew: Crew) -> None:  # noqa: F811
    """A service whose user may not make tables names the command that another user is to run; after
    that, it works."""
    service = f"service_{uuid4().hex}"
    crew.ask(f"CREATE ROLE {service} LOGIN")
    crew.ask("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    node = crew.node("a")
    text = node.configuration.read_text()
    node.configuration.write_text(text.replace("//postgres@", f"//{service}@"))
    refused = node.run("run")
    assert refused.returncode == 4
    assert "its user may not make them; run `postmottak db upgrade --user NAME`" in refused.stderr
    password = node.folder / "owner.password"
    arguments = ("db", "upgrade", "--user", "postgres", "--password-file", str(password))
    failed = node.run(*arguments)
    assert failed.returncode == 1
    assert f"--password-file cannot be read: {password}" in failed.stderr
    password.write_text("unused")
    done = node.run(*arguments)
    assert done.returncode == 0, done.stderr
    assert f"from none to {HEAD}.\n{service} may read and write" in done.stdout
    node.start()
    assert "alive" in node.run("nodes").stdout
    node.signal(signal.SIGTERM, all_of_it=False)
    assert node.process
    assert node.process.wait(30) == 0
    crew.ask(f"DROP OWNED BY {service}")
    crew.ask(f"DROP ROLE {service}")
