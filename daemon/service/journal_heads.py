"""Once a day: sign the head of the journal, log it, and publish it elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

import structlog

from daemon.core.callbacks import do_nothing
from daemon.core.connector_calls import call_connector
from daemon.core.errors import PostmottakError, StoreError
from daemon.core.ports import Destination, KeepsDedupRecords, Parcel
from daemon.delivery.head_parcel import head_parcel
from daemon.store import Store
from daemon.store.journal.heads import Head
from daemon.store.journal.key import key_path, own_key

_log = structlog.get_logger(__name__)


def sign_head(
    store: Store,
    database: Path,
    publish_to: Sequence[str],
    destinations: Mapping[str, Destination],
    now: datetime,
    beat: Callable[[], None] = do_nothing,
) -> Head | None:
    """Sign the newest row of the journal, with a new key if there is none; log and publish it.

    Returns None if the key cannot be used; that and what cannot be published is logged, and tried
    again the next day. `beat` is called when publishing may take long. Raises StoreError if the
    database fails.
    """
    path = key_path(database)
    try:
        key, new = own_key(path)
    except StoreError as error:
        _log.error("the journal is not signed", error=str(error))  # no fault of ours
        return None
    if new:
        _log.info("a new key signs the journal", file=str(path))
    head = store.journal.sign(key, now)
    _log.info(
        "journal signed",
        sequence=head.sequence,
        hash=head.hash,
        signature=head.signature,
        key=head.key,
    )
    for name in publish_to:
        if name in destinations:  # or an edit has just removed it
            beat()
            _publish(destinations[name], head_parcel(name, head, now, beat))
    return head


def _publish(destination: Destination, parcel: Parcel) -> None:
    name = parcel.destination
    found = call_connector(lambda: destination.deliver(parcel), destination=name)
    if isinstance(found, PostmottakError):
        _log.warning(
            "the head of the journal was not published; the next one, tomorrow, covers it",
            destination=name,
            error=str(found),
        )
        return
    if isinstance(destination, KeepsDedupRecords):
        call_connector(partial(destination.forget, [parcel.delivery_id]), destination=name)
    _log.info("journal published", destination=name, reference=found.reference)
