"""Letters are shared among worker processes, which are replaced when they end or hang."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from daemon.config.store import StoreSettings
from daemon.core.errors import DiskFull, StoreError, WorkerLost
from daemon.core.pacing import PaceNumbers
from daemon.intake.carrier import Carried
from daemon.intake.worker import worker_supervisor
from daemon.intake.worker.messages import (
    Chunk,
    TimeNow,
    unpack_snapshot,
)
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from tests.unit.conftest import NOW, TAX
from tests.unit.worker_crew import LETTERS, SECONDS, Crew, Script, Threads, carries, ids


@pytest.fixture
def crew(
    store: Store, content: ContentFolder, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Crew]]:
    """Make a crew, whose supervisor looks often."""
    monkeypatch.setattr(worker_supervisor, "_LOOK", 0.02)
    monkeypatch.setattr(worker_supervisor, "_PING", 0.02)
    made: list[Crew] = []

    def new(script: Script = carries, number: int = 2, **server: Any) -> Crew:
        made.append(Crew(store, content, Threads(script=script, **server), number=number))
        return made[-1]

    yield new
    for each in made:
        each.end()


def test_letters_are_shared(crew: Callable[..., Crew]) -> None:
    """Every letter is in one chunk, the calls to the mailbox are shared, and what is stored is
    reported and added up."""
    found = crew()
    carried = found.carry(LETTERS)
    assert carried.stored == len(LETTERS) == sum(each.stored for each in found.reported)
    assert sorted(each for chunk in found.server.chunks for each in ids(chunk)) == LETTERS
    assert {each.at_once for each in found.server.chunks} == {4}
    assert {*found.server.chunks[0].usable} == {"erp"}
    assert len(found.server.forked) == 2


def test_no_more_workers_than_there_is_work_for(
    crew: Callable[..., Crew], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is forked before there are letters, one for a few; all end in order when there has
    been nothing for a while, and others begin with the next letters."""
    found = crew()
    found.supervisor.wake()
    assert found.server.forked == []
    assert found.carry(LETTERS[:9]).stored == 9
    assert len(found.server.forked) == 1
    assert found.carry(LETTERS).stored == len(LETTERS)
    assert len(found.server.forked) == 2
    with monkeypatch.context() as idle:
        idle.setattr(worker_supervisor, "_IDLE", 0.0)
        ended = [(each, True) for each in found.server.forked]
        found.wait_for(lambda: sorted(found.released) == ended)
    assert found.carry(LETTERS).stored == len(LETTERS)
    assert not found.trouble


def test_a_letter_that_does_not_come(crew: Callable[..., Crew]) -> None:
    """A worker goes on with other chunks while it waits for the last letter of one."""
    found = crew(number=1, slow=LETTERS[0])
    with ThreadPoolExecutor() as thread:
        carrying = thread.submit(found.carry, LETTERS)
        found.wait_for(lambda: sum(len(ids(each)) for each in found.server.chunks) == len(LETTERS))
        assert not carrying.done()
        found.server.held[0]()
        assert carrying.result(SECONDS).stored == len(LETTERS)


