"""What every destination promises, whatever stands behind it. A subclass has a fixture `receiver`,
and inherits the tests."""

from __future__ import annotations

import hashlib
import io
import threading
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol
from uuid import UUID

import pytest

from daemon.core.errors import TemporaryFailure
from daemon.core.filenames import is_plain_name
from daemon.core.model import PartState
from daemon.core.ports import (
    AwaitsPickup,
    Destination,
    KeepsDedupRecords,
    Parcel,
    PickupState,
    SendsTests,
)
from daemon.delivery.sample_parcel import sample_parcel
from tests.handing_over import hand_over
from tests.parcels import MOMENT

MakeParcel = Callable[..., Parcel]
LARGE = 64 << 20
HOSTILE = (
    "../../etc/passwd",
    "/etc/passwd",
    r"..\..\boot.ini",
    "CON.txt",
    "a:b.pdf",
    "a\r\nX-Evil: 1.pdf",
    "\0.pdf",
    "lik.pdf",
    "LIK.PDF",
)
ODD = (
    *HOSTILE,
    "å" * 300 + ".pdf",
    "🎉.pdf",
    "",
    ".",
    "..",
    ".skjult",
    "slutter med punktum.",
    " ",
    "<script>.pdf",
    '"; rm -rf ~".pdf',
)


class Receiver(Protocol):
    """The other side of a destination, real enough to say what has arrived."""

    destination: Destination
    secrets: tuple[str, ...]
    """What the destination knows and must never show."""

    def received(self) -> Sequence[str]:
        """The mark by which the receiver recognises a letter, for everything that has arrived."""

    def file_names(self) -> Sequence[str]:
        """Every file name that the receiver was given, as it would use it."""

    def dedup_records(self) -> Sequence[str]:
        """Everything that is there because of us, letters or not."""

    def go_down(self) -> None:
        """Be unreachable from now on."""

    def come_up(self) -> None:
        """Be reachable again, with all that has arrived."""


class Zeros(io.RawIOBase):
    """So many zeros, none of them in memory before they are asked for."""

    def __init__(self, size: int) -> None:
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        size = min(len(buffer), self._left)
        buffer[:size] = bytes(size)
        self._left -= size
        return size


def with_large_part(parcel: Parcel, size: int) -> Parcel:
    """The parcel, with an attachment of that size in place of its first."""
    digest = hashlib.sha256()
    for _ in range(size >> 20):
        digest.update(bytes(1 << 20))
    part = replace(
        parcel.parts[0],
        size=size,
        sha256=digest.hexdigest(),
        open=lambda: io.BufferedReader(Zeros(size), 1 << 16),
    )
    file = parcel.document.files[0].model_copy(update={"size": size, "sha256": digest.hexdigest()})
    return replace(
        parcel, parts=(part,), document=parcel.document.model_copy(update={"files": (file,)})
    )


