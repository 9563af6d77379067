"""Moves the store of an installation that does not run to another database."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from daemon.config.loader import Configuration
from daemon.config.store import StoreSettings
from daemon.core.bounded_file import read_bounded
from daemon.core.durable_files import new_file
from daemon.core.errors import OperatorError, StoreClosed, StoreError
from daemon.core.file_owner import inherit
from daemon.service import stack
from daemon.service.store_access import lock_of, refuse_closed_store, store_exists
from daemon.store import Database, Store
from daemon.store.closed_store import MoveMark
from daemon.store.journal.key import key_path, read_key
from daemon.store.lock import InstanceLock
from daemon.store.transfer.moving import MovedStore, move_store, reopen
from daemon.store.transfer.side import Side
from daemon.store.transfer.zero_characters import (
    CHAINED,
    replace_zero_characters,
    rows_with_zero_characters,
)


@dataclass(frozen=True, kw_only=True)
class StoreMove:
    """A move of a store."""

    configuration: Configuration
    target: StoreSettings
    replaces_zero_characters: bool
    """Whether U+0000 in texts is replaced, where the target cannot have it."""

    def run(self, now: Callable[[], datetime], report: Callable[[str], None]) -> MovedStore:
        """Move it, or go on with that. Raises OperatorError and StoreError."""
        source = self.configuration.store
        if source.database == self.target.database:
            raise OperatorError(f"{source.database} is where the store is; name another database")
        for each in (source, self.target):
            refuse_closed_store(each)
        with ExitStack() as ends:
            ends.callback(lock_of(source).release)
            if self.target.beside != source.beside:
                ends.callback(InstanceLock(self.target.beside, is_file=False).release)
            with (
                suppress(StoreClosed),  # by this move, or else that is said below
                closing(stack.open_store(self.configuration)) as store,  # brought up to date
            ):
                _refuse_living(store)
            here = Side(source.database, source.password)
            ends.callback(here.close)
            there = Side(self.target.database, self.target.password)
            ends.callback(there.close)
            self._refuse_other_key()
            if not self.target.is_file and not here.mark():
                report("looking for what PostgreSQL cannot store")
                self._see_to_zero_characters(here)
            moved = move_store(here, there, now, report)
            self._copy_key()
            return moved

    def _see_to_zero_characters(self, side: Side) -> None:
        source = self.configuration.store
        found = rows_with_zero_characters(side)
        chained = [each for each in found if each in CHAINED]
        if found and self.replaces_zero_characters and not chained:
            database = Database(source.database, password=source.password)
            replace_zero_characters(database)
            database.close()
        elif found:
            tables = ", ".join(f"{count} of {table}" for table, count in found.items())
            remedy = (
                f"in {chained[0]} it cannot be replaced without breaking the chain of their hashes"
                if chained
                else "to replace it with U+FFFD here first, which the journal then has as a "
                "change, use --replace-nul"
            )
            raise OperatorError(
                f"these rows of {side.shown} have texts with U+0000, which PostgreSQL cannot "
                f"store: {tables}; {remedy}"
            )

    @property
    def key(self) -> Path:
        """Where the target's machine has the key that signs the journal."""
        return key_path(self.target.beside)

    def _refuse_other_key(self) -> None:
        """Refuse to leave the store with another key. Raises OperatorError."""
        old = key_path(self.configuration.store.beside)
        if old.exists() and self.key.exists() and read_key(old) != read_key(self.key):
            raise OperatorError(
                f"{self.key} is another key than {old}, with which the journal of the store is "
                "signed; move it aside"
            )

    def _copy_key(self) -> None:
        """Copy the key that signs the journal to where a service on the target looks for it."""
        old = key_path(self.configuration.store.beside)
        if self.key.exists() or not old.exists():
            return
        try:
            with new_file(self.key, 0o600) as file:
                file.write(read_bounded(old))
            inherit(self.key, self.key.parent)
        except OSError as error:
            reason = (error.strerror or "cannot be written").lower()
            raise StoreError(
                f"the store is moved, but the key of its journal cannot be copied to {self.key}: "
                f"{reason}; copy it from {old}, with its owner and mode"
            ) from error


def _refuse_living(store: Store) -> None:
    """Refuse to take a store away from under other machines. Raises OperatorError."""
    living = [
        f"{each.node.name} on {each.node.host}" for each in store.nodes.states() if each.alive
    ]
    if living:
        raise OperatorError(
            f"nodes work with this store: {', '.join(living)}; stop service and page on each"
        )


def closing_move(settings: StoreSettings) -> MoveMark | None:
    """Return what a store says of the move that has closed it. Raises StoreError."""
    if not store_exists(settings):
        raise StoreError(f"the database {settings.database} does not exist, or has no tables")
    side = Side(settings.database, settings.password)
    try:
        return side.mark()
    finally:
        side.close()


def reopen_store(settings: StoreSettings) -> MoveMark:
    """Let a store that a move has closed be used again. Raises OperatorError and StoreError."""
    lock = lock_of(settings)
    side = Side(settings.database, settings.password)
    try:
        return reopen(side)
    finally:
        side.close()
        lock.release()
