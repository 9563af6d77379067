"""Whatever happens to dialogs, and however the bell lies: every letter is stored once, none is
seen."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from connectors.mailboxes.altinn3 import Altinn3
from connectors.sandbox.altinn3 import faults
from connectors.sandbox.letters import Status
from daemon.core.bell import BellAnswer
from daemon.intake.bell_rounds import BellRounds
from tests.connectors.altinn3_post import ADMINISTRATION, OTHER, PARTY, TAX
from tests.unit.bell.conftest import BellWorld

DAYS = 3


class Office:
    """Sends letters in every awkward way, and knows which of them can be had."""

    def __init__(self, world: BellWorld, seed: int) -> None:
        self.world, self.chance = world, random.Random(seed)
        self.sent: list[str] = []
        self.unpublished: list[str] = []

    def act(self) -> None:
        """Do something, or nothing."""
        ways: list[Callable[[], None]] = [
            self._ordinary,
            self._dated_back,
            self._migrated,
            self._silent,
            self._planned,
            self._late,
            self._complete,
            self._touch,
            self._restore,
            lambda: None,
        ]
        self.chance.choice(ways)()

    def _place(self) -> dict[str, str]:
        party, resource = (
            self.chance.choice((PARTY, OTHER)),
            self.chance.choice((ADMINISTRATION, TAX)),
        )
        return {"party": party, "resource": resource}

    def _ordinary(self) -> None:
        for _ in range(self.chance.choice((1, 1, 2, 6))):
            self.sent.append(self.world.publish(**self._place()))

    def _dated_back(self) -> None:
        at = self.world.altinn.clock.now() - timedelta(days=self.chance.choice((1, 6, 20)))
        self.sent.append(self.world.publish(**self._place(), requested_at=at))

    def _migrated(self) -> None:
        at = self.world.altinn.clock.now() - timedelta(minutes=self.chance.choice((5, 600)))
        number = 1000 + len(self.sent)
        self.sent.append(self.world.publish(**self._place(), requested_at=at, altinn2_id=number))

    def _silent(self) -> None:
        """A letter whose dialog never shows."""
        self.sent.append(self.world.publish(**self._place(), external_references=()))

    def _planned(self) -> None:
        now, later = self.world.altinn.clock.now(), timedelta(minutes=self.chance.choice((3, 90)))
        times: dict[str, Any] = {"created_at": now, "requested_at": now + later}
        letter = self.world.publish(**self._place(), **times, status=Status.Initialized)
        self.unpublished.append(letter)

    def _late(self) -> None:
        letter = self.world.publish(**self._place(), status=Status.Initialized)
        self.unpublished.append(letter)

    def _complete(self) -> None:
        if self.unpublished:
            letter = self.unpublished.pop(self.chance.randrange(len(self.unpublished)))
            self.world.altinn.complete(letter)
            self.sent.append(letter)

    def _touch(self) -> None:
        self._with_a_mirror(self.world.altinn.dialogs.touch)

    def _restore(self) -> None:
        self._with_a_mirror(self._delete_and_restore)

    def _delete_and_restore(self, dialog: str) -> None:
        self.world.altinn.dialogs.delete(dialog)
        self.world.altinn.dialogs.restore(dialog)

    def _with_a_mirror(self, act: Callable[[str], None]) -> None:
        letter = self.chance.choice(self.sent) if self.sent else ""
        if found := self.world.altinn.dialogs.mirror_of(letter):
            act(found.id)

    def finish(self) -> None:
        """Publish what is not published yet."""
        while self.unpublished:
            self._complete()


def bad_times(world: BellWorld, office: Office, rounds: BellRounds, count: int) -> BellRounds:
    """Let letters come, searches fail, rights come and go, and the service start again."""
    chance = office.chance
    for _ in range(count):
        office.act()
        if chance.random() < 0.1:
            rounds = world.start()
        if chance.random() < 0.05:
            world.altinn.revoke(world.client.client_id, OTHER, [TAX])
        if chance.random() < 0.2:
            world.altinn.allow(world.client.client_id, OTHER, [TAX])
        if chance.random() < 0.05:
            world.altinn.clock.advance(timedelta(hours=chance.randint(1, 8)))
        world.rounds(rounds)
    return rounds


def all_is_here(world: BellWorld, office: Office, rounds: BellRounds) -> None:
    """Check that in peace, and within a day, every letter is here."""
    world.altinn.faults.clear()
    world.altinn.allow(world.client.client_id, OTHER, [TAX])
    office.finish()
    world.rounds(rounds, 3)
    for _ in range(DAYS):
        world.altinn.clock.advance(timedelta(hours=25))
        world.rounds(rounds, 4)
    kept = world.kept()
    assert sorted(set(office.sent) - set(kept)) == []
    assert len(kept) == len(set(kept)) == len(office.sent)


@pytest.mark.parametrize("seed", range(4))
def test_every_letter_is_stored_once(world: BellWorld, seed: int) -> None:
    """In a storm in which every tenth call fails, with rights that come and go and starts in
    between, every letter is stored once, and no dialog is seen."""
    office, rounds = Office(world, seed), world.start()
    world.rounds(rounds, 4)
    ways = (faults.status(503), faults.status(500), faults.reset(), faults.lost_answer())
    world.altinn.faults.storm(0.1, ways, "dialogsearch", "dialoglookup", "list", "overview")
    rounds = bad_times(world, office, rounds, 60)
    all_is_here(world, office, rounds)


class Liar:
    """A bell that lies: says nothing, what is stale, everything twice, or fails."""

    def __init__(self, mailbox: Altinn3, chance: random.Random) -> None:
        self._mailbox, self._chance = mailbox, chance
        self._stale: list[BellAnswer] = []

    def ring(self, since: Mapping[str, datetime]) -> Iterator[BellAnswer]:
        """Ask, and tell something else."""
        for answer in self._mailbox.ring(since):
            lie = self._chance.choice(("true", "empty", "stale", "twice", "cut", "future"))
            if lie == "empty":
                yield replace(answer, rings=())
            elif lie == "stale" and self._stale:
                yield replace(self._chance.choice(self._stale), asked_at=answer.asked_at)
            elif lie == "twice":
                yield answer
                yield replace(answer, rings=(*answer.rings, *answer.rings))
            elif lie == "cut":
                yield replace(answer, rings=answer.rings[:1], problem="there may be more")
            elif lie == "future":
                yield replace(answer, asked_at=answer.asked_at + timedelta(days=400))
            else:
                yield answer
            self._stale.append(answer)

    def __getattr__(self, name: str) -> object:
        return getattr(self._mailbox, name)


@pytest.mark.parametrize("seed", range(3))
def test_a_bell_that_lies_loses_nothing(world: BellWorld, seed: int) -> None:
    """Empty, stale, repeated and incomplete answers cost time, and no letter."""
    office, rounds = Office(world, 100 + seed), world.start()
    liar = Liar(world.mailboxes[-1], office.chance)
    rounds._parts = replace(rounds._parts, bell=liar)  # type: ignore[arg-type]
    world.rounds(rounds, 4)
    for _ in range(50):
        office.act()
        world.rounds(rounds)
    all_is_here(world, office, rounds)
