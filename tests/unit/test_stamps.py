"""Times of a wrong clock are put right wherever something waits for them."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from sqlmodel import SQLModel, select

from daemon.core.canaries import Canary, CanaryStep
from daemon.store import Store, stamps
from tests.unit.conftest import NOW

pytestmark = pytest.mark.both_databases


def test_every_mail_that_waits_is_put_right(store: Store) -> None:
    """Each table of what is tried again is among those whose times are corrected."""
    assert store
    waiting = {name for name, table in SQLModel.metadata.tables.items() if "try_at" in table.c}
    assert waiting == {table.name for table in (*stamps._MAILS, stamps._CANARIES)}


@pytest.mark.parametrize("ahead", [timedelta(days=400), timedelta(days=-400)])
def test_a_canary_of_a_wrong_clock_has_its_time(store: Store, ahead: timedelta) -> None:
    """What was sent while the clock was wrong is tried at once, and given up no sooner and no later
    than otherwise."""
    then = NOW + ahead
    with store._database.write() as session:
        session.add(
            Canary(
                id=UUID(int=1),
                destination="erp",
                begun_at=then,
                by="service",
                step=CanaryStep.DELIVERY,
                try_at=then + timedelta(minutes=1),
                give_up_at=then + timedelta(hours=4),
            )
        )
    store.stamps.put_right(then, then + timedelta(hours=1), NOW, certain=True)
    with store._database.read() as session:
        (found,) = session.exec(select(Canary)).all()
    assert (found.begun_at, found.try_at) == (NOW, NOW)
    assert found.give_up_at == NOW + timedelta(hours=4)
