"""A mailbox in memory with one channel, and rounds of intake with it."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from daemon.intake.new_letter import MarkPolicies
from daemon.intake.poll import IntakeSummary
from daemon.routing.table import Table
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from tests.unit.conftest import TABLE, Clock, new_intake
from tests.unit.memory import MemoryMailbox
from tests.unit.memory_batch import BatchMailbox

Poll = Callable[..., IntakeSummary]
NO_MARKS = MarkPolicies()


@pytest.fixture(name="mailbox", params=[MemoryMailbox, BatchMailbox])
def new_mailbox(request: pytest.FixtureRequest) -> MemoryMailbox:
    """A mailbox with one channel; letters are fetched one by one, or together."""
    made: MemoryMailbox = request.param()
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

    def once(
        policies: MarkPolicies = NO_MARKS,
        table: Table = TABLE,
        workers: int = 8,
        *,
        backlog: bool = False,
    ) -> IntakeSummary:
        intake = new_intake(store, content, clock, lambda: table, workers, backlog=backlog)
        return intake.poll(mailbox, policies, stopping)

    return once
