"""Dispatch: what a connector says and no store can keep, and content that is gone, concern one
delivery."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest

from daemon.core.errors import TemporaryFailure
from daemon.core.model import Outcome
from daemon.core.parcels import Receipt
from daemon.core.ports import Parcel
from tests.unit.conftest import NOW, sha256, stored_letter
from tests.unit.desk import Desk, new_desk  # noqa: F401  # a fixture
from tests.unit.memory import MemoryDestination


@dataclass
class Careless(MemoryDestination):
    """A destination that says what no store can keep."""

    say: Callable[[], Receipt] = lambda: Receipt(reference="x", details={})

    def deliver(self, parcel: Parcel) -> Receipt:
        """Keep the parcel."""
        super().deliver(parcel)
        return self.say()


@pytest.mark.parametrize(
    "details",
    [{"path": Path("/srv")}, {"when": NOW}, {"set": {1}}, {1: {2: object()}}],
    ids=["path", "time", "set", "object"],
)
def test_a_receipt_that_cannot_be_kept_as_it_is(desk: Desk, details: dict[Any, Any]) -> None:
    """What a connector must not put into a receipt does not undo the delivery, which was made, and
    is kept as text."""
    desk.places["erp"] = Careless("erp", say=lambda: Receipt(reference="x", details=details))
    desk.store.letters.add([stored_letter("a")])
    assert desk.deliver() == {Outcome.DELIVERED: 1}
    assert (desk.now_is().evidence or {})["reference"] == "x"


@pytest.mark.parametrize("what", ["is away", "may not be read; give the right to"])
def test_a_reason_that_cannot_be_kept_concerns_one_delivery(desk: Desk, what: str) -> None:
    """An error whose text is not valid text, as a file name of the system can be, is recorded all
    the same, whether it passes or says that something is set up wrongly."""
    desk.erp.fails = iter([TemporaryFailure(f"the folder \udcff {what}")])
    desk.store.letters.add([stored_letter("a"), stored_letter("b", ("mail",))])
    assert desk.deliver() == {Outcome.DEFERRED: 1, Outcome.DELIVERED: 1}


def test_content_that_is_missing_concerns_one_letter(desk: Desk, tmp_path: Path) -> None:
    """A file that somebody removed from the content store keeps its letter waiting, and lets the
    service deliver the others."""
    desk.store.letters.add([stored_letter("a"), stored_letter("b", ("mail",))])
    lost = tmp_path / "content" / sha256(b"pdf")[:2] / sha256(b"pdf")
    lost.rename(tmp_path / "aside")
    desk.store.letters.add([replace(stored_letter("c", ("mail",)), attachments=[])])
    assert desk.deliver() == {Outcome.DEFERRED: 2, Outcome.DELIVERED: 1}


def test_progress_that_cannot_be_kept_as_it_is(desk: Desk) -> None:
    """Progress that is not JSON is kept as text, and the delivery is deferred like any other."""
    desk.erp.fails = iter([TemporaryFailure("half of it", progress={"when": NOW})])
    desk.store.letters.add([stored_letter("a")])
    assert desk.deliver() == {Outcome.DEFERRED: 1}
    assert desk.now_is().progress == {"when": str(NOW)}


def test_a_time_that_no_calendar_has(desk: Desk) -> None:
    """A destination that asks to wait for ever does not take the service down."""
    desk.erp.fails = repeat(TemporaryFailure("busy", retry_after=timedelta(days=999_999_999)))
    desk.store.letters.add([stored_letter("a")])
    assert desk.deliver() == {Outcome.DEFERRED: 1}
    assert desk.now_is().due_at < datetime.max.replace(tzinfo=NOW.tzinfo)
