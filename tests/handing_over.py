"""Hands parcels to destinations as the service does."""

from __future__ import annotations

from daemon.model import Receipt
from daemon.ports import Destination, KeepsTraces, Parcel


def hand_over(destination: Destination, parcel: Parcel) -> Receipt:
    """Deliver the parcel, and settle the delivery, as the service does when it has recorded it."""
    receipt = destination.deliver(parcel)
    if isinstance(destination, KeepsTraces):
        destination.settled([parcel.delivery_id])
    return receipt
