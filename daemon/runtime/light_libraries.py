"""Libraries without rich, which they would load for a terminal's colours.

structlog does for tracebacks, and httpx for a command of its own; neither is used here, and loading
rich, with pygments, is a twelfth of the start of a command. The first import of a library decides;
so the command line imports this before all else, and what sets the log up takes structlog from
here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_RICH = "rich"
_COMMAND = "httpx._main"


@contextmanager
def _as_if_missing(name: str) -> Iterator[None]:
    """Let imports of a module fail in the block, unless it is loaded already."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # as the import system documents it
    try:
        yield
    finally:
        del sys.modules[name]


sys.modules.setdefault(_COMMAND, None)  # type: ignore[arg-type]  # likewise, and for good
with _as_if_missing(_RICH):
    import structlog

__all__ = ["structlog"]
