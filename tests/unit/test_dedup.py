"""Traces: a destination forgets a delivery only when its end is recorded, and then always, whatever
was killed meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from daemon.core.errors import StoreError, TemporaryFailure
from daemon.core.model import DeliveryState, Outcome, delivery_id, message_id
from daemon.core.parcels import Receipt
from daemon.core.ports import Parcel
from daemon.delivery.dispatch import Dispatch
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from tests.unit.conftest import NOW, Clock, active_snapshot, stored_letter
from tests.unit.memory import MemoryDestination

pytestmark = pytest.mark.both_databases

SECOND = 10  # seconds to wait for another thread at most


@dataclass
class Drop(MemoryDestination):
    """A destination that keeps traces."""

    left: set[UUID] = field(default_factory=set)
    settling: Iterator[Exception] = field(default_factory=lambda: iter(()))
    states: list[DeliveryState] = field(default_factory=list)
    """What the store had of each delivery when it was settled."""
    told: int = 0
    """How often it was told of deliveries."""
    store: Store | None = None
    wait: threading.Event = field(default_factory=threading.Event)
    hangs: bool = False

    def deliver(self, parcel: Parcel) -> Receipt:
        """Keep the parcel, and a trace."""
        self.left.add(parcel.delivery_id)
        return super().deliver(parcel)

    def dedup_records(self) -> Sequence[UUID]:
        """What is left."""
        return list(self.left)

    def forget(self, deliveries: Collection[UUID]) -> None:
        """Forget them, or fail as told."""
        if self.hangs:
            assert self.wait.wait(SECOND)
        if error := next(self.settling, None):
            raise error
        assert self.store
        self.told += bool(deliveries)
        self.states += [self.store.queries.delivery(str(each)).state for each in deliveries]
        self.left -= set(deliveries)


@dataclass
class Desk:
    """A drop and another destination; each `round` is one of a new process if it is told so."""

    store: Store
    content: ContentFolder
    clock: Clock
    drop: Drop
    mail: MemoryDestination = field(default_factory=lambda: MemoryDestination("mail"))
    dispatch: Dispatch = field(init=False)

    def __post_init__(self) -> None:
        self.content.put([b"pdf"])
        self.start()

    def start(self) -> None:
        """A new process."""
        self.dispatch = Dispatch(
            store=self.store,
            content=self.content,
            active=active_snapshot({"erp": self.drop, "mail": self.mail}),
            clock=self.clock,
            give_up_after=timedelta(days=5),
        )

    def round(self) -> dict[Outcome, int]:
        """Everything that is due."""
        return self.dispatch.deliver_due(threading.Event())


@pytest.fixture
def desk(store: Store, content: ContentFolder, clock: Clock) -> Desk:
    """A desk with nothing due."""
    return Desk(store, content, clock, Drop("erp", store=store))


def of(external_id: str) -> UUID:
    """The delivery of a letter to the drop."""
    return delivery_id(message_id("altinn", external_id), "erp", 1)


def test_a_delivery_is_settled_when_its_end_is_recorded(desk: Desk) -> None:
    """By the end of the round nothing is left, and nothing was removed before the store had it as
    delivered."""
    desk.store.letters.add([stored_letter(str(number)) for number in range(20)])
    assert desk.round() == {Outcome.DELIVERED: 20}
    assert desk.drop.left == set()
    assert desk.drop.states == [DeliveryState.DELIVERED] * 20


def test_a_destination_is_told_of_many_at_a_time(desk: Desk) -> None:
    """In a long round a destination is told now and then, and of what is left when the round
    ends."""
    desk.store.letters.add([stored_letter(str(number)) for number in range(100)])
    most = 0

    def look(_: Parcel) -> None:
        nonlocal most
        most = max(most, len(desk.drop.left))

    desk.drop.during = look
    assert desk.round() == {Outcome.DELIVERED: 100}
    assert (desk.drop.left, desk.drop.states) == (set(), [DeliveryState.DELIVERED] * 100)
    assert 1 < desk.drop.told < 5
    assert most < 100


def test_what_a_failing_store_left_is_settled_later(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the store fails in the middle of a round, what was recorded before is settled by the next
    round."""
    end = desk.store.outbox.end
    worked: list[int] = []

    def once(endings: Any) -> set[UUID]:
        if worked:
            raise StoreError("the disk is gone")
        worked.append(1)
        return end(endings)

    desk.store.letters.add([stored_letter(str(number)) for number in range(20)])
    monkeypatch.setattr(desk.store.outbox, "end", once)
    with pytest.raises(StoreError):
        desk.round()
    monkeypatch.undo()
    assert desk.drop.told == 0
    desk.round()
    assert desk.drop.told > 0
    assert {desk.store.queries.delivery(str(each)).state for each in desk.drop.left} <= {
        DeliveryState.CLAIMED
    }


