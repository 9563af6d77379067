"""What is remembered of a delivery, so that a letter whose consumer was quicker than our commit is not dropped a second time.

In this order:

1. `<delivery id>/`, in the drop's hidden folder, gets all that will be published, under its final names;
2. `<delivery id>/intent.json` says that from now on a part that is not in there any more has been published;
3. the parts are renamed to where consumers look;
4. when the service has recorded the delivery's end, the hidden folder is cleared away.

A repeat goes on where the crash was: before 2 it starts again, after 2 it publishes what is left. After 4 there is none. The intent
lies in the drop itself, so that a drop that was emptied or exchanged meanwhile is never taken for one that has the letter.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from uuid import UUID

from pydantic import BaseModel, ValidationError

from connectors.drops.drop import HIDDEN, Drop


class Record(BaseModel):
    """Where a letter is dropped."""

    name: str
    taken: tuple[str, ...] = ()
    """Names that would have come first, and belong to something else."""


class Journal:
    """The journal of one delivery."""

    def __init__(self, drop: Drop, delivery: UUID) -> None:
        self._drop = drop
        self.folder = f"{HIDDEN}/{delivery}"
        """Where the delivery's parts wait to be published."""
        self._intent = f"{self.folder}/intent.json"

    def intended(self) -> Record | None:
        """The record of a delivery that was being published. One that is not whole was never acted on."""
        return _read(self._drop, self._intent)

    def intend(self, record: Record) -> None:
        """Remember that publishing begins; the folder is complete."""
        self._drop.write([(self._intent, [record.model_dump_json().encode()])])

    def settle(self) -> None:
        """Clear away: the delivery never comes again. What a power cut brings back is settled by the next process."""
        self._drop.remove(self.folder, lasting=False)

    def clear(self) -> None:
        """Forget what has not been published. The intent goes first: without it, what is missing was never there."""
        if self._drop.look(self.folder) is not None or self._drop.look(f"{self.folder}.old") is not None:
            self._drop.remove(self._intent)
            self._drop.remove(self.folder)


def deliveries(drop: Drop) -> Iterator[UUID]:
    """The deliveries that have a journal in the drop, or a half removed one."""
    for name in drop.names(HIDDEN):
        with suppress(ValueError):
            yield UUID(name.removesuffix(".old"))


def _read(drop: Drop, path: str) -> Record | None:
    try:
        return Record.model_validate_json(b"".join(drop.read(path)))
    except (FileNotFoundError, ValidationError):
        return None
