"""Deliveries on this machine that are claimed by the commit that stores their letter, and made by
the process that stores it."""

from __future__ import annotations

import errno
import shutil
import threading
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, update

from connectors.destinations import filedrop
from connectors.drops import local, shared_folder
from daemon.core.document import letter_document
from daemon.core.errors import DiskFull
from daemon.core.model import Delivery, DeliveryState, Outcome
from daemon.core.ports import Destination
from daemon.delivery.dispatch import Dispatch
from daemon.delivery.leases import LeaseRenewal
from daemon.delivery.local import LEASE, LocalBatch, LocalDeliveries, LocalReport
from daemon.delivery.snapshot import ActiveSnapshot
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from tests.unit.claiming import delivery_of, now_is
from tests.unit.conftest import NOW, Clock, active_snapshot, stored_letter
from tests.unit.memory import MemoryDestination

HERE = ("erp", "index")
SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Machine:
    """A worker, the service's outbox, and their destinations: two folders and a mail server."""

    store: Store
    content: ContentFolder
    clock: Clock
    active: ActiveSnapshot
    dispatch: Dispatch
    folder: Path

    def begin(self, *usable: str, owner: str = "worker") -> LocalBatch:
        """A piece of work of a worker."""
        parts = LocalDeliveries(
            store=self.store,
            content=self.content,
            owner=owner,
            clock=self.clock,
            steady=self.clock,
            may_give_up=lambda: True,
        )
        return parts.begin(self.active.snapshot(), usable or HERE, lambda: None)

    def bring(
        self, batch: LocalBatch, *letters: str, to: tuple[str, ...] = ("erp",)
    ) -> LocalReport:
        """Store letters, and deliver what is claimed with that."""
        stored = [stored_letter(each, to) for each in letters]
        return batch.deliver(self.store.letters.add(stored, batch.claim(stored)))

    def dropped(self, where: str = "erp") -> int:
        """How many letters are in a folder."""
        return sum(each.is_dir() for each in (self.folder / where).iterdir())


@pytest.fixture
def machine(store: Store, content: ContentFolder, clock: Clock, tmp_path: Path) -> Machine:
    """All of it."""
    content.put([b"pdf"])
    places: dict[str, Destination] = {"mail": MemoryDestination("mail")}
    for name, layout in (("erp", "folder"), ("index", "csv")):
        (tmp_path / name).mkdir()
        given: dict[str, Any] = {"path": tmp_path / name, "layout": layout}
        places[name] = filedrop.connect(name, filedrop.Settings.model_validate(given))
    active = active_snapshot(places)
    dispatch = Dispatch(
        store=store,
        content=content,
        active=active,
        clock=clock,
        give_up_after=timedelta(days=5),
    )
    return Machine(store, content, clock, active, dispatch, tmp_path)


def test_a_letter_is_dropped_as_it_is_stored(machine: Machine) -> None:
    """One claim, by the worker, and one attempt; nothing is left in the drop, nor in the outbox
    but what goes elsewhere."""
    report = machine.bring(machine.begin(), "a", "b", to=("erp", "mail"))
    found = now_is(machine.store)
    assert (found.state, found.fence, found.attempts) == (DeliveryState.DELIVERED, 1, 1)
    assert now_is(machine.store, "a", "mail").state is DeliveryState.PENDING
    assert (machine.dropped(), len(report.delivered["erp"])) == (2, 2)
    assert not [each for each in (machine.folder / "erp").iterdir() if each.name[0] == "."]
    assert (*report.failed, *report.untidy) == ()


def test_the_letter_is_the_same_as_from_the_outbox(machine: Machine) -> None:
    """What is attempted from memory has, byte for byte, the document of a later attempt."""
    batch, letter = machine.begin(), stored_letter("a")
    claimed = machine.store.letters.add([letter], batch.claim([letter])).claimed
    (later,) = machine.store.outbox.claim("another", NOW + 2 * LEASE, LEASE, 1)
    (now,) = claimed.values()
    documents = [
        letter_document(each.message, each.attachments, each.decision, delivery).model_dump_json()
        for each, delivery in ((letter, now), (later, later.delivery))
    ]
    assert documents[0] == documents[1]
    assert (now.owner, now.fence + 1) == ("worker", later.fence)


def test_a_letter_that_was_here_already(machine: Machine) -> None:
    """A letter that two workers bring is dropped by the one that stores it."""
    for owner in ("one", "other"):
        machine.bring(machine.begin(owner=owner), "a")
    assert machine.dropped() == 1


