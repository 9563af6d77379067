"""Scenes with a worker process, for a process of their own: a destination that does as its
settings and its parcels say."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from daemon.config.loader import ConnectorConfiguration
from daemon.core.errors import (
    ContentMissing,
    PermanentFailure,
    PostmottakError,
    TemporaryFailure,
    WorkerLost,
)
from daemon.core.parcels import ParcelPart, Receipt
from daemon.core.ports import Finding, Parcel, Pickup, PickupState
from daemon.core.settings import DestinationSettings
from daemon.delivery import handover
from daemon.delivery.worker.proxy import RemoteDestination
from daemon.delivery.worker.worker_client import WorkerClient
from daemon.runtime import logs
from daemon.runtime.process import pin_to_one_core
from daemon.store.content import ContentStore
from daemon.store.lock import InstanceLock
from tests.parcels import new_parcel

SECONDS = 20.0
_ODD = 2  # the generation of the parcel that is not as the others


class Settings(DestinationSettings):
    """How the destination behaves."""

    how: str = "well"


@dataclass
class Place:
    """A destination on this machine that tells in its receipts which process it is in."""

    name: str
    how: str
    concurrency: int = 4
    await_pickup: timedelta | None = None
    pickup_folder: Path | None = None
    forgotten: list[UUID] = field(default_factory=list)

    def check(self) -> Iterator[Finding]:
        """Find out in which process it is asked."""
        yield Finding(subject=self.name, ok=True, text=str(os.getpid()))

    def deliver(self, parcel: Parcel) -> Receipt:
        """Read the parcel's bytes, or fail as told."""
        if self.how == "hangs":
            time.sleep(SECONDS)
        if self.how == "fails":
            raise _FAILURES[parcel.generation]
        if self.how == "tells too much" and parcel.generation == _ODD:
            return Receipt(reference="", details={"lock": threading.Lock()})
        if self.how == "tells what cannot be read" and parcel.generation == _ODD:
            return Receipt(reference="", details={"odd": _Unreadable()})
        sizes = [len(part.open().read()) for part in parcel.parts]
        if self.how == "slow":
            for _ in range(3):
                time.sleep(0.6)
                parcel.parts[0].open().read()
        return Receipt(
            reference=f"{self.how} {parcel.generation}",
            details={"process": os.getpid(), "sizes": sizes},
        )

    def deliver_batch(self, parcels: Sequence[Parcel]) -> Sequence[Receipt | PostmottakError]:
        """One after the other."""
        outcomes: list[Receipt | PostmottakError] = []
        for each in parcels:
            try:
                outcomes.append(self.deliver(each))
            except PostmottakError as error:
                outcomes.append(error)
        return outcomes

    def dedup_records(self) -> Sequence[UUID]:
        """What it was told to forget: so a test sees that it was told, and where."""
        if self.how == "fails":
            raise TemporaryFailure("the share is away")
        return self.forgotten

    def forget(self, deliveries: Collection[UUID]) -> None:
        """Note it, or fail in a way that nobody foresaw."""
        if self.how == "fails":
            raise ZeroDivisionError
        self.forgotten += deliveries

    def pickup(self, evidence: Mapping[str, Any]) -> Pickup:
        """Taken, always."""
        assert evidence
        return Pickup(state=PickupState.TAKEN)

    def close(self) -> None:
        """Nothing is kept open."""


_FAILURES: dict[int, Exception] = {
    1: TemporaryFailure("later", retry_after=timedelta(minutes=7), progress={"done": [1, 2]}),
    2: PermanentFailure("never"),
    3: ContentMissing("gone"),
}


def connect(connector: ConnectorConfiguration) -> Place:
    """The destination."""
    settings = connector.settings
    assert isinstance(settings, Settings)
    return Place(name=connector.name, how=settings.how)


def connector(how: str = "well", name: str = "erp") -> ConnectorConfiguration:
    """Its configuration."""
    return ConnectorConfiguration(name=name, type="place", settings=Settings(how=how))


