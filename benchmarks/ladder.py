"""Measures a look of the ladder: 100,000 letters, 2,000 of which nobody has acknowledged."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from statistics import median

import structlog
from sqlalchemy import text

from benchmarks.report import Figure
from daemon.store import Store
from tests.unit.alerting import WakeEvent
from tests.unit.conftest import NOW, TABLE, TABLE_TEXT, Clock, stored_letter
from tests.unit.reminding import Desk, awaited

_LETTERS, _OPEN = 100_000, 2_000
_TOGETHER = 5_000
_LOOKS = 20
_AT_MOST = 0.1


def ladder(folder: Path) -> Iterator[Figure]:
    """Measure a look at which nothing is due, and one at which all is."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    store, clock = Store(f"sqlite:///{folder / 'postmottak.db'}"), Clock()
    _fill(store)
    desk = Desk(store, clock, WakeEvent("mail"))
    desk.look()  # which finds out when each is due
    nothing = median(_seconds(desk) for _ in range(_LOOKS))
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
        measured=f"{1000 * _seconds(desk):.0f}",
    )
    clock.now += timedelta(minutes=5)
    began = time.perf_counter()
    store.awaited.counts(clock())
    yield Figure(
        what="counting them by recipient, for alerts and metrics, ms",
        measured=f"{1000 * (time.perf_counter() - began):.0f}",
    )
    store.close()


def _seconds(desk: Desk) -> float:
    sender = desk.sender()
    began = time.perf_counter()
    sender.look()
    return time.perf_counter() - began


def _fill(store: Store) -> None:
    store.letters.note_table(TABLE.version, TABLE_TEXT, NOW)
    for start in range(0, _LETTERS, _TOGETHER):
        letters = [stored_letter(str(number)) for number in range(start, start + _TOGETHER)]
        store.letters.add(
            [replace(each, awaited=awaited(each.message.id, NOW)) for each in letters]
        )
    with store.letters._database.write() as session:  # noqa: SLF001  # a person would take years
        session.execute(
            text(f"UPDATE awaited SET look_at = NULL WHERE rowid > {_OPEN}")  # noqa: S608  # a number
        )
