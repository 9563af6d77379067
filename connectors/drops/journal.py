"""The journal of deliveries: a letter that was collected before our commit is not dropped again.

In this order, all in the drop's hidden folder:

1. `<delivery id>.0`, `.1` and so on get all that will be published, a file or a folder each;
2. the intent says that from now on a part that is missing has been published, and under which name:
   `<delivery id>.json`, or for letters that are dropped together one `<delivery id>.batch`, which
   is named after the first of them and has the intents of all;
3. the parts are renamed to where consumers look;
4. when the service has recorded the delivery's end, the intent is removed, that of a batch with the
   last of its deliveries.

A repeat continues where the crash was: before 2 it starts again, after 2 it publishes what is left.
After 4 there is no repeat. The intent is kept in the drop itself, so that a drop that was emptied
or exchanged meanwhile is never taken for one that has the letter.

If nothing of a letter could be published, because something else has its name by now, its intent is
withdrawn: a `<delivery id>.json` is removed; a batch's file has others' intents and is never
changed, so `<delivery id>.void` says that this one no longer counts. What the delivery intends next
is in its own file.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from pydantic import BaseModel, TypeAdapter, ValidationError

from connectors.drops.drop import STAGING, Drop, FileTooLarge, read_whole

_ID = 36  # letters of a delivery's id
_BATCH, _VOID = ".batch", ".void"
_MAX_RECORD = 1 << 20  # bytes
_MAX_BATCH = 64 * _MAX_RECORD
_Found = TypeVar("_Found")


class Record(BaseModel):
    """Where a letter is dropped."""

    name: str
    taken: tuple[str, ...] = ()
    """Names that would have come first, but belong to something else."""


_RECORD, _RECORDS = TypeAdapter(Record), TypeAdapter(dict[UUID, Record])


class Intents:
    """The intents of letters that are dropped together. For one thread."""

    def __init__(self, drop: Drop) -> None:
        """Read what an earlier process has left."""
        self._drop = drop
        self._gathered: dict[UUID, Record] = {}
        self._file = ""
        """What the intents that are not durable yet are written to."""
        self.begun: set[UUID] = set()
        """The deliveries that have a journal in the drop, or a remainder of one."""
        self.shared: dict[UUID, Record] = {}
        """What the files of batches say, also of deliveries for which it no longer counts."""
        self.files: set[str] = set()
        """Files of batches that are complete, which stay as they are."""
        for delivery, path in _entries(drop):
            self.begun.add(delivery)
            if path.endswith(_BATCH) and (records := _batch(drop, path)):
                self.files.add(path)
                self.shared |= records
        self.begun |= self.shared.keys()

    def gather(self, delivery: UUID, record: Record) -> None:
        """Add an intent, which `sync` makes durable."""
        self._gathered[delivery] = record

    def sync(self) -> None:
        """Make the gathered intents, and all that was written before, durable."""
        if self._gathered:
            self._write()
        self._drop.sync()
        if len(self._gathered) > 1:
            self.files.add(self._file)
            self.shared |= self._gathered
        self._gathered, self._file = {}, ""

    def undo(self, delivery: UUID) -> bool:
        """Remove the gathered intents if they could not be made durable.

        Returns False if the delivery's intent is durable, and stays.
        """
        if delivery in self._gathered:
            if self._file:
                self._drop.remove(self._file)
            return True
        return delivery not in self.shared

    def _write(self) -> None:
        first = next(iter(self._gathered))
        if len(self._gathered) == 1:
            self._file, data = _intent(first), _RECORD.dump_json(self._gathered[first])
        else:
            self._file, data = f"{STAGING}/{first}{_BATCH}", _RECORDS.dump_json(self._gathered)
        self._drop.write([(self._file, [data])])


class Journal:
    """The journal of one delivery."""

    def __init__(self, drop: Drop, delivery: UUID, intents: Intents) -> None:
        self._drop = drop
        self._delivery = delivery
        self._intents = intents
        self._intent = _intent(delivery)
        self._void = _void(delivery)
        self.index = f"{STAGING}/{delivery}.csv"
        """Where a new index is written before it replaces the old one."""

    def staged(self, place: int) -> str:
        """Return where a part waits to be published."""
        return f"{STAGING}/{self._delivery}.{place}"

    def intended(self) -> Record | None:
        """Return the record of a delivery that was being published.

        An incomplete record was never acted on.
        """
        shared = self._intents.shared.get(self._delivery)
        return _read(self._drop, self._intent, _RECORD, _MAX_RECORD) or (
            None if shared and self._is_void() else shared
        )

    def record_intent(self, record: Record) -> None:
        """Record that publishing begins, once it is synced; everything is staged."""
        if self._delivery in self._intents.shared:  # which is void
            self._drop.write([(self._intent, [_RECORD.dump_json(record)])])
        else:
            self._intents.gather(self._delivery, record)

    def withdraw(self) -> Generator[None]:
        """Withdraw the intent, and remove what was to be published, of which nothing was.

        Yields where what was written must be durable.
        """
        if self._delivery in self._intents.shared and not self._is_void():
            self._drop.write([(self._void, [])])
            yield
        self.clear()

    def undo(self) -> None:
        """Clear, after a failure, unless the intent is durable: then a repeat continues."""
        if self._intents.undo(self._delivery) or self._is_void():
            self.clear()

    def clear(self) -> None:
        """Remove what has not been published, where no intent of a batch counts.

        The intent is removed first: without it, a missing part counts as never written.
        """
        mine = str(self._delivery)
        left = {f"{STAGING}/{name}" for name in self._drop.names(STAGING) if name.startswith(mine)}
        left -= self._intents.files
        if self._delivery in self._intents.shared:
            left.discard(self._void)
        for path in sorted(left, key=lambda path: path != self._intent):
            self._drop.remove(path)

    def _is_void(self) -> bool:
        return self._drop.look(self._void) is not None


def _intent(delivery: UUID) -> str:
    return f"{STAGING}/{delivery}.json"


def _void(delivery: UUID) -> str:
    return f"{STAGING}/{delivery}{_VOID}"


@dataclass(frozen=True)
class _Batch:
    """The deliveries in the file of a batch, and those of them that have not ended."""

    all: frozenset[UUID]
    waiting: frozenset[UUID]


class Settling:
    """Clears away the journals of deliveries that will not be repeated. For one thread at a time.

    What reappears after a power cut is cleared by the next process.
    """

    def __init__(self) -> None:
        self._batches: dict[str, _Batch] = {}

    def settle(self, drop: Drop, ended: Collection[UUID]) -> None:
        """Remove what there is of these deliveries.

        A batch's file goes with the last of its deliveries. Until then, those that have ended are
        void, because the same letter may come again on purpose, with the same id.
        """
        done, entries = frozenset(ended), list(_entries(drop))
        here = {path for _, path in entries}
        self._batches = {
            path: batch
            for path in here
            if path.endswith(_BATCH) and (batch := self._settled(drop, path, done))
        }
        shared: set[UUID] = set()
        for batch in self._batches.values():
            shared |= batch.all
            void = [_void(each) for each in batch.all & done]
            drop.write((path, []) for path in void if path not in here)
        for delivery, path in entries:
            if path not in self._batches and (
                delivery not in shared if path.endswith(_VOID) else delivery in done
            ):
                drop.remove(path, lasting=False)

    def _settled(self, drop: Drop, path: str, done: frozenset[UUID]) -> _Batch | None:
        """Return the batch without those; None if there are no others, or it is incomplete."""
        batch = self._batches.get(path)
        if batch is None:
            read = frozenset(_batch(drop, path) or ())
            batch = _Batch(all=read, waiting=read)
        waiting = batch.waiting - done
        if batch.all and not waiting:
            drop.remove(path, lasting=False)
        return _Batch(all=batch.all, waiting=waiting) if waiting else None


def _entries(drop: Drop) -> Iterator[tuple[UUID, str]]:
    """Yield the entries for deliveries in the hidden folder: the delivery's id, and the path."""
    for name in drop.names(STAGING):
        try:
            delivery = UUID(name[:_ID])
        except ValueError:  # the sign, or another program's file
            continue
        yield delivery, f"{STAGING}/{name}"


def _batch(drop: Drop, path: str) -> dict[UUID, Record] | None:
    return _read(drop, path, _RECORDS, _MAX_BATCH)


def _read(drop: Drop, path: str, shape: TypeAdapter[_Found], largest: int) -> _Found | None:
    try:
        return shape.validate_json(read_whole(drop, path, largest))
    except (FileNotFoundError, FileTooLarge, ValidationError):
        return None
