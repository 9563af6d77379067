"""Libraries that only some configurations need."""

from __future__ import annotations

import importlib.util


def need_library(module: str, extra: str) -> None:
    """Raise ValueError if an optional library is not installed."""
    if importlib.util.find_spec(module) is None:
        raise ValueError(
            "needs a library that is not installed; install the wheel with its extra: pip "
            f"install '<the wheel>[{extra}]'"
        )
