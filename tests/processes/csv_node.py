"""A node that stores letters and delivers whatever is due to a drop with an index.

`csv_node.py URL FOLDER NODE LETTERS LEAVES`: it stops in order when it has delivered LEAVES letters
itself, or when all are delivered. Prints how many it delivered.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from connectors.destinations.filedrop import FileDrop, Settings
from daemon.config.store import StoreSettings
from daemon.core.errors import PostmottakError
from daemon.core.model import DeliveryState
from daemon.core.parcels import Receipt
from daemon.core.ports import Parcel
from daemon.delivery.dispatch import Dispatch
from daemon.service.membership import new_lease, taking_part
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from tests.unit.conftest import active_snapshot, stored_letter

_ALL = 300


class _Leaving(FileDrop):
    """Stops its node once it has got so many letters."""

    def leave(self, after: int, stopping: threading.Event) -> None:
        """Say when."""
        self._left, self._stopping = after, stopping

    def deliver_batch(self, parcels: Sequence[Parcel]) -> Sequence[Receipt | PostmottakError]:
        """Drop them."""
        self._left -= len(parcels)
        if self._left <= 0:
            self._stopping.set()
        return super().deliver_batch(parcels)


def _all_are_delivered(store: Store) -> bool:
    return store.queries.counts().deliveries.get(DeliveryState.DELIVERED) == _ALL


def main(url: str, folder: str, node: str, letters: str, leaves: str) -> None:
    """Store them, and deliver."""
    place, content = Path(folder), ContentFolder(Path(folder) / "content")
    content.put([b"pdf"])
    settings = StoreSettings(
        database=url, content=place / "content", own_files=place / node, node=node
    )
    store = Store(url)
    with taking_part(store, settings, new_lease(settings)) as member:
        assert member
        store.letters.add([stored_letter(f"{node}{number}") for number in range(int(letters))])
        while store.queries.counts().messages < _ALL:
            time.sleep(0.01)  # so that both begin at once
        drop = _Leaving("erp", Settings(path=place / "drop", layout="csv", name="{id}"))
        dispatch = Dispatch(
            store=store,
            content=content,
            active=active_snapshot({"erp": drop}),
            clock=member.now,
            give_up_after=timedelta(days=3650),
            role=member,
        )
        stopping = threading.Event()
        drop.leave(int(leaves), stopping)
        while not stopping.is_set() and not _all_are_delivered(store):
            dispatch.deliver_due(stopping)
            time.sleep(0.05)
        delivered = sum(dispatch.counted.values().values())
    store.close()
    sys.stdout.write(f"{delivered}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
