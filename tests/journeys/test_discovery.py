"""The resources that carry the letters: found by themselves, kept, written down, and told about."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import UTC, datetime, timedelta

import pytest

from connectors.sandbox.altinn3 import faults
from connectors.sandbox.altinn3.discovery import PretendResource
from connectors.sandbox.letters import PretendLetter
from connectors.sandbox.samples import sandbox_resource
from tests.journeys.conftest import Journey

ADMINISTRATION = sandbox_resource("4255/10")
TAX = sandbox_resource("4255/8")


def _client(journey: Journey) -> str:
    found = tomllib.loads(journey.scene.configuration.read_text())["mailbox"]["altinn"]
    return str(found["client_id"])


def _publish(journey: Journey, resource: str) -> None:
    journey.altinn.publish(PretendLetter(party=journey.scene.party, resource=resource))


def _let_a_day_pass(journey: Journey) -> None:
    """The registry was last asked two days ago."""
    file = journey.scene.folder / "postmottak.resources.json"
    kept = json.loads(file.read_text())
    kept["altinn"]["read_at"] = (datetime.now(UTC) - timedelta(days=2)).isoformat()
    file.write_text(json.dumps(kept))


def test_letters_come_whatever_the_registry_does(journey: Journey) -> None:
    """The registry is asked once a day; one that is away, that knows a new resource, or that has
    left one out, costs no letter, and the changes are told by `status`."""
    assert "resources" not in journey.scene.configuration.read_text()
    _publish(journey, TAX)
    assert journey.poll().json["stored"] == 1
    assert journey.poll().code == 0
    assert journey.altinn.count("resourcelist") == 1
    _let_a_day_pass(journey)
    journey.altinn.faults.inject(faults.status(503), "resourcelist", times=None)
    _publish(journey, TAX)
    assert journey.poll().json["stored"] == 1
    journey.altinn.faults.clear()
    new = PretendResource(id="ny", title="Post fra det offentlige innenfor natur og miljø")
    journey.altinn.add_resource(new)
    journey.altinn.allow(_client(journey), journey.scene.party, ["ny"])
    for resource in (TAX, "ny"):
        _publish(journey, resource)
    journey.altinn.discovery.remove(TAX)
    assert journey.poll().json["stored"] == 2
    services = {
        json.loads((each / "message.json").read_text())["service"]["code"]
        for each in journey.whole_drops()
    }
    assert services == {"4255/8", "4255/6"}
    [trouble] = journey.run("status", "--json").json["troubles"]
    assert trouble["kind"] == "resources"
    assert "new, and read from now on: ny (4255/6)" in trouble["text"]
    assert f"still read, because they could be read before: {TAX} (4255/8)" in trouble["text"]
    assert journey.run("status", "--monitor").code == 1


def test_a_first_start_without_the_registry(journey: Journey) -> None:
    """What is known by name is read at once, and the rest as soon as the registry answers; guesses
    leave `status` then."""
    journey.altinn.faults.inject(faults.status(500), "resourcelist", times=None)
    _publish(journey, sandbox_resource("4255/10"))
    _publish(journey, TAX)
    assert journey.poll().json["stored"] == 1
    assert "asf-migratedcorrespondence-4255-8" in journey.run("status", "--all").output
    [trouble] = journey.run("status", "--json").json["troubles"]
    assert trouble["kind"] == "resources"
    assert "has not answered yet" in trouble["text"]
    check = journey.run("check")
    assert check.code == 0
    assert len(re.findall("(?m)^WARN resource registry: ", check.output)) == 1
    (warned,) = re.findall("(?m)^WARN services without a resource: .*$", check.output)
    assert "4255/1, 4255/2" in warned
    journey.altinn.faults.clear()
    assert journey.poll().json["stored"] == 1
    assert "asf-migratedcorrespondence" not in journey.run("status", "--all").output
    assert journey.run("status", "--json").json["troubles"] == []
    assert "WARN" not in journey.run("check").output


def test_discover_writes_the_table(journey: Journey) -> None:
    """It prints one block, which --write puts into the file with its comments; from then on the
    registry is not asked, and the same letters come."""
    configuration = journey.scene.configuration
    configuration.write_text("# our own comment\n" + configuration.read_text())
    configuration.chmod(0o640)
    before = configuration.read_text()
    for resource in ("nav-migratedcorrespondence-5062-1", TAX):
        _publish(journey, resource)
    journey.altinn.allow(
        _client(journey), journey.scene.party, ["nav-migratedcorrespondence-5062-1"]
    )
    printed = journey.run("discover").output
    assert "in use, but part of no service: nav-migratedcorrespondence-5062-1" in printed
    block = printed[printed.index("[mailbox.altinn.resources]") :]
    table = tomllib.loads(block)["mailbox"]["altinn"]["resources"]
    assert len(table) == 11
    assert table["4255/8"] == [TAX]
    assert configuration.read_text() == before
    assert journey.run("discover", "--write").code == 0
    written = configuration.read_text()
    assert tomllib.loads(written)["mailbox"]["altinn"]["resources"] == table
    assert "# our own comment" in written
    assert configuration.stat().st_mode & 0o777 == 0o640
    assert journey.run("discover", "--write").code == 0
    assert configuration.read_text() == written
    journey.altinn.forget_calls()
    assert journey.poll().json["stored"] == 1
    assert journey.altinn.count("resourcelist") == 0


def test_discover_writes_nothing_that_it_does_not_know(journey: Journey) -> None:
    """While nothing can be read, the configuration stays, and the command says where to look."""
    before = journey.scene.configuration.read_text()
    journey.altinn.faults.inject(faults.status(500), "list", times=None)
    ended = journey.run("discover", "--write")
    assert (ended.code, "Traceback" in ended.errors) == (4, False)
    assert "`postmottak check`" in ended.errors
    assert journey.scene.configuration.read_text() == before
    assert sorted(each.name for each in journey.scene.folder.glob(".*")) == []


@pytest.mark.parametrize("endpoint", ["list", "resourcelist", "serviceresources"])
def test_discover_writes_nothing_while_a_question_fails(journey: Journey, endpoint: str) -> None:
    """One question that fails for a moment could hide a resource, so the file stays as it is, and
    the exit code says that Altinn could not be reached; the next time it is written."""
    before = journey.scene.configuration.read_text()
    journey.altinn.faults.inject(faults.status(503), endpoint, times=3)  # one call, and its retries
    ended = journey.run("discover", "--write")
    assert (ended.code, "nothing is written" in ended.errors) == (4, True)
    assert journey.scene.configuration.read_text() == before
    journey.altinn.faults.clear()
    assert journey.run("discover", "--write").code == 0


def test_discover_keeps_what_was_not_refused(journey: Journey) -> None:
    """A resource that is read stays although the registry has left it out, and so does one that
    is known while only one of two organisations may not be asked for it; what was refused goes."""
    for resource in (TAX, sandbox_resource("4255/9")):
        _publish(journey, resource)
    assert journey.poll().json["stored"] == 2
    journey.altinn.discovery.remove(TAX)
    journey.altinn.revoke(_client(journey), journey.scene.party, [sandbox_resource("4255/7")])
    text = journey.scene.configuration.read_text()
    mine = f'"{journey.scene.party}"'
    journey.scene.configuration.write_text(text.replace(mine, f'{mine}, "974761076"'))
    journey.altinn.revoke(_client(journey), journey.scene.party, [ADMINISTRATION])
    ended = journey.run("discover", "--write")
    assert ended.code == 0, ended.errors
    written = tomllib.loads(journey.scene.configuration.read_text())["mailbox"]["altinn"]
    assert written["resources"]["4255/8"] == [TAX]
    assert ADMINISTRATION in written["resources"]["4255/10"]


def test_a_service_asks_at_its_start(journey: Journey) -> None:
    """The service reads what the registry has from its first poll on, and asks once only."""
    configuration = journey.scene.configuration
    configuration.write_text(
        configuration.read_text().replace("[mailbox.altinn]", '[mailbox.altinn]\npoll_every = "1s"')
    )
    _publish(journey, TAX)
    service = journey.start("run")
    try:
        assert journey.altinn.wait_for(lambda: len(journey.whole_drops()) == 1, timeout=60)
        assert journey.altinn.count("resourcelist") == 1
    finally:
        service.terminate()
        service.communicate(timeout=60)
    assert service.returncode == 0