@contextmanager
def worker_with(content: ContentStore, cores: Collection[int] = ()) -> Iterator[WorkerClient]:
    """A worker process, until the block ends."""
    worker = WorkerClient(content, connect, cores)
    try:
        yield worker
    finally:
        worker.close()


def entrusted(worker: WorkerClient, how: str = "well", name: str = "erp") -> RemoteDestination:
    """The destination, with the worker process in charge."""
    configuration = connector(how, name)
    return RemoteDestination(connect(configuration), configuration, worker)


def parcels(content: ContentStore, many: int = 3) -> list[Parcel]:
    """Parcels with an attachment each, which only the content store can open."""
    kept = content.put([b"%PDF"])
    part = ParcelPart(
        name="001-a.pdf",
        media_type="application/pdf",
        size=kept.size,
        sha256=kept.sha256,
        open=lambda: sys.exit("here"),
    )
    return [
        replace(new_parcel(), delivery_id=uuid4(), generation=number + 1, parts=(part,))
        for number in range(many)
    ]


def delivers_elsewhere(folder: str) -> Any:
    """What receipts say, in the order of the parcels, and what else is asked here or there."""
    content = ContentStore(Path(folder))
    with worker_with(content) as worker:
        place = entrusted(worker)
        receipts = place.deliver_batch(parcels(content))
        assert all(isinstance(each, Receipt) for each in receipts)
        alone = place.deliver(parcels(content)[1])
        some = uuid4()
        place.forget([some])
        facts = {
            "here": os.getpid(),
            "checked in": [int(each.text) for each in place.check()],
            "receipts": [
                [each.reference, each.details]
                for each in [*receipts, alone]
                if isinstance(each, Receipt)
            ],
            "forgotten": place.dedup_records() == [some],
            "taken": place.pickup({"name": "a"}).state,
        }
    return {**facts, "ended": worker.has_ended()}


def failures(folder: str) -> Any:
    """What comes back of failures, of deliveries and of everything else."""
    logs.configure()
    content = ContentStore(Path(folder))
    with worker_with(content) as worker:
        place = entrusted(worker, "fails")
        told = [_told(each) for each in place.deliver_batch(parcels(content))]
        told += [_raised(place.dedup_records), _raised(lambda: place.forget([uuid4()]))]
        told.append(_raised(lambda: place.deliver(parcels(content)[1])))
        told.append(_raised(lambda: place.deliver_batch(parcels(content, 4)[3:])))
    return told


def _raised(call: Any) -> Any:
    try:
        return call() and "nothing"
    except PostmottakError as error:
        return _told(error)


def _told(outcome: Any) -> Any:
    more = (
        [str(outcome.retry_after), outcome.progress]
        if isinstance(outcome, TemporaryFailure)
        else []
    )
    return [type(outcome).__name__, str(outcome), *more]


def an_edit(folder: str) -> Any:
    """References before and after an edit of the destination's settings."""
    content = ContentStore(Path(folder))
    with worker_with(content) as worker:
        before = entrusted(worker, "well").deliver(parcels(content)[0])
        after = entrusted(worker, "better").deliver(parcels(content)[0])
    return [before.reference, after.reference]


def heartbeats(folder: str) -> int:
    """How many came from a delivery that takes two seconds."""
    content, beats = ContentStore(Path(folder)), []
    with worker_with(content) as worker:
        entrusted(worker, "slow").deliver(
            replace(parcels(content)[0], beat=lambda: beats.append(1))
        )
    return len(beats)


def one_that_hangs(folder: str) -> Any:
    """Another destination is served meanwhile, and the worker process ends when it is told to,
    after how many seconds."""
    content = ContentStore(Path(folder))
    lost: list[str] = []
    with worker_with(content) as worker:
        hanging = entrusted(worker, "hangs", "share")

        def hang() -> None:
            try:
                hanging.deliver(parcels(content)[0])
            except WorkerLost as error:
                lost.append(str(error))

        thread = threading.Thread(target=hang)
        thread.start()
        served = entrusted(worker).deliver(parcels(content)[0]).reference
        began = time.monotonic()
    thread.join()
    return {"served": served, "seconds": time.monotonic() - began, "lost": lost}


