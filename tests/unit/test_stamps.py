"""Times of a wrong clock are put right wherever something waits for them."""

from __future__ import annotations

from sqlmodel import SQLModel

from daemon.store import Store, stamps


def test_every_mail_that_waits_is_put_right(store: Store) -> None:
    """Each table of mails to people is among those whose times are corrected."""
    assert store
    waiting = {name for name, table in SQLModel.metadata.tables.items() if "try_at" in table.c}
    assert waiting == {table.name for table in stamps._MAILS}
