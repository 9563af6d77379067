"""`status` of an accounting house: 3,000 organisations fit a screen, whatever is wrong."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import insert

from daemon.core.bookkeeping import Bookmark
from daemon.core.dpv import DPV_SERVICES
from daemon.core.errors import TemporaryFailure
from daemon.core.model import SightingState
from daemon.service import stack
from daemon.store import Store, results
from daemon.store.database import table_of
from tests.unit.conftest import PARTY, envelope, stored_letter
from tests.unit.service.conftest import Command

ORGANISATIONS = 3000
SCREEN = 40
"""Lines of a terminal of 100 columns."""
NOW = stack.utc_now()
NO_RIGHT = "the system user of {} may not read {}, or there is no such resource; have it granted"


Change = Callable[[SimpleNamespace, int], None]


def bookmarks(change: Change) -> Iterator[dict[str, Any]]:
    """The row of every service of every organisation, as `change` makes it."""
    usual = Bookmark(
        mailbox="altinn", party=PARTY, service="", resource="", begun=True, succeeded_at=NOW
    ).model_dump()  # once, for a model takes longer than its row
    for number in range(ORGANISATIONS):
        for service in DPV_SERVICES:
            each = SimpleNamespace(**usual)
            each.party = f"{900000000 + number}" if number else PARTY
            each.service = service.code
            each.resource = f"dpv-{service.code.replace('/', '-')}"
            change(each, number)
            yield vars(each)


def well(_: SimpleNamespace, __: int) -> None:
    """It is read."""


def refused(each: SimpleNamespace, number: int) -> None:
    """Every second organisation has taken the right away."""
    if number % 2:
        each.refused, each.failing_since, each.failed_at = True, NOW, NOW
        each.last_error = NO_RIGHT.format(each.party, each.resource)


def presumed(each: SimpleNamespace, number: int) -> None:
    """Most organisations do not have the resources that are presumed of each."""
    if number % 10:
        each.refused, each.begun, each.succeeded_at = True, False, None
        each.last_error = NO_RIGHT.format(each.party, each.resource)


def troubled(each: SimpleNamespace, number: int) -> None:
    """Every organisation has a trouble of its own, in words of its own."""
    each.failing_since = each.failed_at = NOW - timedelta(hours=number % 9)
    each.refused, each.begun = number % 3 == 0, number % 2 == 0
    each.last_error = (
        f"Altinn did not return the list of {each.resource} for {each.party} "
        f"({400 + number % 200}); it is tried again at the next poll"
    )
    each.succeeded_at = NOW if number % 2 else None


def letters(store: Store) -> None:
    """Letters that are not here, and deliveries that fail at two places."""
    for number in range(200):
        ref = envelope(f"stuck-{number}").ref
        store.letters.record_skipped(ref, SightingState.FAILING, NOW, f"broken off at {number}")
        ref = envelope(f"gone-{number}").ref
        store.letters.record_skipped(ref, SightingState.GONE, NOW, "it was removed")
    store.letters.add(
        [
            stored_letter(f"a-{number}", ("erp", "mail"), due_at=NOW - timedelta(minutes=6))
            for number in range(50)
        ]
    )
    for claim in store.outbox.claim("me", NOW, timedelta(minutes=1), 90):
        error = TemporaryFailure(f"the drop folder /srv/{claim.id} is read-only; mount it")
        store.outbox.end([results.deferred(claim, str(error), NOW, NOW, NOW)])


@pytest.mark.parametrize(
    ("change", "verdict"),
    [(well, "OK"), (presumed, "OK"), (refused, "CRITICAL"), (troubled, "CRITICAL")],
)
def test_status_fits_a_screen(
    command: Command,
    configuration_file: Path,
    change: Change,
    verdict: str,
) -> None:
    """With 30,000 channels, the answer is a screen, and a monitor's is one line."""
    command("poll")
    configuration = stack.load_configuration(configuration_file)
    store = stack.open_store(configuration)
    with store.letters._database.write() as session:
        session.connection().exec_driver_sql("DELETE FROM bookmarks")
        session.connection().execute(insert(table_of(Bookmark)), list(bookmarks(change)))
    if verdict != "OK":
        letters(store)
    store.close()
    shown = command("status")
    lines = [row for line in shown.out.splitlines() for row in textwrap.wrap(line, 100) or [""]]
    assert len(lines) <= SCREEN
    assert lines[0].startswith(f"{verdict}: ")
    assert "3000 organisations, 30000 channels" in shown.out
    assert command("status", "--monitor").out.count("\n") == 1
