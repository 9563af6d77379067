"""Hands parcels to destinations as the service does, and looks at the result as a consumer
would."""

from __future__ import annotations

import subprocess
from pathlib import Path

from daemon.core.parcels import Receipt
from daemon.core.ports import Destination, KeepsDedupRecords, Parcel


def hand_over(destination: Destination, parcel: Parcel) -> Receipt:
    """Deliver the parcel, and settle the delivery, as the service does when it has recorded it."""
    receipt = destination.deliver(parcel)
    if isinstance(destination, KeepsDedupRecords):
        destination.forget([parcel.delivery_id])
    return receipt


def is_verified(folder: Path) -> bool:
    """Whether a dropped folder is what its SHA256SUMS says."""
    run = subprocess.run(
        ["sha256sum", "--strict", "--status", "-c", "SHA256SUMS"], cwd=folder, check=False
    )
    return run.returncode == 0


def names(folder: Path) -> list[str]:
    """Return the names in a folder, sorted."""
    return sorted(each.name for each in folder.iterdir())
