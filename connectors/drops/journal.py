"""The journal of a delivery: a letter that was collected before our commit is not dropped again.

In this order, all in the drop's hidden folder:

1. `<delivery id>.0`, `.1` and so on get all that will be published, a file or a folder each;
2. `<delivery id>.json`, the intent, says that from now on a part that is missing has been
   published, and under which name;
3. the parts are renamed to where consumers look;
4. when the service has recorded the delivery's end, the intent is removed.

A repeat continues where the crash was: before 2 it starts again, after 2 it publishes what is left.
After 4 there is no repeat. The intent is kept in the drop itself, so that a drop that was emptied
or exchanged meanwhile is never taken for one that has the letter.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from uuid import UUID

from pydantic import BaseModel, ValidationError

from connectors.drops.drop import STAGING, Drop, FileTooLarge, read_whole

_ID = 36  # letters of a delivery's id
_MAX_RECORD = 1 << 20  # bytes


class Record(BaseModel):
    """Where a letter is dropped."""

    name: str
    taken: tuple[str, ...] = ()
    """Names that would have come first, but belong to something else."""


class Journal:
    """The journal of one delivery."""

    def __init__(self, drop: Drop, delivery: UUID) -> None:
        self._drop = drop
        self._delivery = delivery
        self._intent = f"{STAGING}/{delivery}.json"
        self.index = f"{STAGING}/{delivery}.csv"
        """Where a new index is written before it replaces the old one."""

    def staged(self, place: int) -> str:
        """Return where a part waits to be published."""
        return f"{STAGING}/{self._delivery}.{place}"

    def intended(self) -> Record | None:
        """Return the record of a delivery that was being published.

        An incomplete record was never acted on.
        """
        return _read(self._drop, self._intent)

    def record_intent(self, record: Record) -> None:
        """Record that publishing begins; everything is staged."""
        self._drop.write([(self._intent, [record.model_dump_json().encode()])])

    def clear(self) -> None:
        """Remove what has not been published.

        The intent is removed first: without it, a missing part counts as never written.
        """
        mine = str(self._delivery)
        left = [f"{STAGING}/{name}" for name in self._drop.names(STAGING) if name.startswith(mine)]
        for path in sorted(left, key=lambda path: path != self._intent):
            self._drop.remove(path)


def deliveries(drop: Drop) -> set[UUID]:
    """Return the deliveries that have a journal in the drop, or a remainder of one."""
    return {delivery for delivery, _ in _entries(drop)}


def settle(drop: Drop, ended: Collection[UUID]) -> None:
    """Clear away the journals of deliveries that will not be repeated.

    What reappears after a power cut is cleared by the next process.
    """
    for delivery, path in list(_entries(drop)):
        if delivery in ended:
            drop.remove(path, lasting=False)


def _entries(drop: Drop) -> Iterator[tuple[UUID, str]]:
    """Yield the entries for deliveries in the hidden folder: the delivery's id, and the path."""
    for name in drop.names(STAGING):
        try:
            delivery = UUID(name[:_ID])
        except ValueError:  # the sign, or another program's file
            continue
        yield delivery, f"{STAGING}/{name}"


def _read(drop: Drop, path: str) -> Record | None:
    try:
        return Record.model_validate_json(read_whole(drop, path, _MAX_RECORD))
    except (FileNotFoundError, FileTooLarge, ValidationError):
        return None
