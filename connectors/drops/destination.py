"""The destination behind every file drop: write each letter completely and once, and track it."""

from __future__ import annotations

import threading
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from connectors.drops import consumer_answers, csv_index, layouts, names
from connectors.drops.batch import DeliverySteps, run_batch
from connectors.drops.contents import FORMATS, LETTER_PDF, SUMS
from connectors.drops.drop import MANIFEST, STAGING, TRIAL, Drop, OpenDrop, unfit
from connectors.drops.journal import Intents, Journal, Record, Settling
from connectors.drops.layouts import Layout, Unit
from connectors.drops.settings import DropSettings
from connectors.parcel.verify import refuse_unsafe_names
from daemon.core.errors import DeliveryFailure, PostmottakError, TemporaryFailure
from daemon.core.parcels import Receipt
from daemon.core.ports import Finding, Parcel, Pickup, PickupState

_SIGN = f"{STAGING}/awaiting-pickup"
"""An empty file that shows that this is the drop in which letters were left, and not an empty
mount point.
"""
_RESERVED = frozenset({MANIFEST, SUMS, LETTER_PDF, *(name for name, _ in FORMATS.values())})


class DropDestination:
    """Drops letters into the place that `open_drop` opens.

    May be used from several threads, each with a parcel of its own.
    """

    def __init__(self, name: str, settings: DropSettings, open_drop: OpenDrop) -> None:
        self.name = name
        self.await_pickup = settings.await_pickup
        self.one_process = settings.layout == "csv"
        """All letters add to one index, which threads of one process do in turn."""
        self._settings = settings
        self._layout = layouts.layout_for(settings)
        self._open = open_drop
        self._index = threading.Lock()
        self._coming_and_going = threading.Lock()
        self._forgetting = threading.Lock()
        self._settling = Settling()
        self._under_way = 0

    def check(self) -> Iterator[Finding]:
        """Write a folder with a file in it, rename it, read it and remove it."""
        subject = f"destination {self.name}"
        try:
            with self._open() as drop:
                _try_out(drop)
                place = drop.place
        except DeliveryFailure as failure:
            yield Finding(subject=subject, ok=False, text=str(failure))
        else:
            yield Finding(subject=subject, ok=True, text=f"the drop {place} can be written")

    def deliver(self, parcel: Parcel) -> Receipt:
        """Drop the letter, or find that it was dropped already, even if it was collected since.

        Everything is durable on return. A repeat is recognised until `forget` is called for the
        delivery. Anything else that has the letter's name is left as it is, and the letter is
        dropped with `-v2`, `-v3` and so on in its name; the receipt lists the names that were
        taken.
        """
        (outcome,) = self.deliver_batch([parcel])
        if isinstance(outcome, PostmottakError):
            raise outcome
        return outcome

    def deliver_batch(self, parcels: Sequence[Parcel]) -> Sequence[Receipt | PostmottakError]:
        """Do the same for each parcel, with as few waits for the disk as for one.

        Returns each parcel's result, in their order. Raises as `deliver` does if the drop cannot be
        used at all.
        """
        with self._open() as drop, self._hidden_folder(drop):
            intents = Intents(drop)
            return run_batch(
                self.name,
                {each.delivery_id: self._steps(drop, each, intents) for each in parcels},
                intents.sync,
            )

    def _steps(self, drop: Drop, parcel: Parcel, intents: Intents) -> DeliverySteps:
        refuse_unsafe_names(parcel, _RESERVED)
        work = _Delivery(
            drop=drop,
            parcel=parcel,
            layout=self._layout,
            template=self._settings.name,
            journal=Journal(drop, parcel.delivery_id, intents),
            index_lock=self._index if self._settings.layout == "csv" else None,
        )
        return (yield from work.resume() if parcel.delivery_id in intents.begun else work.place())

    def dedup_records(self) -> Sequence[UUID]:
        """Return the deliveries that have a journal in the drop."""
        with self._open() as drop:
            return list(Intents(drop).begun)

    def forget(self, deliveries: Collection[UUID]) -> None:
        """Remove the journals of these deliveries, and the hidden folder if it is empty then."""
        with self._open() as drop, self._hidden_folder(drop), self._forgetting:
            self._settling.settle(drop, deliveries)

    def pickup(self, evidence: Mapping[str, Any]) -> Pickup:
        """Return whether the consumer has taken the letter, or what it answered.

        Raises TemporaryFailure if that cannot be seen now.
        """
        name, units = str(evidence["name"]), tuple(evidence["dropped"])
        with self._open() as drop:
            # not mounted, or another folder: a letter that is missing there was not taken
            if drop.look(_SIGN) is None:
                raise TemporaryFailure(
                    f"the drop {drop.place} has no {_SIGN}, so it is unknown what was taken; "
                    "mount the share"
                )
            said = consumer_answers.answer(drop, name)
            if said:
                return said
            taken = self._layout.taken(drop, name, units)
        return Pickup(state=PickupState.TAKEN if taken else PickupState.WAITING)

    def send_test(self, sample: Parcel) -> str:
        """Drop the sample under a letter's name, read it, and remove it.

        Index.csv stays as it is.
        """
        layout = "folder" if self._settings.layout == "csv" else self._settings.layout
        settings = self._settings.model_copy(update={"layout": layout, "await_pickup": None})
        return DropDestination(self.name, settings, self._open).drop_and_remove(sample)

    @property
    def watches_canaries(self) -> bool:
        """Whether pickups are awaited, and there is no index that would keep its lines."""
        return self.await_pickup is not None and self._settings.layout != "csv"

    def leave_canary(self, canary: Parcel) -> Receipt:
        """Drop it as a letter; its name and its manifest say what it is."""
        return self.deliver(canary)

    def clear_canary(self, delivery: UUID, evidence: Mapping[str, Any]) -> None:
        """Remove what the consumer has left of it, the marker first, and its journal.

        What the consumer answered is the consumer's, and stays.
        """
        with self._open() as drop:
            for each in reversed(evidence["dropped"]):
                drop.remove(str(each))
        self.forget([delivery])

    def drop_and_remove(self, sample: Parcel) -> str:
        """Do so in this destination's own layout."""
        name = next(names.candidates(self._settings.name, sample))
        try:
            self.deliver(sample)
            with self._open() as drop:
                found = self._layout.holds(drop, sample, name)
        except BaseException:
            with suppress(DeliveryFailure):  # the first failure is what counts
                self._remove(sample, name)
            raise
        self._remove(sample, name)
        where = f"the drop {drop.place} under the name {name}"
        if not found:
            return f"a test was put into {where}, and a consumer took it at once"
        return f"a test was put into {where}, read, and removed"

    def _remove(self, sample: Parcel, name: str) -> None:
        """Remove what there is of the sample, the marker first."""
        with self._open() as drop:
            for unit in reversed(self._layout.units(sample, name)):
                drop.remove(unit.name)
        self.forget([sample.delivery_id])

    def close(self) -> None:
        """Do nothing: no connection is kept open."""

    @contextmanager
    def _hidden_folder(self, drop: Drop) -> Iterator[None]:
        """Remove the hidden folder when no delivery is in flight.

        Where pickups are awaited, it stays, with an empty file that marks the drop.
        """
        with self._coming_and_going:
            if self.await_pickup is not None and drop.look(_SIGN) is None:
                _leave_sign(drop)
            self._under_way += 1
        try:
            yield
        finally:
            with self._coming_and_going:
                self._under_way -= 1
                if not self._under_way and self.await_pickup is None:
                    with suppress(DeliveryFailure):  # an empty folder does no harm
                        drop.tidy(STAGING)


