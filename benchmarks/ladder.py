"""Measures a look of the ladder: 100,000 letters, 2,000 of which nobody has acknowledged."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from statistics import median

import structlog

from benchmarks.many_letters import copy_letter, fast_database
from benchmarks.report import Figure
from daemon.store import Store
from tests.unit.alerting import WakeEvent
from tests.unit.conftest import NOW, TABLE, TABLE_TEXT, Clock
from tests.unit.reminding import Desk, waiting_letter

_LETTERS, _OPEN = 100_000, 2_000
_EVERY = _LETTERS // _OPEN  # so that they lie anywhere
_LOOKS = 20
_AT_MOST = 0.1


def ladder(folder: Path) -> Iterator[Figure]:
    """Measure a look at which nothing is due, and one at which all is."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    path = folder / "postmottak.db"
    _fill(path)
    store, clock = Store(f"sqlite:///{path}"), Clock()
    desk = Desk(store, clock, WakeEvent("mail"))
    desk.look()  # which finds out when each is due
    nothing = median(_seconds(desk.sender().look) for _ in range(_LOOKS))
    what = f"a look of the ladder, {_LETTERS:,} letters, {_OPEN:,} unacknowledged, ms"
    yield Figure(
        what=what,
        measured=f"{1000 * nothing:.1f}",
        wanted=f"at most {1000 * _AT_MOST:.0f}",
        held=nothing <= _AT_MOST,
    )
    clock.now = NOW + timedelta(days=2)
    yield Figure(
        what="the same where all of them are due at once, and two people are told, ms",
        measured=f"{1000 * _seconds(desk.sender().look):.0f}",
    )
    clock.now += timedelta(minutes=5)
    counting = median(_seconds(lambda: store.awaited.counts(clock())) for _ in range(_LOOKS))
    yield Figure(
        what="counting them by recipient, for alerts and metrics, ms",
        measured=f"{1000 * counting:.1f}",
    )
    store.close()


def _seconds(work: Callable[[], object]) -> float:
    """Return the processor time, in which other programs do not count."""
    began = time.process_time()
    work()
    return time.process_time() - began


def _fill(path: Path) -> None:
    store = Store(f"sqlite:///{path}")
    store.letters.note_table(TABLE.version, TABLE_TEXT, NOW)
    store.letters.add([waiting_letter()])
    store.close()
    with fast_database(path) as database:
        copy_letter(database, _LETTERS, ["0" * 64])
        database.execute("UPDATE awaited SET look_at = NULL WHERE rowid % ? > 0", [_EVERY])
        database.commit()