def test_a_failure_before_a_chunk_is_sent(
    crew: Callable[..., Crew], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends the work; the threads that wait for a turn do not wait for ever."""
    found = crew(number=1)
    monkeypatch.setattr(found.pool, "_usable", Mock(side_effect=StoreError("gone")))
    with ThreadPoolExecutor() as thread:
        carrying = thread.submit(found.carry, LETTERS)
        with pytest.raises(StoreError):
            carrying.result(SECONDS)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_any_number_of_workers(crew: Callable[..., Crew], number: int) -> None:
    """One worker does what several do; a few letters make one chunk."""
    found = crew(number=number)
    assert found.carry(LETTERS).stored == len(LETTERS)
    found.server.chunks.clear()
    assert found.carry(LETTERS[:9]).stored == 9
    assert [each.at_once for each in found.server.chunks] == [8]


def test_an_edit_that_needs_a_restart(crew: Callable[..., Crew]) -> None:
    """A worker never opens another store than the service has, nor another mailbox; what else an
    edit changes holds at once."""
    found = crew()
    active = found.pool._active
    before = active.snapshot()
    elsewhere = StoreSettings(database="sqlite:///other.db", content=Path("other"))
    edited = replace(before.configuration, store=elsewhere, text="edited")
    active.replace(replace(before, configuration=edited))
    found.carry(LETTERS)
    sent = [unpack_snapshot(each)[0] for each in found.server.snapshots]
    assert {each.store for each in sent} == {before.configuration.store}
    assert {each.text for each in sent} == {"edited"}


def test_workers_that_end_at_random(crew: Callable[..., Crew]) -> None:
    """A worker that was killed is replaced, what it had in hand is carried by others, and no
    letter is blamed for it."""
    numbers = iter(range(1000))
    found = crew(lambda chunk: None if next(numbers) in {1, 4, 5} else carries(chunk))
    assert found.carry(LETTERS).stored == len(LETTERS)
    found.wait_for(lambda: len(found.released) >= 1 and len(found.server.forked) >= 3)
    assert not any(stopped for _, stopped in found.released)
    assert not found.store.letters.failing("altinn")
    assert found.carry(LETTERS).problems == []


def test_a_letter_that_ends_workers(crew: Callable[..., Crew]) -> None:
    """It is found in a few steps, and noted as failing; all others are stored. The next time it is
    alone from the beginning."""
    found = crew(lambda chunk: None if "077" in ids(chunk) else carries(chunk))
    carried = found.carry(LETTERS)
    assert [problem.split(":")[0] for problem in carried.problems] == ["letter 077"]
    assert [each.external_id for each in found.store.letters.failing("altinn")] == ["077"]
    assert carried.missing == {(TAX.party, TAX.resource)}
    done = {each for chunk in found.server.chunks for each in ids(chunk) if "077" not in ids(chunk)}
    assert done == {*LETTERS} - {"077"}
    assert len(found.server.forked) <= 2 + 10
    forked = len(found.server.forked)
    found.carry(LETTERS)
    found.wait_for(lambda: len(found.server.forked) > forked)
    time.sleep(0.1)
    assert len(found.server.forked) == forked + 1


def test_workers_that_keep_ending(crew: Callable[..., Crew]) -> None:
    """They are replaced at intervals, and that is a problem until one has carried something."""
    ends = iter([True] * 6)
    found = crew(lambda chunk: None if next(ends, False) else carries(chunk), number=1)
    assert found.carry(LETTERS[:40]).stored == 40
    found.wait_for(lambda: found.trouble[-1:] == [False])
    assert found.trouble[0]


def test_workers_that_end_after_some_progress(crew: Callable[..., Crew]) -> None:
    """While letters are stored, workers that are killed are replaced at once, however many."""
    found = crew(number=1)
    found.server.ends_after_progress = 8
    carried = found.carry(LETTERS[:40])
    assert len(found.server.forked) > 8
    assert carried.problems == []
    assert not found.trouble


def test_one_that_hangs(crew: Callable[..., Crew], monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that answers no more is killed once, however long its end takes, and another does
    its work."""
    monkeypatch.setattr(worker_supervisor, "WORKER_TIMEOUT", 0.3)
    hangs, still = threading.Event(), threading.Event()

    def script(chunk: Chunk) -> Carried:
        if not hangs.is_set():
            hangs.set()
            still.wait(SECONDS)
        return carries(chunk)

    found = crew(script, number=1, dying=0.3)
    assert found.carry(LETTERS[:9]).stored == 9
    still.set()
    assert found.server.killed.count(1) == 1


def test_a_clock_that_was_set(crew: Callable[..., Crew], monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers hear of it at once, also in the middle of a chunk."""
    monkeypatch.setattr(worker_supervisor, "_PING", 3600.0)
    found = crew()
    found.carry(LETTERS)
    found.time = TimeNow(line=NOW + timedelta(hours=2), certain=False)
    found.wait_for(lambda: found.server.pinged[-2:] == [found.time, found.time])


def test_the_calls_of_all_workers(crew: Callable[..., Crew]) -> None:
    """They are counted by client, also those of a worker that has ended, whose pace is over; so
    the counts never fall."""
    slow = PaceNumbers(client="a", calls=3, waited=0.5, refused=1, rate=2.0)
    quick = PaceNumbers(client="b", calls=1, waited=0.0, refused=0, rate=math.inf)
    found = crew(paces=[slow, quick])
    found.carry(LETTERS)
    twice = replace(slow, calls=6, waited=1.0, refused=2), replace(quick, calls=2)
    found.wait_for(lambda: found.supervisor.paces() == [*twice])
    found.server.kill(1)
    found.wait_for(lambda: found.supervisor.paces()[0].calls == 9)
    found.server.paces = [replace(slow, rate=5.0)]
    thrice = replace(slow, calls=9, waited=1.5, refused=3, rate=5.0)
    found.wait_for(lambda: found.supervisor.paces() == [thrice, quick])


def test_one_that_cannot_keep_anything(crew: Callable[..., Crew]) -> None:
    """If the store fails a worker, as when it cannot be opened, the caller hears of it; the worker
    is replaced, and what it had claimed is released without blame."""
    found = crew(lambda _: StoreError("the database is damaged"), number=1)
    with pytest.raises(StoreError, match="damaged"):
        found.carry(LETTERS)
    found.wait_for(lambda: [stopped for _, stopped in found.released] == [True])
    found.server.script = carries
    assert found.carry(LETTERS).stored == len(LETTERS)


def test_a_release_without_room(crew: Callable[..., Crew]) -> None:
    """On a full disk a claim is released later."""
    found = crew(number=1)
    found.carry(LETTERS)
    found.full.append(DiskFull("full"))
    found.server.kill(1)
    found.wait_for(lambda: len(found.released) == 1)
    assert not found.failure


def test_no_process_can_be_started(crew: Callable[..., Crew]) -> None:
    """If the system has no room for another process it is asked again, and letters wait."""
    found = crew(number=1, fails=4)
    assert found.carry(LETTERS[:3]).stored == 3
    assert found.trouble[:1] == [True]


def test_the_fork_server_is_lost(crew: Callable[..., Crew]) -> None:
    """Without it nothing could be replaced, so the service ends."""
    found = crew()
    found.server.lost = True
    found.wait_for(lambda: bool(found.failure))
    assert isinstance(found.failure[0], WorkerLost)


def test_a_stop(crew: Callable[..., Crew]) -> None:
    """When the service stops, what is in hand is finished, and nothing is begun."""
    begun, go_on = threading.Event(), threading.Event()

    def script(chunk: Chunk) -> Carried:
        begun.set()
        go_on.wait(SECONDS)
        return carries(chunk)

    found = crew(script, number=1)
    results: list[Carried] = []
    thread = threading.Thread(target=lambda: results.append(found.carry(LETTERS)))
    thread.start()
    assert begun.wait(SECONDS)
    found.stopping.set()
    go_on.set()
    thread.join(SECONDS)
    assert 0 < results[0].stored < len(LETTERS)