def signals(folder: str) -> Any:
    """The worker process outlives the signals that are the service's, and not the one that
    nobody outlives; and then nothing is asked in vain."""
    content = ContentStore(Path(folder))
    with worker_with(content) as worker:
        place = entrusted(worker)
        told: list[Any] = []
        process = place.deliver(parcels(content)[0]).details["process"]
        for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(process, each)
            told.append(place.deliver(parcels(content)[0]).reference)
        told.append(worker.has_ended())
        os.kill(process, signal.SIGKILL)
        told += [_raised(lambda: place.deliver(parcels(content)[0]))[0] for _ in range(2)]
        ends = time.monotonic() + SECONDS
        while not worker.has_ended():
            assert time.monotonic() < ends
        worker.close()
    return told


def one_that_cannot_be_handed_over(folder: str, why: str) -> Any:
    """The results of deliveries that are handed over together, one of which cannot be packed or
    unpacked here or there."""
    logs.configure()
    content = ContentStore(Path(folder))
    odd: dict[str, Any] = {
        "packed here": _nested(3000),
        "unpacked there": _Unreadable(),
        "packed there": 1,
        "unpacked here": 1,
    }
    how = {"packed there": "tells too much", "unpacked here": "tells what cannot be read"}.get(
        why, "well"
    )
    some = [
        replace(each, progress={"odd": odd[why]}) if each.generation == _ODD else each
        for each in parcels(content)
    ]
    with worker_with(content) as worker:
        outcomes = handover.hand_over(entrusted(worker, how), some)
        after = entrusted(worker, "well", "other").deliver(parcels(content)[0]).reference
    return {"outcomes": [type(each).__name__ for each in outcomes], "after": after}


def _nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


class _Unreadable:
    """Can be packed, and not unpacked."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return int, ("no number",)


def a_standstill(folder: str) -> Any:
    """Heartbeats, before and while the worker process stands still, and when it goes on."""
    beats: list[int] = []

    def looks(many: int) -> int:
        before = len(beats)
        for _ in range(many):
            worker.look(lambda: beats.append(1))
            time.sleep(0.1)
        return len(beats) - before

    content = ContentStore(Path(folder))
    with worker_with(content) as worker:
        process = entrusted(worker).deliver(parcels(content)[0]).details["process"]
        before = looks(4)
        os.kill(process, signal.SIGSTOP)
        still = looks(4)
        os.kill(process, signal.SIGCONT)
        return {"before": before, "still": still, "after": looks(4)}


def killed_service(folder: str, how: str) -> None:
    """A service with the store's lock that is killed while the worker process has something to
    do; tells its process id."""
    content = ContentStore(Path(folder))
    InstanceLock(Path(folder) / "x.db")
    with worker_with(content) as worker:
        process = entrusted(worker, "well", "other").deliver(parcels(content)[0]).details["process"]
        threading.Thread(
            target=lambda: entrusted(worker, how).deliver(parcels(content)[0]), daemon=True
        ).start()
        time.sleep(0.2)
        sys.stdout.write(f"{process}\n")
        sys.stdout.flush()
        os.kill(os.getpid(), signal.SIGKILL)


def cores(folder: str) -> Any:
    """The cores of the service and those of its worker process."""
    left = pin_to_one_core()
    content = ContentStore(Path(folder))
    with worker_with(content, left) as worker:
        process = entrusted(worker).deliver(parcels(content)[0]).details["process"]
        return {
            "left": sorted(left),
            "here": sorted(os.sched_getaffinity(0)),
            "there": sorted(os.sched_getaffinity(process)),
        }