@pytest.mark.parametrize("usable", [("mail",), ("index",), ("nowhere",)])
def test_only_where_several_processes_may_deliver(
    machine: Machine, usable: tuple[str, ...]
) -> None:
    """What is elsewhere, and a drop with one index for all letters, are left to the outbox; so is
    a destination that is paused or has others waiting, which is not usable."""
    machine.bring(machine.begin(*usable), "a", to=("erp", "mail", "index"))
    states = {now_is(machine.store, "a", each).state for each in ("erp", "mail", "index")}
    assert states == {DeliveryState.PENDING}


def test_a_destination_that_fails(machine: Machine, stopping: threading.Event) -> None:
    """Its delivery waits, the rest of the piece is left to the outbox, and the service hears of
    it; others cost nothing. After five in a row it is not usable, until it works again."""
    machine.dispatch.deliver_due(stopping)
    assert machine.dispatch.usable_by_workers == ["erp"]
    shutil.rmtree(machine.folder / "erp")
    batches = [machine.begin(*machine.dispatch.usable_by_workers) for _ in range(5)]
    for number, batch in enumerate(batches):
        report = machine.bring(batch, f"a{number}")
        machine.bring(batch, f"b{number}")
        assert [attempt.ending.outcome for attempt, _ in report.failed] == [Outcome.DEFERRED]
        assert now_is(machine.store, f"a{number}").last_error
        assert now_is(machine.store, f"b{number}").attempts == 0
        machine.dispatch.note_local(report)
    machine.store.outbox.hold([delivery_of(f"b{number}") for number in range(5)])
    machine.dispatch.deliver_due(stopping)
    assert machine.dispatch.usable_by_workers == []
    assert machine.dispatch.counted.values() == {("erp", Outcome.DEFERRED): 5}
    assert machine.dispatch.changed.is_set()
    (machine.folder / "erp").mkdir()
    machine.clock.advance(hours=2)
    machine.dispatch.deliver_due(stopping)
    assert machine.dropped() == 5
    assert machine.dispatch.usable_by_workers == ["erp"]