class DestinationContract:
    """The tests. They know a receiver only by what Receiver offers."""

    def test_a_letter_arrives(self, receiver: Receiver, make_parcel: MakeParcel) -> None:
        """A letter that is delivered is at the receiver, and the receipt has something to look for
        there."""
        receipt = receiver.destination.deliver(make_parcel())
        assert len(receiver.received()) == 1
        assert receipt.reference

    def test_a_repeat_counts_once(self, receiver: Receiver, make_parcel: MakeParcel) -> None:
        """The same parcel again has the same mark at the receiver, and the same reference in its
        receipt."""
        receipts = [receiver.destination.deliver(make_parcel()) for _ in range(2)]
        assert len(set(receiver.received())) == 1
        assert receipts[0].reference == receipts[1].reference

    def test_other_letters_are_other_letters(
        self, receiver: Receiver, make_parcel: MakeParcel
    ) -> None:
        """Another letter, and the same letter sent again on purpose, each have a mark of their
        own."""
        for parcel in (make_parcel("one"), make_parcel("two"), make_parcel("two", generation=2)):
            receiver.destination.deliver(parcel)
        assert len(set(receiver.received())) == 3

    def test_a_letter_without_attachments_arrives(
        self, receiver: Receiver, make_parcel: MakeParcel
    ) -> None:
        """A letter of which nothing but its text is to be had is a letter."""
        receiver.destination.deliver(make_parcel(files={}, missing=["Borte.pdf"]))
        assert len(receiver.received()) == 1

    def test_unreachable_is_temporary(self, receiver: Receiver, make_parcel: MakeParcel) -> None:
        """While the receiver is down the letter waits; when it is up again the same letter arrives,
        once."""
        receiver.go_down()
        with pytest.raises(TemporaryFailure):
            receiver.destination.deliver(make_parcel())
        receiver.come_up()
        receiver.destination.deliver(make_parcel())
        assert len(receiver.received()) == 1

    def test_check_leaves_nothing_behind(self, receiver: Receiver) -> None:
        """A check of a receiver that is well says so, and nothing of it stays there."""
        findings = list(receiver.destination.check())
        assert findings
        assert all(finding.ok and finding.text for finding in findings)
        assert list(receiver.dedup_records()) == []

    def test_check_says_what_is_wrong(self, receiver: Receiver) -> None:
        """A check of a receiver that is down is a finding and no exception."""
        receiver.go_down()
        findings = list(receiver.destination.check())
        assert any(not finding.ok and finding.text for finding in findings)

    def test_odd_names_stay_inside(self, receiver: Receiver, make_parcel: MakeParcel) -> None:
        """Whatever attachments are called, each arrives under a name of its own that is harmless
        anywhere."""
        receiver.destination.deliver(make_parcel(files={name: name.encode() for name in ODD}))
        names = receiver.file_names()
        assert len({name.casefold() for name in names}) == len(names) >= len(ODD)
        assert all(is_plain_name(name) for name in names)

    def test_a_large_attachment_is_not_held_in_memory(
        self, receiver: Receiver, make_parcel: MakeParcel
    ) -> None:
        """An attachment of 64 MiB takes a small fraction of that in memory."""
        parcel = with_large_part(make_parcel(), LARGE)
        tracemalloc.start()
        try:
            receiver.destination.deliver(parcel)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < LARGE // 4

    def test_letters_may_come_at_once(self, receiver: Receiver, make_parcel: MakeParcel) -> None:
        """Several threads deliver different letters at the same time, and each arrives."""
        failures: list[Exception] = []

        def deliver(number: int) -> None:
            try:
                receiver.destination.deliver(make_parcel(f"letter-{number}"))
            except Exception as error:  # noqa: BLE001  # whatever it is, the test shows it
                failures.append(error)

        threads = [threading.Thread(target=deliver, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert len(set(receiver.received())) == 8

    def test_nothing_secret_is_shown(self, receiver: Receiver, make_parcel: MakeParcel) -> None:
        """Neither a secret nor anything of a letter is in a receipt, a finding, an error, or the
        destination as a debugger shows it."""
        parcel = make_parcel(
            title="hemmelig-tittel",
            body="hemmelig-tekst",
            summary="hemmelig-kort",
            sender_name="hemmelig-navn",
        )
        shown = [
            repr(receiver.destination),
            repr(receiver.destination.deliver(parcel)),
            repr(list(receiver.destination.check())),
        ]
        receiver.go_down()
        with pytest.raises(TemporaryFailure) as caught:
            receiver.destination.deliver(replace(parcel, generation=2))
        shown += [repr(caught.value), str(caught.value), repr(list(receiver.destination.check()))]
        assert not [
            secret for secret in ("hemmelig", *receiver.secrets) for text in shown if secret in text
        ]

    def test_a_doubtful_attachment_arrives(
        self, receiver: Receiver, make_parcel: MakeParcel
    ) -> None:
        """A letter whose attachment failed the sender's checksum arrives all the same."""
        parcel = make_parcel()
        file = parcel.document.files[0].model_copy(update={"state": PartState.CHECKSUM_FAILED})
        receiver.destination.deliver(
            replace(parcel, document=parcel.document.model_copy(update={"files": (file,)}))
        )
        assert len(receiver.received()) == 1

    def test_closing_twice_is_harmless(self, receiver: Receiver) -> None:
        """A destination may be closed more than once."""
        receiver.destination.close()
        receiver.destination.close()


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
