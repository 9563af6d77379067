"""Walks in pieces: each row once, however many are equal, in either direction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from shutil import copy
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event
from sqlmodel import col, select

from daemon.core.model import Delivery
from daemon.store import Store
from daemon.store.pages import pieces, row_number
from tests.unit.conftest import NOW, stored_letter

pytestmark = pytest.mark.both_databases

_ORDER = (col(Delivery.due_at), row_number(Delivery))


def filled(store: Store, hours: Sequence[int]) -> None:
    """Store a letter with one delivery for each, due at that hour."""
    store.letters.add(
        [
            stored_letter(str(number), due_at=NOW + timedelta(hours=hour))
            for number, hour in enumerate(hours)
        ]
    )


def walked(store: Store, **options: object) -> list[list[int]]:
    """Return the hours of each piece's rows."""
    database = store._database
    return [
        sorted(
            round((due - NOW) / timedelta(hours=1))
            for due in database.rows(select(Delivery.due_at).where(piece))
        )
        for piece in pieces(database, _ORDER, **options)  # type: ignore[arg-type]
    ]


@settings(max_examples=30, deadline=None)
@given(
    hours=st.lists(st.integers(0, 4), max_size=30),
    size=st.integers(1, 5),
    newest_first=st.booleans(),
    since=st.integers(0, 4),
)
def test_each_row_is_in_one_piece(
    new_database: Path, hours: list[int], size: int, newest_first: bool, since: int
) -> None:
    """The pieces have every row from `since` on once, in order, and at most `size` rows."""
    with TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{copy(new_database, Path(folder, 'x.db'))}")
        filled(store, hours)
        found = walked(
            store, size=size, newest_first=newest_first, since=NOW + timedelta(hours=since)
        )
        store.close()
    wanted = sorted(hour for hour in hours if hour >= since)
    assert sorted(hour for piece in found for hour in piece) == wanted
    ends = [piece for piece in found if piece]
    assert all(
        (one[0] >= other[-1]) if newest_first else (one[-1] <= other[0])
        for one, other in pairwise(ends)
    )
    assert all(len(piece) <= size for piece in found)


@pytest.mark.about_sqlite("it counts the steps of its machine")
@pytest.mark.parametrize("newest_first", [False, True])
def test_equal_rows_are_not_read_again_for_each_piece(store: Store, newest_first: bool) -> None:
    """A walk over many rows of one moment, as after a retry of thousands, takes steps in
    proportion to their number."""
    filled(store, [0] * 400 + [1] * 400)

    def steps(size: int) -> int:
        taken = 0

        def count() -> int:
            nonlocal taken
            taken += 1
            return 0

        def prepare(connection: object, *_: object) -> None:
            connection.set_progress_handler(count, 20)  # type: ignore[attr-defined]

        event.listen(store._database._engine.reader, "checkout", prepare)
        walked(store, size=size, newest_first=newest_first)
        event.remove(store._database._engine.reader, "checkout", prepare)
        return taken

    few, many = steps(200), steps(20)
    assert many < 3 * few
