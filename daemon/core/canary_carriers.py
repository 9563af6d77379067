"""What a destination offers where a canary is left for its receiver to pick up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable
from uuid import UUID

from daemon.core.parcels import Receipt
from daemon.core.ports import AwaitsPickup, Parcel


@runtime_checkable
class CarriesCanaries(AwaitsPickup, Protocol):
    """A destination where a canary is left for its receiver to pick up, as a letter is."""

    @property
    def watches_canaries(self) -> bool:
        """Whether pickups are watched, and a canary leaves nothing behind that cannot be cleared.

        If not, a canary is sent as a test.
        """

    def leave_canary(self, canary: Parcel) -> Receipt:
        """Deliver the canary, whose document and names say what it is. Raises as `deliver`."""

    def clear_canary(self, delivery: UUID, evidence: Mapping[str, Any]) -> None:
        """Remove what is left of the canary with this receipt. May be called twice.

        Raises TemporaryFailure or PermanentFailure.
        """
