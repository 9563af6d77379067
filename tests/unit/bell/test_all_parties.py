"""`parties = "all"`: an agent system user reads for every client, and says who comes and goes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from connectors.mailboxes.altinn3 import Altinn3
from connectors.sandbox.altinn3 import faults
from daemon.core.bookkeeping import PARTIES
from daemon.intake.bell_rounds import BellRounds
from daemon.monitoring.service_problems import ServiceProblems
from daemon.service.party_watch import PartyWatch
from tests.connectors.altinn3_post import ADMINISTRATION, OTHER, PARTY
from tests.unit.bell.conftest import BellWorld

HOUSE, THIRD = "974760673", "971032081"
OPTIONS = {"parties": "all", "system_user": HOUSE, "confidential": "off"}


def client(world: BellWorld, party: str) -> None:
    world.altinn.allow_client(world.client.client_id, HOUSE, party, [ADMINISTRATION])


def start(world: BellWorld, **options: object) -> tuple[BellRounds, PartyWatch, ServiceProblems]:
    rounds = world.start(**OPTIONS, **options)
    problems = ServiceProblems()
    watch = PartyWatch([world.mailboxes[-1]], world.store, problems, world.altinn.clock.now)
    watch.recall("altinn")
    return rounds, watch, problems


def refresh(world: BellWorld, watch: PartyWatch, after: timedelta = timedelta(minutes=16)) -> None:
    """Let the interval pass, and ask."""
    world.altinn.clock.advance(after)
    watch._asked.clear()
    watch.refresh("altinn")


def read(world: BellWorld) -> set[str]:
    mailbox: Altinn3 = world.mailboxes[-1]
    return {each.party for each in mailbox.channels()}


def test_the_clients_are_found_and_read(world: BellWorld) -> None:
    """Letters of all clients arrive, with one token and one search for all of them."""
    for party in (PARTY, OTHER):
        client(world, party)
    rounds, watch, _ = start(world)
    watch.refresh("altinn")
    assert read(world) == {PARTY, OTHER}
    ids = [world.publish(party) for party in (PARTY, OTHER)]
    world.rounds(rounds, 4)
    assert world.kept() == sorted(ids)
    world.altinn.forget_calls()
    ids.append(world.publish(OTHER))
    world.rounds(rounds)
    assert world.kept() == sorted(ids)
    assert world.altinn.count("dialogsearch") == 1
    assert {each.name for each in world.store.mailbox_parties.of("altinn").values()} == {
        f"VIRKSOMHET {PARTY}",
        f"VIRKSOMHET {OTHER}",
    }


def test_a_client_comes_and_goes_and_comes_back(world: BellWorld) -> None:
    """It is said; letters that came while it was gone are here when it is back."""
    client(world, PARTY)
    client(world, OTHER)
    rounds, watch, problems = start(world)
    watch.refresh("altinn")
    world.rounds(rounds, 4)
    client(world, THIRD)
    with capture_logs() as logs:
        refresh(world, watch)
    assert (read(world), logs[0]["parties"]) == ({PARTY, OTHER, THIRD}, THIRD)
    world.rounds(rounds, 2)
    world.altinn.access.revoke_client(world.client.client_id, HOUSE, THIRD)
    refresh(world, watch)
    assert [each.kind for each in problems.all()] == [PARTIES]
    assert THIRD in read(world)  # for one more day
    world.rounds(rounds)
    refresh(world, watch, timedelta(hours=25))
    assert read(world) == {PARTY, OTHER}
    world.rounds(rounds)
    letter = world.publish(THIRD)
    world.altinn.clock.advance(timedelta(hours=3))
    client(world, THIRD)
    refresh(world, watch)
    assert problems.all() == ()
    world.rounds(rounds)
    assert world.kept() == [letter]


def test_a_bad_answer_costs_nothing(world: BellWorld) -> None:
    """An outage, or a list that is empty for once, leaves everyone read, also after a start."""
    client(world, PARTY)
    _, watch, _ = start(world)
    watch.refresh("altinn")
    world.altinn.faults.inject(faults.status(500), "dialogparties", times=None)
    _, watch, problems = start(world)
    refresh(world, watch)
    assert (read(world), problems.all()) == ({PARTY}, ())
    world.altinn.faults.clear()
    world.altinn.access.revoke_client(world.client.client_id, HOUSE, PARTY)
    refresh(world, watch)
    assert read(world) == {PARTY}


def test_a_list_that_is_not_answered_for_long(world: BellWorld) -> None:
    """Then new clients are not read, which is said until there is an answer; at once where nobody
    is known from before."""
    client(world, PARTY)
    _, watch, problems = start(world)
    world.altinn.faults.inject(faults.status(500), "dialogparties", times=None)
    watch.refresh("altinn")
    assert [each.kind for each in problems.all()] == [PARTIES]
    world.altinn.faults.clear()
    refresh(world, watch)
    assert problems.all() == ()
    world.altinn.faults.inject(faults.status(500), "dialogparties", times=None)
    refresh(world, watch)
    assert problems.all() == ()
    refresh(world, watch, timedelta(hours=7))
    (silence,) = problems.all()
    assert "has not answered since" in silence.text
    world.altinn.faults.clear()
    refresh(world, watch)
    assert problems.all() == ()


def test_only_what_may_be_read_of_the_tree_is_read(world: BellWorld) -> None:
    """Sub units are found below their main unit, which is left out if it may not be read itself;
    so is an organisation that is deleted."""
    fourth = "964965226"
    for party in (PARTY, OTHER, fourth):
        client(world, party)
    world.altinn.dialogporten.main_units = {OTHER: THIRD}
    world.altinn.dialogporten.deleted_parties = {fourth}
    _, watch, _ = start(world)
    watch.refresh("altinn")
    assert read(world) == {PARTY, OTHER}


def test_the_operator_corrects_the_list(world: BellWorld) -> None:
    """`exclude` is never read, `include` always."""
    client(world, PARTY)
    client(world, OTHER)
    _, watch, _ = start(world, include=[THIRD], exclude=[OTHER])
    watch.refresh("altinn")
    assert read(world) == {PARTY, THIRD}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"system_user": ""}, "without system_user"),
        ({"bell": "off"}, 'bell = "off"'),
        ({"parties": [PARTY], "exclude": [OTHER]}, "include or exclude"),
    ],
)
def test_what_makes_no_sense_together(
    world: BellWorld, options: dict[str, object], words: str
) -> None:
    """The configuration says what to change."""
    with pytest.raises(ValidationError, match=words):
        world.start(**OPTIONS | options)


def test_a_check_asks_for_whom_it_may_act(world: BellWorld) -> None:
    """It says for how many, and that a new delegation takes a quarter of an hour to show."""
    only = {"services": ["4255/10"], "resources": {"4255/10": [ADMINISTRATION]}}
    world.start(**OPTIONS, **only)
    world.altinn.access.allow(world.client.client_id, HOUSE, ())
    mailbox = world.mailboxes[-1]
    (nobody,) = [each for each in mailbox.check() if each.subject == "organisations"]
    assert (nobody.ok, "quarter of an hour" in nobody.text) == (False, True)
    client(world, PARTY)
    world.altinn.clock.advance(timedelta(minutes=16))
    findings = {each.subject: each for each in mailbox.check()}
    assert findings["organisations"].text == "the system user may act for 1"
    assert findings["bell"].ok
