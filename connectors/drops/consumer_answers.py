"""Read what a consumer answers about a letter: `<name>.ok`, or `<name>.err` with a reason.

The files are the consumer's: they are read, never changed and never removed.
"""

from __future__ import annotations

from itertools import islice

from connectors.drops.drop import Drop, unfit_for_reading
from daemon.core.ports import Pickup, PickupState
from daemon.core.printable import one_line

ACCEPTED, REJECTED = ".ok", ".err"
_MAX_REASON = 500
_MAX_PIECES = 1
_KINDS = frozenset({"permanent", "temporary"})


def answer(drop: Drop, name: str) -> Pickup | None:
    """Return what the consumer answered about the letter with this name; None if nothing yet.

    A rejection takes precedence.

    Raises TemporaryFailure if that cannot be seen, or if an answer's name is not a file's.
    """
    if _is_there(drop, name + REJECTED):
        return Pickup(state=PickupState.REJECTED, reason=_reason(drop, name + REJECTED))
    if _is_there(drop, name + ACCEPTED):
        return Pickup(state=PickupState.TAKEN)
    return None


def _is_there(drop: Drop, path: str) -> bool:
    """Return whether there is such a file.

    Raises TemporaryFailure for anything else of that name.
    """
    seen = drop.look(path)
    if seen is not None and not seen.is_file:
        raise unfit_for_reading(drop.place, path, seen)
    return seen is not None


def _reason(drop: Drop, path: str) -> str:
    """Return the reason on one short line.

    A first line `permanent` or `temporary` is kept before it.
    """
    try:
        text = b"".join(islice(drop.read(path, sole=True), _MAX_PIECES))[: 8 * _MAX_REASON].decode(
            "utf-8-sig", errors="replace"
        )
    except FileNotFoundError:
        text = ""
    first, _, rest = text.strip().partition("\n")
    kind = first.strip().lower()
    said = f"{kind}: {one_line(rest)}" if kind in _KINDS else one_line(text)
    return said[:_MAX_REASON].strip().removesuffix(":")