def test_what_a_worker_dropped_in_part(
    machine: Machine, stopping: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When one of several letters could not be given its name, and the service drops it later, what
    the worker's process and the service knew of the batch is cleared away."""
    machine.dispatch.deliver_due(stopping)
    drop = filedrop.connect("erp", filedrop.Settings(path=machine.folder / "erp"))
    worker = replace(machine, active=active_snapshot({"erp": drop}))
    rename = shared_folder.rename_new

    def fails(source: str, *more: Any) -> bool:
        if str(delivery_of("b")) in source:
            raise OSError(errno.EIO, "Input/output error")
        return rename(source, *more)

    with monkeypatch.context() as patched:
        patched.setattr(local, "rename_new", fails)
        report = worker.bring(worker.begin(), "a", "b", "c")
    assert (len(report.failed), machine.dropped()) == (1, 3)  # two letters, and what is hidden
    machine.dispatch.note_local(report)
    machine.dispatch.deliver_due(stopping)
    machine.clock.advance(hours=2)
    machine.dispatch.deliver_due(stopping)
    assert now_is(machine.store, "b").state is DeliveryState.DELIVERED
    assert len([*(machine.folder / "erp").iterdir()]) == 3


def test_a_letter_that_goes_elsewhere_after_a_failure(
    machine: Machine, stopping: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was staged of it does not stay in a drop that is not to have it."""
    with monkeypatch.context() as patched:
        patched.setattr(local, "rename_new", lambda *_: 1 / 0)
        machine.bring(machine.begin(), "a")
    assert [*(machine.folder / "erp" / ".postmottak").glob("*.0/*")]
    with machine.store.outbox._database.write() as session:
        session.execute(update(Delivery).values(state=DeliveryState.WITHDRAWN))
    machine.dispatch.worker_ended()
    machine.dispatch.deliver_due(stopping)
    assert not [*(machine.folder / "erp").iterdir()]


def test_what_is_delivered_is_counted(machine: Machine) -> None:
    """Monitors see a worker's deliveries as the service's own."""
    machine.dispatch.note_local(machine.bring(machine.begin(), "a", "b"))
    assert machine.dispatch.counted.values() == {("erp", Outcome.DELIVERED): 2}
    assert machine.dispatch.timings.attempts.values()["erp"].cumulative[-1] == 2


def test_a_worker_that_ended(
    machine: Machine, stopping: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it had claimed is due again, with a crash on record; what another has claimed is not
    touched. What it had dropped and not recorded is not dropped again."""
    mine, others = machine.begin(owner="mine"), machine.begin(owner="other")
    letters = [stored_letter("a"), stored_letter("b")]
    claimed = [
        machine.store.letters.add([letter], batch.claim([letter]))
        for letter, batch in zip(letters, (mine, others), strict=True)
    ]
    with monkeypatch.context() as patched:
        patched.setattr(machine.store.outbox, "end", lambda _: set())
        mine.deliver(claimed[0])
    assert machine.store.outbox.release_abandoned(NOW, owner="mine") == 1
    ended, other = now_is(machine.store), now_is(machine.store, "b")
    assert (ended.state, ended.crashes) == (DeliveryState.PENDING, 1)
    assert (other.state, other.crashes, other.owner) == (DeliveryState.CLAIMED, 0, "other")
    machine.dispatch.worker_ended()
    machine.dispatch.deliver_due(stopping)
    assert now_is(machine.store).state is DeliveryState.DELIVERED
    assert machine.dropped() == 1


def poison(store: Store, external_id: str, now: datetime = NOW) -> None:
    """A delivery at which the process has ended twice."""
    store.letters.add([stored_letter(external_id, ("mail",))])
    with store.outbox._database.write() as session:
        session.execute(
            update(Delivery)
            .where(col(Delivery.id) == delivery_of(external_id, "mail"))
            .values(crashes=2, due_at=now)
        )


def test_a_poison_message_is_alone(machine: Machine, stopping: threading.Event) -> None:
    """While workers have claims, none is attempted; while one is attempted, workers claim nothing:
    what ends the process then is blamed alone."""
    poison(machine.store, "p")
    letter = stored_letter("a")
    batch = machine.begin()
    added = machine.store.letters.add([letter], batch.claim([letter]))
    machine.dispatch.deliver_due(stopping)
    assert now_is(machine.store, "p", "mail").state is DeliveryState.PENDING
    batch.deliver(added)
    assert machine.store.outbox.claim_poison("service", NOW, LEASE)
    assert machine.bring(batch, "b").delivered == {}
    assert now_is(machine.store, "b").state is DeliveryState.PENDING


def test_leases_of_workers_are_renewed(machine: Machine, stopping: threading.Event) -> None:
    """What a worker has in hand for long is not claimed by the service as well."""
    letter = stored_letter("a")
    machine.store.letters.add([letter], machine.begin().claim([letter]))
    machine.dispatch.leases.worker_names = lambda: ["worker"]
    for _ in range(3):
        machine.clock.advance(minutes=10)
        machine.dispatch.deliver_due(stopping)
    found = now_is(machine.store)
    assert (found.state, found.fence, machine.dropped()) == (DeliveryState.CLAIMED, 1, 0)
    machine.dispatch.leases.worker_names = list
    machine.clock.advance(minutes=16)
    machine.dispatch.deliver_due(stopping)
    assert now_is(machine.store).state is DeliveryState.DELIVERED


def claimed_for(machine: Machine) -> timedelta:
    """How long the worker's claim of letter a lasts from now."""
    return now_is(machine.store).due_at - machine.clock()


def test_a_lease_that_cannot_be_renewed(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk the renewal is tried again at the next look, before anything is claimed."""
    letter = stored_letter("a")
    machine.store.letters.add([letter], machine.begin().claim([letter]))
    leases = machine.dispatch.leases
    leases.worker_names = lambda: ["worker"]
    machine.clock.advance(minutes=14)

    def full(*_: object) -> None:
        raise DiskFull("no room")

    with monkeypatch.context() as patched:
        patched.setattr(machine.store.outbox, "renew_of", full)
        with pytest.raises(DiskFull):
            leases.look(machine.clock(), [])
    machine.clock.advance(minutes=1)
    leases.look(machine.clock(), [])
    assert claimed_for(machine) == LEASE


def test_a_worker_hears_late_that_the_clock_was_set(machine: Machine) -> None:
    """What it claims in the next seconds, by the time before, is not claimed by the service as
    well."""
    steady = Clock()
    leases = LeaseRenewal(machine.store, machine.clock, steady)
    leases.worker_names = lambda: ["worker"]
    claimed = machine.begin().claim([letter := stored_letter("a")])
    machine.clock.advance(days=1)
    leases.look(machine.clock(), [])
    machine.store.letters.add([letter], claimed)
    assert claimed_for(machine) < timedelta()
    for each in (machine.clock, steady):
        each.advance(seconds=1)
    leases.look(machine.clock(), [])
    assert claimed_for(machine) == LEASE
