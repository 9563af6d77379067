"""A mailbox of Dialogporten in rounds: each letter of each dialog is stored once, none is seen."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import cast

import pytest

from connectors.mailboxes.dialogporten import DialogMailbox
from connectors.sandbox.altinn3 import faults
from connectors.sandbox.dialogs import PretendTransmission
from connectors.sandbox.letters import PretendLetter
from daemon.intake.bell_rounds import BellRounds, RoundParts
from daemon.intake.mailboxes import PolledMailbox
from daemon.intake.new_letter import MarkPolicies
from daemon.intake.reconcile import Reconciliation
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from tests.connectors.dialog_post import (
    NAV,
    OTHER,
    PARTY,
    DialogPost,
    new_post,  # noqa: F401  # a fixture
)
from tests.unit.bell.conftest import EVERY, POLL
from tests.unit.conftest import TABLE, Clock, new_intake


class Rounds:
    """Rounds of one mailbox, which may be started again."""

    def __init__(self, post: DialogPost, store: Store, content: ContentFolder) -> None:
        self.post, self.store, self.content = post, store, content
        self.stopping = threading.Event()
        self.rounds: BellRounds = self.start(post.mailbox)

    def start(self, mailbox: DialogMailbox) -> BellRounds:
        clock = cast("Clock", self.post.altinn.clock.now)
        box = PolledMailbox(
            mailbox=mailbox,
            receiver=mailbox,
            policies=MarkPolicies(),
            poll_every=POLL,
            bell=mailbox,
        )
        intake = new_intake(self.store, self.content, clock, lambda: TABLE, 8)
        reconciliation = Reconciliation(store=self.store, intake=intake)
        self.rounds = BellRounds(
            RoundParts(
                intake=intake, reconciliation=reconciliation, box=box, bell=mailbox, every=EVERY
            )
        )
        return self.rounds

    def run(self, count: int = 1) -> None:
        for _ in range(count):
            self.post.altinn.clock.advance(EVERY)
            self.rounds.run(self.stopping)

    def kept(self) -> list[str]:
        channels = self.post.mailbox.channels()
        return sorted(
            each
            for channel in channels
            for each in self.store.letters.stored_in("dialoger", channel)
        )


@pytest.fixture
def rounds(post: DialogPost, store: Store, content: ContentFolder) -> Iterator[Rounds]:
    yield Rounds(post, store, content)
    assert not post.altinn.dialogs.seen_log()
    assert post.altinn.count("dialog") == 0


def test_a_new_letter_in_an_old_dialog_arrives(rounds: Rounds) -> None:
    """It rings, its channel is listed, and it is stored; the next round asks nothing more."""
    dialog = rounds.post.add(PretendTransmission())
    rounds.run(3)
    assert len(rounds.kept()) == 2
    new = rounds.post.altinn.dialogs.add_transmission(dialog, PretendTransmission())
    rounds.run()
    assert f"{dialog}/{new}" in rounds.kept()
    rounds.post.altinn.forget_calls()
    rounds.run()
    assert rounds.post.altinn.count() == rounds.post.altinn.count("dialogsearch") == 2


def test_a_file_is_stored_with_its_letter(rounds: Rounds) -> None:
    """Its bytes are kept, and a file that cannot be had keeps no letter back."""
    good, bad = rounds.post.file(content=b"vedtak"), rounds.post.file("/2.pdf", status=403)
    rounds.post.add(PretendTransmission(files=(good, bad)))
    rounds.run(2)
    assert len(rounds.kept()) == 2
    assert len(rounds.store.queries.incomplete()) == 1


@pytest.mark.parametrize("seed", range(3))
def test_every_letter_of_every_dialog_is_stored_once(rounds: Rounds, seed: int) -> None:
    """Dialogs with many letters, dated back, silently changed, restored, not visible yet, withheld
    later, mirrors and forms, in a storm in which every tenth call fails, with starts in between."""
    post, chance = rounds.post, random.Random(seed)
    dialogs, wanted = post.altinn.dialogs, set[str]()
    ways = (faults.status(503), faults.status(500), faults.reset(), faults.status(404))
    post.altinn.faults.storm(0.1, ways, "dialogsearch", "transmissions", "dialoglookup")
    for _ in range(50):
        party, now = chance.choice((PARTY, OTHER)), post.altinn.clock.now()
        sent = [PretendTransmission() for _ in range(chance.choice((0, 1, 12)))]
        times = chance.choice(
            (
                {},
                {"created_at": now - timedelta(days=chance.choice((1, 20)))},
                {"visible_from": now + timedelta(minutes=chance.choice((2, 50)))},
            )
        )
        new = dialogs.record(post.add(*sent, party=party, **times))
        assert new
        wanted |= {new.id, *(f"{new.id}/{each.id}" for each in new.transmissions)}
        post.altinn.publish(PretendLetter(party=party))
        post.add(party=party, resource="app_x", resource_type="altinnapp")
        old = chance.choice(sorted(wanted)).partition("/")[0]
        if chance.random() < 0.5:
            silent = chance.random() < 0.5
            added = dialogs.add_transmission(old, PretendTransmission(), silent=silent)
            wanted.add(f"{old}/{added}")
        if chance.random() < 0.1:
            rounds.start(post.open())
        if chance.random() < 0.1:
            post.altinn.revoke(post.client.client_id, OTHER, [NAV])
        if chance.random() < 0.3:
            post.altinn.allow(post.client.client_id, OTHER, [NAV])
        rounds.run()
    post.altinn.faults.clear()
    post.altinn.allow(post.client.client_id, OTHER, [NAV])
    for _ in range(2):
        post.altinn.clock.advance(timedelta(hours=25))
        rounds.run(4)
    assert rounds.kept() == sorted(wanted)
