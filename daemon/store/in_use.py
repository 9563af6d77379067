"""Whether another process works with the store now, and which kind was the last."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

SERVICE, POLL = "service", "poll"
"""Who holds the lock: the service, or a command that does one round of its work."""
_LONGEST = 16  # bytes of a holder's name


@dataclass(frozen=True, kw_only=True)
class StoreUse:
    """Who works with a store."""

    in_use: bool | None
    """Whether a process holds its lock; None if that cannot be seen."""
    holder: str = ""
    """Which kind of process holds it, or held it last; empty where no process has written it."""
    why_unknown: str = ""


def store_use(database: Path) -> StoreUse:
    """Return who works with the store of this database; any user may ask. Never fails.

    It takes the lock for a moment, beside others that ask, which `InstanceLock` waits for.
    """
    path = database.with_name(database.name + ".lock")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        return StoreUse(in_use=None, why_unknown=f"{path}: {error.strerror}")
    try:
        holder = os.read(descriptor, _LONGEST).decode("ascii", "replace").strip()
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return StoreUse(in_use=True, holder=holder)
    except OSError as error:
        return StoreUse(in_use=None, why_unknown=f"{path}: {error.strerror}")
    finally:
        os.close(descriptor)
    return StoreUse(in_use=False, holder=holder)
