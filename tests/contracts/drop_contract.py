"""What every drop promises beyond what every destination does. A subclass has the fixtures
`receiver` and `drop`, and inherits the tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

import pytest

from daemon.core.errors import TemporaryFailure
from daemon.core.ports import AwaitsPickup, KeepsDedupRecords, Parcel, PickupState, SendsTests
from daemon.delivery.sample_parcel import sample_parcel
from tests.contracts.destination_contract import DestinationContract, MakeParcel, Receiver
from tests.handing_over import hand_over
from tests.parcels import MOMENT


class DropReceiver(Receiver, Protocol):
    """A consumer of a drop. Its destination awaits pickups."""

    def names(self) -> Sequence[str]:
        """What the consumer finds: the names in the drop that do not begin with a dot."""

    def contents(self) -> Mapping[str, bytes]:
        """Every file that the consumer finds, by its path."""

    def put(self, path: str, data: bytes) -> None:
        """Lay down a file of the consumer's own."""

    def take_all(self) -> None:
        """Take away everything that lies there for consumers."""


class DropContract(DestinationContract):
    """What every drop promises beyond that, wherever it is and whatever its layout."""

    def test_a_letter_that_was_taken_does_not_come_again(
        self, drop: DropReceiver, make_parcel: MakeParcel
    ) -> None:
        """If the consumer takes a letter before its delivery is recorded, the repeat finds it
        delivered and drops nothing."""
        first = drop.destination.deliver(make_parcel())
        assert len(drop.received()) == 1
        drop.take_all()
        again = drop.destination.deliver(make_parcel())
        assert again.reference == first.reference
        assert again.details["found"]
        assert drop.names() == []

    def test_nothing_hidden_is_left_but_a_sign(
        self, drop: DropReceiver, make_parcel: MakeParcel
    ) -> None:
        """A delivery leaves a trace that is the drop's own, until it is settled; then only the sign
        of a drop that is watched is left."""
        destination = drop.destination
        assert isinstance(destination, KeepsDedupRecords)
        parcel = make_parcel()
        destination.deliver(parcel)
        assert list(destination.dedup_records()) == [parcel.delivery_id]
        destination.forget([parcel.delivery_id])
        assert list(destination.dedup_records()) == []
        hidden = [trace for trace in drop.dedup_records() if ".postmottak/" in trace]
        assert [trace.partition(".postmottak/")[2] for trace in hidden] == ["awaiting-pickup"]

    def test_a_test_is_cleared_away(self, drop: DropReceiver, make_parcel: MakeParcel) -> None:
        """A test is written and read like a letter, and leaves nothing: beside letters that are
        there, in the index, or out of sight."""
        destination = drop.destination
        assert isinstance(destination, SendsTests)
        destination.deliver(make_parcel())
        before = drop.contents(), sorted(drop.dedup_records())
        assert "read, and removed" in destination.send_test(sample_parcel("erp", b"%PDF", MOMENT))
        assert (drop.contents(), sorted(drop.dedup_records())) == before

    def test_a_test_fails_where_a_letter_would(self, drop: DropReceiver) -> None:
        """A test of a drop that cannot be used is a failure in words."""
        destination = drop.destination
        assert isinstance(destination, SendsTests)
        drop.go_down()
        with pytest.raises(TemporaryFailure):
            destination.send_test(sample_parcel("erp", b"%PDF", MOMENT))

    def test_settling_leaves_what_is_not_settled(
        self, drop: DropReceiver, make_parcel: MakeParcel
    ) -> None:
        """To settle a delivery twice, or one that left no trace, is harmless, and concerns no
        other: its repeat is still known."""
        first, second = make_parcel("a"), make_parcel("b")
        destination = drop.destination
        assert isinstance(destination, KeepsDedupRecords)
        for parcel in (first, second):
            destination.deliver(parcel)
        for _ in range(2):
            destination.forget([first.delivery_id, UUID(int=1)])
        drop.take_all()
        assert destination.deliver(second).details["found"]
        assert drop.names() == []

    def test_what_is_there_is_never_overwritten(
        self, drop: DropReceiver, make_parcel: MakeParcel
    ) -> None:
        """Whatever else has the letter's name stays, the letter comes as -v2, the receipt tells,
        also that of a repeat, which finds it."""
        name = hand_over(drop.destination, make_parcel()).details["name"]
        first = drop.names()
        drop.take_all()
        for each in first:
            drop.put(each, b"noe annet")
        receipt = hand_over(drop.destination, make_parcel())
        assert receipt.details["name"] == f"{name}-v2"
        assert receipt.details["taken"] == [name]
        assert receipt.collided
        assert {each: drop.contents()[each] for each in first} == dict.fromkeys(first, b"noe annet")
        before = drop.contents()
        again = hand_over(drop.destination, make_parcel())
        assert (again.reference, again.collided) == (receipt.reference, True)
        assert drop.contents() == before

    def test_a_letter_waits_until_it_is_taken(
        self, drop: DropReceiver, make_parcel: MakeParcel
    ) -> None:
        """A pickup is awaited while the letter lies there, and seen when it is gone."""
        evidence = self._delivered(drop, make_parcel())
        assert self._pickup(drop, evidence) == (PickupState.WAITING, "")
        drop.take_all()
        assert self._pickup(drop, evidence) == (PickupState.TAKEN, "")

    def test_a_consumer_may_say_that_it_has_the_letter(
        self, drop: DropReceiver, make_parcel: MakeParcel
    ) -> None:
        """`<name>.ok` is a pickup, and what it says of one generation does not count for the
        next."""
        evidence = self._delivered(drop, make_parcel())
        drop.put(f"{evidence['name']}.ok", b"")
        assert self._pickup(drop, evidence) == (PickupState.TAKEN, "")
        assert self._pickup(drop, self._delivered(drop, make_parcel(generation=2))) == (
            PickupState.WAITING,
            "",
        )

    def test_a_consumer_may_reject_a_letter(
        self, drop: DropReceiver, make_parcel: MakeParcel
    ) -> None:
        """`<name>.err` is a rejection, with its reason on one line."""
        evidence = self._delivered(drop, make_parcel())
        drop.put(f"{evidence['name']}.err", "permanent\r\nUkjent\tkunde på Ås\x1b[2J\n".encode())
        state, reason = self._pickup(drop, evidence)
        assert (state, reason) == (PickupState.REJECTED, "permanent: Ukjent kunde på Ås [2J")

    def test_a_drop_that_cannot_be_seen_says_nothing_of_pickups(
        self, drop: DropReceiver, make_parcel: MakeParcel
    ) -> None:
        """While the drop is out of reach no letter counts as taken."""
        evidence = self._delivered(drop, make_parcel())
        drop.go_down()
        with pytest.raises(TemporaryFailure):
            self._pickup(drop, evidence)
        drop.come_up()
        assert self._pickup(drop, evidence) == (PickupState.WAITING, "")

    @staticmethod
    def _delivered(drop: DropReceiver, parcel: Parcel) -> dict[str, Any]:
        receipt = drop.destination.deliver(parcel)
        return {**receipt.details, "reference": receipt.reference}

    @staticmethod
    def _pickup(drop: DropReceiver, evidence: Mapping[str, Any]) -> tuple[PickupState, str]:
        assert isinstance(drop.destination, AwaitsPickup)
        pickup = drop.destination.pickup(evidence)
        return pickup.state, pickup.reason
