"""The call to a destination: a parcel for each claimed delivery, and an outcome for each parcel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import BinaryIO

from daemon.core.callbacks import do_nothing
from daemon.core.connector_calls import call_connector
from daemon.core.document import letter_document
from daemon.core.errors import ConnectorFault, PostmottakError
from daemon.core.model import KEPT_STATES
from daemon.core.parcels import ParcelPart, Receipt
from daemon.core.ports import BatchDestination, Destination, Parcel
from daemon.routing.table import Table
from daemon.runtime.heartbeat import Heartbeat, with_heartbeat
from daemon.store import Claim
from daemon.store.content import ContentStore


class Handover:
    """Hands claimed deliveries to a destination. May be used from several threads."""

    def __init__(self, content: ContentStore, confirm: Callable[[], None] = do_nothing) -> None:
        """`confirm` raises TemporaryFailure if another node may be delivering the same."""
        self._content, self._confirm = content, confirm

    def deliver(
        self, destination: Destination, table: Table, claims: Sequence[Claim], beat: Heartbeat
    ) -> Sequence[Receipt | PostmottakError]:
        """Hand the deliveries over, and return one outcome for each, in their order."""
        parcels = [
            call_connector(
                partial(self._parcel, table, claim, beat),
                destination=destination.name,
                delivery=str(claim.id),
            )
            for claim in claims
        ]
        outcomes = iter(
            hand_over(destination, [each for each in parcels if isinstance(each, Parcel)])
        )
        return [next(outcomes) if isinstance(each, Parcel) else each for each in parcels]

    def _parcel(self, table: Table, claim: Claim, beat: Heartbeat) -> Parcel:
        parts = tuple(
            ParcelPart(
                name=each.safe_name,
                media_type=each.media_type,
                size=each.size or 0,
                sha256=each.sha256,
                open=partial(self._open, each.sha256, beat),
            )
            for each in claim.attachments
            if each.state in KEPT_STATES and each.sha256
        )
        return Parcel(
            delivery_id=claim.id,
            generation=claim.delivery.generation,
            destination=claim.delivery.destination,
            addressees=table.addressees(claim.delivery.recipients),
            document=letter_document(
                claim.message, claim.attachments, claim.decision, claim.delivery
            ),
            body=claim.message.body.encode(),
            parts=parts,
            beat=beat,
            confirm=self._confirm,
            progress=claim.delivery.progress or {},
        )

    def _open(self, sha256: str, beat: Heartbeat) -> BinaryIO:
        return with_heartbeat(self._content.open(sha256, beat), beat)


def hand_over(
    destination: Destination, parcels: Sequence[Parcel]
) -> Sequence[Receipt | PostmottakError]:
    """Return the outcome of each parcel, in their order.

    A fault of the connector is the outcome of the parcels that it affected.
    """
    if isinstance(destination, BatchDestination) and parcels:
        return _hand_over_together(destination, destination.name, parcels)
    return [
        call_connector(
            partial(destination.deliver, parcel),
            destination=destination.name,
            delivery=str(parcel.delivery_id),
        )
        for parcel in parcels
    ]


def _hand_over_together(
    destination: BatchDestination, name: str, parcels: Sequence[Parcel]
) -> Sequence[Receipt | PostmottakError]:
    """Hand the parcels over as `hand_over` does, in one call.

    If the connector fails with several parcels together, each is handed over alone: one of them may
    be the cause.
    """
    outcome = call_connector(partial(_whole_batch, destination, parcels), destination=name)
    if isinstance(outcome, ConnectorFault) and len(parcels) > 1:
        return [
            each for parcel in parcels for each in _hand_over_together(destination, name, [parcel])
        ]
    return [outcome for _ in parcels] if isinstance(outcome, PostmottakError) else outcome


def _whole_batch(
    destination: BatchDestination, parcels: Sequence[Parcel]
) -> Sequence[Receipt | PostmottakError]:
    outcomes = destination.deliver_batch(parcels)
    if len(outcomes) != len(parcels):
        raise AssertionError(
            "a connector returned the outcome of more or fewer deliveries than it was given"
        )
    return outcomes
