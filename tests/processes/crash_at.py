"""Points at which a command kills itself with SIGKILL: each is before or after one call of the
service."""

from __future__ import annotations

import importlib
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

POINTS = {
    "bytes-written": ("daemon.store.staging", "ContentFile.end", "after"),
    "bytes-published": ("daemon.store.content_folder", "ContentFolder._name", "after"),
    "before-commit": ("daemon.store.letters", "Letters.add", "before"),
    "committed": ("daemon.store.letters", "Letters.add", "after"),
    "bookmark": ("daemon.store.bookmarks", "Bookmarks.save", "after"),
    "claimed": ("daemon.store.outbox", "Outbox.claim", "after"),
    "drop-built": ("connectors.drops.journal", "Journal.record_intent", "before"),
    "drop-before-rename": ("connectors.drops.journal", "Journal.record_intent", "after"),
    "drop-renamed": ("connectors.drops.local", "rename_new", "after"),
    "drop-unsettled": ("connectors.drops.destination", "DropDestination.forget", "before"),
    "drop-settled": ("connectors.drops.journal", "Settling.settle", "after"),
    "mail-sent": ("connectors.destinations.smtp", "Mail._send", "after"),
    "webhook-posted": ("connectors.net.safe_client", "SafeClient.status", "after"),
    "delivered-before-commit": ("daemon.store.outbox", "Outbox.end", "before"),
    "delivered-committed": ("daemon.store.outbox", "Outbox.end", "after"),
    "told": ("daemon.store.marks", "Marks.done", "before"),
}

_MOVING = "daemon.store.transfer.moving"
MOVES = {
    "move-closed": (_MOVING, "_mark", "after"),
    "move-prepared": (_MOVING, "_prepare", "after"),
    "move-page": (_MOVING, "note_copied", "before"),
    "move-page-noted": (_MOVING, "note_copied", "after"),
    "move-numbered": (_MOVING, "go_on_after", "after"),
    "move-compared": (_MOVING, "_open", "before"),
    "move-opened": (_MOVING, "_open", "after"),
    "move-ended": (_MOVING, "_note_end", "after"),
}
"""Those of `store move`; a page is not committed yet when it is noted."""


def arm(where: str) -> None:
    """Wrap the call that is meant, by the name of its point; with `:N`, the process is killed at
    the Nth time that it is reached."""
    point, _, number = where.partition(":")
    module_name, path, when = (POINTS | MOVES)[point]
    holder: Any = importlib.import_module(module_name)
    *outer, name = path.split(".")
    for piece in outer:
        holder = getattr(holder, piece)
    setattr(holder, name, _wrapped(getattr(holder, name), when, int(number or 1)))


def _wrapped(call: Callable[..., Any], when: str, nth: int) -> Callable[..., Any]:
    lock, reached = threading.Lock(), 0

    def count() -> None:
        nonlocal reached
        with lock:
            reached += 1
            if reached == nth:
                os.kill(os.getpid(), signal.SIGKILL)

    def crashing(*arguments: Any, **named: Any) -> Any:
        if when == "before":
            count()
        result = call(*arguments, **named)
        if when == "after":
            count()
        return result

    return crashing
