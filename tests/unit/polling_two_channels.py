"""A mailbox in memory with two channels, rounds of intake with it, and what they leave."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from daemon.core.errors import MailboxUnavailable
from daemon.core.model import SightingState
from daemon.intake.new_letter import MarkPolicies
from daemon.intake.poll import IntakeSummary
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from tests.unit.conftest import TAX, Clock, new_intake, newest_messages
from tests.unit.memory import MemoryMailbox
from tests.unit.memory_batch import BatchMailbox

Poll = Callable[[], IntakeSummary]
AWAY = MailboxUnavailable("Altinn does not answer")
OTHER = replace(TAX, service="4255/1", resource="plan")


@pytest.fixture(name="mailbox", params=[MemoryMailbox, BatchMailbox])
def new_mailbox(request: pytest.FixtureRequest) -> MemoryMailbox:
    """A mailbox with two channels, whose listing does not look back; letters are fetched one by
    one, or together."""
    made: MemoryMailbox = request.param(boxes=[TAX, OTHER], look_back=timedelta())
    return made


@pytest.fixture(name="poll")
def new_poll(
    store: Store,
    content: ContentFolder,
    clock: Clock,
    mailbox: MemoryMailbox,
    stopping: threading.Event,
) -> Poll:
    """One round with the mailbox."""
    intake = new_intake(store, content, clock, workers=4)
    return lambda: intake.poll(mailbox, MarkPolicies(), stopping)


def kept(store: Store) -> set[str]:
    """The letters that are stored."""
    return {message.external_id for message, _ in newest_messages(store, 1000)}


def seen(store: Store, state: SightingState) -> dict[str, str | None]:
    """The letters in this state, and why."""
    return {each.external_id: each.last_error for each in store.queries.sightings(state)}


def position(store: Store, resource: str = "skatt") -> datetime | None:
    """How far a channel has been read."""
    return next(
        (each.position for each in store.queries.bookmarks() if each.resource == resource), None
    )
