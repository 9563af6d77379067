"""The numbers that triggers keep are those of the rows, whatever happens to letters."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.core.bookkeeping import LetterPart
from daemon.core.model import DeliveryState
from daemon.core.parcels import Receipt
from daemon.maintenance.integrity import check_store
from daemon.store import Claim, Store, results
from daemon.store.content_folder import ContentFolder
from tests.unit.by_hand import by_hand, file_of
from tests.unit.conftest import NOW, DatabaseIn, newest_messages, stored_letter

pytestmark = pytest.mark.both_databases

_LEASE = timedelta(hours=1)
_ALL_PARTS = dict.fromkeys(LetterPart, "a rule")


def _claimed(store: Store) -> list[Claim]:
    return store.outbox.claim("me", NOW, _LEASE, 2)


def _deliver(store: Store) -> None:
    receipt = Receipt(reference="there", details={})
    store.outbox.end([results.delivered(each, receipt, NOW, NOW) for each in _claimed(store)])


def _bury(store: Store) -> None:
    store.outbox.end([results.dead(each, "never", NOW, NOW) for each in _claimed(store)])


def _some(store: Store, state: DeliveryState) -> list[UUID]:
    return [each.id for each in store.queries.deliveries(state=state)][:2]


def _delete(store: Store) -> None:
    letters = {each.id: _ALL_PARTS for each, _ in newest_messages(store, 1)}
    store.retention.delete(letters, "me", NOW)


_STEPS: dict[str, Callable[[Store], object]] = {
    "claim": _claimed,
    "deliver": _deliver,
    "bury": _bury,
    "abandon": lambda store: store.outbox.release_abandoned(NOW, stopped=True),
    "hold": lambda store: store.outbox.hold(_some(store, DeliveryState.PENDING)),
    "release": lambda store: store.outbox.release(_some(store, DeliveryState.HELD), NOW),
    "retry": lambda store: store.outbox.retry(_some(store, DeliveryState.DEAD), NOW),
    "resend": lambda store: store.outbox.resend(_some(store, DeliveryState.DELIVERED), NOW),
    "delete": _delete,
}


@settings(max_examples=15, deadline=None)
@given(steps=st.lists(st.sampled_from(sorted(_STEPS)), max_size=12))
def test_numbers_are_those_of_the_rows(database_in: DatabaseIn, steps: list[str]) -> None:
    """After any steps of deliveries and deletions, the kept numbers are what counting finds."""
    with (
        tempfile.TemporaryDirectory() as folder,
        database_in(Path(folder)) as url,
        closing(Store(url)) as store,
    ):
        store.letters.add([stored_letter(f"{number}", ("erp", "mail")) for number in range(3)])
        for step in steps:
            _STEPS[step](store)
        assert store.queries.wrong_counts() == []
        assert store.queries.counts().messages == len(newest_messages(store, 9))


def test_numbers_changed_by_hand_are_found(database_url: str, store: Store, tmp_path: Path) -> None:
    """The check of the store names a number that is not that of the rows, and only that."""
    store.letters.add([stored_letter("a", ("erp",))])
    content = ContentFolder(tmp_path / "files")
    assert check_store(file_of(database_url), store, content).wrong_counts == []
    by_hand(database_url, "UPDATE row_counts SET count = 7 WHERE what = 'messages'")
    found = check_store(file_of(database_url), store, content)
    assert (found.ok, found.wrong_counts) == (False, ["messages: 7 are recorded, 1 are there"])
