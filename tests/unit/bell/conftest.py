"""A store, an Altinn 3 mailbox and the simulated Altinn, and rounds by the bell between them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from connectors.altinn3.settings import Settings
from connectors.mailboxes.altinn3 import Altinn3
from connectors.net.http_client import HttpClient
from connectors.sandbox.altinn3.access import ReadyClient
from connectors.sandbox.altinn3.server import FakeAltinn
from connectors.sandbox.letters import PretendLetter
from daemon.core.bookkeeping import BellRecord
from daemon.core.model import SightingState
from daemon.intake.bell_rounds import BellRounds, RoundParts, RoundSummary
from daemon.intake.mailboxes import PolledMailbox
from daemon.intake.new_letter import MarkPolicies
from daemon.intake.reconcile import Reconciliation
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from tests.connectors.altinn3_post import ADMINISTRATION, CONFIDENTIAL, OTHER, PARTY, QUICK, TAX
from tests.unit.conftest import TABLE, Clock, new_intake

EVERY, POLL = timedelta(seconds=75), timedelta(minutes=5)


@dataclass
class BellWorld:
    """One mailbox in rounds by the bell, on the sandbox's clock."""

    altinn: FakeAltinn
    client: ReadyClient
    store: Store
    content: ContentFolder
    folder: Path
    mailboxes: list[Altinn3] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)
    options: dict[str, Any] = field(default_factory=dict)

    def start(self, **options: Any) -> BellRounds:
        """Start the service, or start it again: what is in memory is gone."""
        self.options |= options
        (self.folder / "key.pem").write_text(self.client.private_key)
        told = {
            "maskinporten_url": self.altinn.maskinporten_url,
            "platform_url": self.altinn.platform_url,
            "client_id": self.client.client_id,
            "key_file": "key.pem",
            "key_id": self.client.key_id,
            "parties": [PARTY, OTHER],
            "services": ["4255/8", "4255/10"],
            "resources": {"4255/10": [ADMINISTRATION], "4255/8": [TAX], "5504/1": [CONFIDENTIAL]},
        }
        settings = Settings.model_validate(told | self.options, context={"base": self.folder})
        clock = self.altinn.clock.now
        http = HttpClient(longest_pause=0.01, timeouts=QUICK)
        mailbox = Altinn3("altinn", settings, http, clock)
        self.mailboxes.append(mailbox)
        box = PolledMailbox(
            mailbox=mailbox,
            receiver=mailbox,
            policies=MarkPolicies(),
            poll_every=POLL,
            bell=mailbox,
        )
        intake = new_intake(self.store, self.content, cast("Clock", clock), lambda: TABLE, 8)
        reconciliation = Reconciliation(store=self.store, intake=intake)
        return BellRounds(
            RoundParts(
                intake=intake, reconciliation=reconciliation, box=box, bell=mailbox, every=EVERY
            )
        )

    def rounds(self, rounds: BellRounds, count: int = 1) -> RoundSummary:
        """Do rounds, each an interval after the one before; returns what the last one did."""
        for _ in range(count):
            self.altinn.clock.advance(EVERY)
            summary = rounds.run(self.stopping)
        return summary

    def publish(self, party: str = PARTY, **letter: Any) -> str:
        """Send a letter, and return its id."""
        return self.altinn.publish(PretendLetter(party=party, **letter))

    def kept(self) -> list[str]:
        """Return the ids of the letters that are stored."""
        channels = self.mailboxes[-1].channels()
        return sorted(
            each for channel in channels for each in self.store.letters.stored_in("altinn", channel)
        )

    def failing(self) -> list[str]:
        """Return the ids of letters that could not be fetched."""
        states = (SightingState.FAILING, SightingState.GONE)
        return [
            each.external_id for state in states for each in self.store.queries.sightings(state)
        ]

    @property
    def record(self) -> BellRecord:
        """What is recorded of the bell."""
        return self.store.bells.of("altinn")


@pytest.fixture
def world(store: Store, content: ContentFolder, tmp_path: Path) -> Iterator[BellWorld]:
    """A mailbox with two organisations that has not been read yet."""
    with FakeAltinn() as altinn:
        client = altinn.ready_client()
        for party in (PARTY, OTHER):
            altinn.allow(client.client_id, party, [ADMINISTRATION, TAX, CONFIDENTIAL])
        made = BellWorld(altinn, client, store, content, tmp_path)
        yield made
        for mailbox in made.mailboxes:
            mailbox.close()
        assert not altinn.dialogs.seen_log()
        assert altinn.count("purge", "content", "dialog", "markasread", "confirm") == 0
