"""Measures whether a healthy destination is slowed down by its neighbours.

One of them refuses everything, and one takes 20 seconds to answer. Run as
`python benchmarks/destinations.py [LETTERS]`; prints the healthy one's rate alone and beside the
two, and the ratio.
"""

# a script, not a package

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # a checkout, not an installation

import structlog

from connectors.destinations.filedrop import FileDrop, Settings
from daemon.core.errors import PermanentFailure, TemporaryFailure
from daemon.core.parcels import Receipt
from daemon.core.ports import Destination, Finding, Parcel
from daemon.delivery.dispatch import Dispatch
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from tests.unit.conftest import TABLE, active_snapshot, stored_letter

_SLOW = 20.0  # seconds


class _Other:
    """A destination that calls `answer` for each parcel."""

    def __init__(self, name: str, answer: Callable[[], None]) -> None:
        self.name, self._answer = name, answer

    def check(self) -> Iterator[Finding]:
        """Check nothing."""
        yield from ()

    def deliver(self, parcel: Parcel) -> Receipt:  # noqa: ARG002  # a port's method
        """Call `answer`, and return a receipt."""
        self._answer()
        return Receipt(reference="done", details={})

    def close(self) -> None:
        """Do nothing: nothing is open."""


def _refuse_for_now() -> None:
    raise TemporaryFailure("the receiver is closed")


def _refuse_for_good() -> None:
    raise PermanentFailure("the receiver does not want it")


def _rate(letters: int, others: Mapping[str, Destination]) -> float:
    """Return the letters a second at the healthy destination, with these others beside it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "drop").mkdir()
        store, content = (
            Store(f"sqlite:///{folder / 'postmottak.db'}"),
            ContentFolder(folder / "content"),
        )
        content.put([b"pdf"])
        store.letters.note_table(TABLE.version, TABLE.text, datetime.now(UTC))
        places: dict[str, Destination] = {
            **others,
            "healthy": FileDrop("healthy", Settings(path=folder / "drop")),
        }
        for number in range(letters):
            store.letters.add([stored_letter(str(number), list(places))])
        seconds = _time_to_deliver(store, content, places, folder / "drop", letters)
        store.close()
    return letters / seconds


def _time_to_deliver(
    store: Store, content: ContentFolder, places: dict[str, Destination], drop: Path, letters: int
) -> float:
    stopping = threading.Event()
    dispatch = Dispatch(
        store=store,
        content=content,
        active=active_snapshot(places),
        clock=lambda: datetime.now(UTC),
        give_up_after=timedelta(days=36500),
    )
    thread = threading.Thread(target=dispatch.deliver_due, args=(stopping,))
    began = time.monotonic()
    thread.start()
    while sum(1 for each in drop.iterdir() if not each.name.startswith(".")) < letters:
        time.sleep(0.02)
    seconds = time.monotonic() - began
    stopping.set()
    thread.join()
    return seconds


def main() -> None:
    """Measure, and print a line for each combination."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    letters = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    alone = _rate(letters, {})
    print(f"alone: {alone:.0f} letters a second")  # what the script is for
    for how, refuse in (("for now", _refuse_for_now), ("for good", _refuse_for_good)):
        others = {
            "refuses": _Other("refuses", refuse),
            "slow": _Other("slow", lambda: time.sleep(_SLOW)),
        }
        beside = _rate(letters, others)
        print(
            f"beside one that refuses {how} and one that is slow: {beside:.0f} letters a "
            f"second, {beside / alone:.0%}"
        )  # likewise


if __name__ == "__main__":
    main()
