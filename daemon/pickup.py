"""Taken, not only delivered: whether receivers have fetched what lies ready for them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from daemon.errors import TemporaryFailure
from daemon.model import Delivery
from daemon.ports import AwaitsPickup, Destination, PickupState
from daemon.pulses import Pulses
from daemon.store import Store

_log = structlog.get_logger(__name__)
PICKUPS = "pickups"  # whose signs of life come from here


@dataclass(frozen=True, kw_only=True)
class Pickups:
    """Looks after what was delivered and is to be taken. `destinations` is asked anew at each look."""

    store: Store
    destinations: Callable[[], Mapping[str, Destination]]
    clock: Callable[[], datetime]
    pulses: Pulses = field(default_factory=Pulses)

    def look(self, only: Collection[str] = ()) -> int:
        """See what has been taken or rejected since the last look; with `only`, at these destinations. May be called from several threads.

        Returns how many still wait. Raises StoreError.
        """
        return sum(not self._settled(delivery) for delivery in self.store.outbox.awaiting_pickup(only))

    def _settled(self, delivery: Delivery) -> bool:
        self.pulses.expect(PICKUPS)
        destination = self.destinations().get(delivery.destination)
        if not isinstance(destination, AwaitsPickup):
            return False
        try:
            found = destination.pickup(delivery.evidence or {})
        except TemporaryFailure as failure:
            _log.warning("pickup cannot be seen now", delivery=str(delivery.id), destination=delivery.destination, reason=str(failure))
            return False
        except Exception:  # noqa: BLE001  # a fault of one connector must not stop the others
            _log.exception("the connector failed unexpectedly", delivery=str(delivery.id), destination=delivery.destination)
            return False
        if found.state is PickupState.WAITING:
            return False
        rejected = found.state is PickupState.REJECTED
        reason = found.reason or "rejected without a reason" if rejected else None
        if self.store.outbox.picked_up(delivery.id, self.clock(), reason, if_awaited=True):
            _log.info("rejected by the receiver" if rejected else "taken", delivery=str(delivery.id), destination=delivery.destination)
        return True
