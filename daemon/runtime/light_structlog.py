"""structlog without rich, which it would load for tracebacks in colour.

The log has neither, and loading rich is a twelfth of the start of each command. Whoever imports
structlog first decides: so what sets the log up takes it from here, and does so before all else.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_RICH = "rich"


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


with _as_if_missing(_RICH):
    import structlog

__all__ = ["structlog"]
