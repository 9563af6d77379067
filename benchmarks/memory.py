"""Peak memory for a very large attachment and for a small one, and the cost of an idle service."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.other_side import other_side
from benchmarks.report import Figure
from benchmarks.service import fresh, running

_SMALL, _LARGE = 1 << 20, 2 << 30
_PEAK_AT_MOST, _MORE_AT_MOST = 150.0, 10.0
_PARTIES = 100
_SETTLES, _IDLE = 10.0, 120.0
_SHARE_AT_MOST = 0.01


def memory(folder: Path) -> Iterator[Figure]:
    """Measure the peak memory of a service that fetches and drops one letter."""
    small, large = (_peak(folder / str(size), size) for size in (_SMALL, _LARGE))
    yield Figure(
        what="peak memory with a 2 GB attachment, MB",
        measured=f"{large:.0f}",
        beside=f"{small:.0f}: with 1 MB",
        ratio=large / small,
        wanted=f"at most {_PEAK_AT_MOST:.0f}, and {_MORE_AT_MOST:.0f} more than with 1 MB",
        held=large <= _PEAK_AT_MOST and large - small <= _MORE_AT_MOST,
    )


def _peak(folder: Path, size: int) -> float:
    with (
        other_side(folder / "scene", letters=1, size=size) as scene,
        running(fresh(scene, folder / "service")) as service,
    ):
        return service.peak_until_letters(1)


def idle(folder: Path) -> Iterator[Figure]:
    """Measure a service that polls a hundred parties at the usual interval and finds nothing.

    It is measured for two minutes.
    """
    with (
        other_side(folder / "scene", letters=0, size=0, parties=_PARTIES) as scene,
        running(fresh(scene, folder / "service")) as service,
    ):
        service.wait_for_log("event='polled'")
        time.sleep(_SETTLES)
        before = service.cpu_seconds()
        time.sleep(_IDLE)
        share, resident = (service.cpu_seconds() - before) / _IDLE, service.memory()
    what = f"idle with {_PARTIES} parties"
    yield Figure(
        what=f"{what}, share of a core",
        measured=f"{share:.2%}",
        wanted=f"under {_SHARE_AT_MOST:.0%}",
        held=share < _SHARE_AT_MOST,
    )
    yield Figure(
        what=f"{what}, memory in MB",
        measured=f"{resident:.0f}",
        wanted=f"under {_PEAK_AT_MOST:.0f}",
        held=resident < _PEAK_AT_MOST,
    )
