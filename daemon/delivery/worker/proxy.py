"""Destinations on this machine whose deliveries the worker process makes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn, cast
from uuid import UUID

from daemon.config.loader import ConnectorConfiguration
from daemon.core.callbacks import do_nothing
from daemon.core.errors import PostmottakError
from daemon.core.parcels import Receipt
from daemon.core.ports import Finding, LocalDestination, Parcel, Pickup
from daemon.delivery.worker.worker_client import WorkerClient


class RemoteDestination:
    """A destination whose drops, and deduplication records, the worker process writes.

    Read-only calls are made in this process. May be used from several threads, as the destination
    itself.
    """

    def __init__(
        self, destination: LocalDestination, connector: ConnectorConfiguration, worker: WorkerClient
    ) -> None:
        self.name = destination.name
        self.concurrency = destination.concurrency
        self.await_pickup: timedelta | None = destination.await_pickup
        self._destination, self._connector, self._worker = destination, connector, worker

    def deliver_batch(self, parcels: Sequence[Parcel]) -> Sequence[Receipt | PostmottakError]:
        """As the destination does; raises WorkerLost as well."""
        outcomes = self._worker.ask(
            self._connector, "deliver_batch", [_portable(each) for each in parcels], parcels[0].beat
        )
        return cast("Sequence[Receipt | PostmottakError]", outcomes)

    def deliver(self, parcel: Parcel) -> Receipt:
        """As the destination does."""
        (outcome,) = self.deliver_batch([parcel])
        if isinstance(outcome, PostmottakError):
            raise outcome
        return outcome

    def dedup_records(self) -> Sequence[UUID]:
        """As the destination does."""
        return cast("Sequence[UUID]", self._worker.ask(self._connector, "dedup_records"))

    def forget(self, deliveries: Collection[UUID]) -> None:
        """As the destination does."""
        self._worker.ask(self._connector, "forget", deliveries)

    def check(self) -> Iterator[Finding]:
        """As the destination does."""
        return self._destination.check()

    def pickup(self, evidence: Mapping[str, Any]) -> Pickup:
        """As the destination does."""
        return self._destination.pickup(evidence)

    @property
    def pickup_folder(self) -> Path | None:
        """As the destination does."""
        return self._destination.pickup_folder

    def close(self) -> None:
        """As the destination does."""
        self._destination.close()


def _portable(parcel: Parcel) -> Parcel:
    """Return the parcel without what cannot leave this process.

    The worker process opens attachments by their hash.
    """
    return replace(
        parcel,
        beat=do_nothing,
        parts=tuple(replace(part, open=_elsewhere) for part in parcel.parts),
    )


def _elsewhere() -> NoReturn:
    raise AssertionError("the worker process opens attachments by itself")