def test_what_is_not_delivered_keeps_its_trace(desk: Desk) -> None:
    """A delivery that is to be tried again is still known to its destination."""
    desk.store.letters.add([stored_letter("a")])
    desk.drop.fails = iter([TemporaryFailure("half of it")])
    assert desk.round() == {Outcome.DEFERRED: 1}
    assert desk.drop.left == {of("a")}


def test_nor_is_one_settled_that_was_not_recorded(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the end cannot be recorded, the trace stays."""

    def fail(*_: object) -> set[UUID]:
        raise StoreError("the disk is gone")

    desk.store.letters.add([stored_letter("a")])
    monkeypatch.setattr(desk.store.outbox, "end", fail)
    with pytest.raises(StoreError):
        desk.round()
    assert desk.drop.left == {of("a")}


def test_what_a_killed_process_left_is_settled(desk: Desk) -> None:
    """A new process sees to it though nothing is due; it leaves what is not delivered, and what is
    not its own."""
    foreign = uuid4()
    desk.store.letters.add(
        [stored_letter("a"), stored_letter("b", due_at=NOW + timedelta(hours=1))]
    )
    desk.round()
    desk.drop.left = {of("a"), of("b"), foreign}
    assert desk.round() == {}
    assert desk.drop.left == {of("a"), of("b"), foreign}, "only a new process looks"
    desk.start()
    assert desk.round() == {}
    assert desk.drop.left == {of("b"), foreign}


@pytest.mark.parametrize(
    "error", [TemporaryFailure("the share is away"), ZeroDivisionError("x")], ids=["away", "fault"]
)
def test_a_destination_that_cannot_settle(desk: Desk, error: Exception, logged: list[Any]) -> None:
    """The delivery is delivered all the same, the log says so, and the next delivery settles what
    is left, by whomever."""
    desk.drop.left = {of("a")}
    desk.drop.settling = iter([error])
    desk.store.letters.add([stored_letter("a", ("mail", "erp"))])
    desk.drop.fails = iter([])
    assert desk.round() == {Outcome.DELIVERED: 2}
    assert {line["destination"] for line in logged if line["event"] != "delivery attempted"} == {
        "erp"
    }
    desk.start()
    for name, errors in (("b", []), ("c", [error]), ("d", [])):
        desk.drop.settling = iter(errors)
        desk.store.letters.add([stored_letter(name)])
        desk.round()
        assert desk.drop.left == ({of("c")} if errors else set())


def test_one_that_hangs_holds_no_other(desk: Desk) -> None:
    """While a destination takes its time with its traces, letters that come go to the others, in
    the same round."""
    desk.drop.hangs = True
    seen = set[str]()

    def mail(parcel: Parcel) -> None:
        if parcel.document.source.id == "a":
            desk.store.letters.add([stored_letter("b", ("mail",))])
            desk.clock.advance(seconds=2)
            desk.dispatch.new_work.set()
        else:
            desk.drop.wait.set()  # the drop hangs until the later letter is delivered
        seen.add(parcel.document.source.id)

    desk.store.letters.add([stored_letter("a", ("mail", "erp"))])
    desk.mail.during = mail
    assert desk.round() == {Outcome.DELIVERED: 3}
    assert seen == {"a", "b"}
