"""What every destination promises, whatever stands behind it. A subclass has a fixture `receiver`,
and inherits the tests."""

from __future__ import annotations

import hashlib
import io
import threading
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import pytest

from daemon.core.errors import TemporaryFailure
from daemon.core.filenames import is_plain_name
from daemon.core.model import PartState
from daemon.core.ports import Destination, Parcel

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

    def test_a_node_that_may_not_hands_over_nothing(
        self, receiver: Receiver, make_parcel: MakeParcel
    ) -> None:
        """Right before the receiver could see the letter, the destination asks whether it may: a
        node that stood still, and whose letter another one has, leaves nothing there; when one may,
        the same letter arrives once."""
        parcel, asked = make_parcel(), []

        def refused() -> None:
            asked.append(list(receiver.received()))
            raise TemporaryFailure("another node may be delivering this")

        with pytest.raises(TemporaryFailure, match="another node"):
            receiver.destination.deliver(replace(parcel, confirm=refused))
        assert asked == [[]], "asked once, and nothing was there"
        assert receiver.received() == []
        receiver.destination.deliver(parcel)
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

    def test_closing_twice_is_harmless(self, receiver: Receiver, make_parcel: MakeParcel) -> None:
        """A destination may be closed more than once, and what it delivered stays."""
        receiver.destination.deliver(make_parcel())
        receiver.destination.close()
        receiver.destination.close()
        assert len(receiver.received()) == 1