@dataclass(frozen=True, kw_only=True)
class _Delivery:
    """One attempt at one parcel."""

    drop: Drop
    parcel: Parcel
    layout: Layout
    template: str
    journal: Journal
    index_lock: threading.Lock | None
    """Held while lines are added to the index; None where there is none."""

    def resume(self) -> DeliverySteps:
        """Continue where an earlier attempt ended, or start again."""
        record = self.journal.intended()
        if record and (yield from self._publish(record, units := self._units(record))):
            return self._receipt(record, units, found=True)
        yield from self.journal.withdraw()
        return (yield from self.place())

    def place(self) -> DeliverySteps:
        """Drop the letter under its first free name, or find it under a name that is taken."""
        taken: list[str] = []
        for name in names.candidates(self.template, self.parcel):
            record = Record(name=name, taken=tuple(taken))
            units = self._units(record)
            if self._is_free(name, units):
                yield from self._stage(record, units)
                if (yield from self._publish(record, units, just_staged=True)):
                    return self._receipt(record, units)
            if self.layout.holds(self.drop, self.parcel, name):
                return self._receipt(record, units, found=True)
            taken.append(name)
        raise AssertionError("names do not run out")

    def _is_free(self, name: str, units: tuple[Unit, ...]) -> bool:
        """Return whether all of the names are free.

        A consumer's answer to an earlier letter must not count for this one.
        """
        wanted = [
            *(unit.name for unit in units),
            name + consumer_answers.ACCEPTED,
            name + consumer_answers.REJECTED,
        ]
        return not any(self.drop.look(each) for each in wanted)

    def _stage(self, record: Record, units: tuple[Unit, ...]) -> Generator[None]:
        """Write everything under hidden names, then the intent to publish it into the journal."""
        with self._cleared_on_failure():
            files = (
                file
                for place, unit in enumerate(units)
                for file in unit.files(self.journal.staged(place))
            )
            self.drop.write((path, item.chunks()) for path, item in files)
            yield
            self.journal.record_intent(record)
            yield

    def _units(self, record: Record) -> tuple[Unit, ...]:
        return self.layout.units(self.parcel, record.name)

    def _publish(
        self, record: Record, units: tuple[Unit, ...], *, just_staged: bool = False
    ) -> Generator[None, None, bool]:
        """Publish what is staged and not yet published; if all was `just_staged`, nothing is yet.

        Returns False, with nothing published or staged, if the name is taken after all.
        """
        for place, unit in enumerate(units):
            staged = self.journal.staged(place)
            if not just_staged and not self._is_staged(staged, unit):
                # what an earlier process has published: it may have been killed before that was
                # durable
                yield
                continue
            if (yield from self._give_name(place, unit)):
                yield
                continue
            if place == 0:
                yield from self.journal.withdraw()
                return False
            if not layouts.same_unit(self.drop, unit):
                raise TemporaryFailure(
                    f"something else in the drop {self.drop.place} is named {unit.name}; move it "
                    "away"
                )
            self.drop.remove(staged)
        self._add_to_index(record, units)
        return True

    def _give_name(self, place: int, unit: Unit) -> Generator[None, None, bool]:
        """Give a staged unit its name; return False if that is taken.

        What another program has removed meanwhile must not count as published. If it is the first
        unit, the intent is withdrawn, and TemporaryFailure raised; another is written again.
        """
        staged = self.journal.staged(place)
        with suppress(FileNotFoundError):
            if self._is_staged(staged, unit):
                self.parcel.confirm()
                return self.drop.publish(staged, unit.name)
        self.drop.remove(staged)
        if place == 0:
            yield from self.journal.withdraw()
            raise self._removed()
        self.drop.write((path, item.chunks()) for path, item in unit.files(staged))
        yield
        self.parcel.confirm()
        try:
            return self.drop.publish(staged, unit.name)
        except FileNotFoundError as error:
            raise self._removed() from error

    def _removed(self) -> TemporaryFailure:
        return TemporaryFailure(
            f"what was written to {STAGING} in the drop {self.drop.place} was removed by another "
            "program; let none touch that folder"
        )

    def _is_staged(self, path: str, unit: Unit) -> bool:
        """Return whether the unit is still in the hidden folder.

        Raises TemporaryFailure if something else is there, which must not get a letter's name.
        """
        seen = self.drop.look(path)
        if seen is not None and (seen.odd or seen.is_folder != unit.is_folder):
            raise unfit(self.drop.place, path, seen.odd or "not what was put there")
        return seen is not None

    def _add_to_index(self, record: Record, units: tuple[Unit, ...]) -> None:
        if self.index_lock:
            items = [item for item in units[0].items if item.name not in _RESERVED]
            lines = csv_index.rows(self.parcel, record.name, items)
            with self.index_lock:
                self.parcel.confirm()  # another node may have the index by now
                csv_index.add(self.drop, self.journal.index, self.parcel.delivery_id, lines)

    @contextmanager
    def _cleared_on_failure(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            with suppress(
                DeliveryFailure
            ):  # the failure itself is what counts; the next attempt clears away as well
                self.journal.undo()
            raise

    def _receipt(self, record: Record, units: tuple[Unit, ...], *, found: bool = False) -> Receipt:
        dropped = {item.name for unit in units for item in unit.items}
        place = f"{self.drop.place.rstrip('/')}/{record.name}"
        details: dict[str, Any] = {
            "path": place,
            "name": record.name,
            "dropped": [unit.name for unit in units],
            "files": len(self.parcel.parts),
            "bytes": sum(part.size for part in self.parcel.parts),
        }
        left_out = [part.name for part in self.parcel.parts if part.name not in dropped]
        optional = {"left_out": left_out, "found": found, "taken": list(record.taken)}
        details |= {key: value for key, value in optional.items() if value}
        return Receipt(reference=place, details=details, collided=bool(record.taken))


def _leave_sign(drop: Drop) -> None:
    try:
        drop.write([(_SIGN, [])])
    except DeliveryFailure:
        if drop.look(_SIGN) is None:  # otherwise another process has left it meanwhile
            raise
    drop.sync()


def _try_out(drop: Drop) -> None:
    trial = f"{TRIAL}{uuid4()}"
    try:
        drop.write([(f"{trial}/{MANIFEST}", [b"{}\n"])])
        drop.sync()
        drop.publish(trial, f"{trial}-done")
        drop.sync()
        if b"".join(drop.read(f"{trial}-done/{MANIFEST}")) != b"{}\n":
            raise TemporaryFailure(
                f"the drop {drop.place} does not return what was written; check its disk or share"
            )
    except FileNotFoundError as error:
        raise TemporaryFailure(
            f"the drop {drop.place} does not keep what was written; check its disk or share"
        ) from error
    finally:
        with suppress(DeliveryFailure):  # what went wrong first is what counts
            drop.remove(trial)
            drop.remove(f"{trial}-done")
