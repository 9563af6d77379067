"""Figures as a table, on the terminal and between the markers of a page in docs."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_DOCS = Path(__file__).parents[1] / "docs"
PERFORMANCE, CAPACITY = _DOCS / "performance.md", _DOCS / "capacity.md"
_BEGIN, _END = "<!-- figures, written by make bench -->", "<!-- end of figures -->"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the table: what was measured, what it is compared with, and the requirement."""

    what: str
    measured: str
    beside: str = ""
    """The limit, or another program's figure."""
    ratio: float | None = None
    wanted: str = ""
    held: bool | None = None


_VERDICTS = {None: "", True: "held", False: "**missed**"}


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as a Markdown table, without columns that nothing is in."""
    rows = [("what", "measured", "beside", "ratio", "wanted", ""), *map(_cells, figures)]
    used = [column for column in zip(*rows, strict=True) if any(column[1:])]
    lines = [f"| {' | '.join(cells)} |" for cells in zip(*used, strict=True)]
    return "\n".join([lines[0], "|---" * len(used) + "|", *lines[1:]])


def _cells(figure: Figure) -> tuple[str, ...]:
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
    verdict = _VERDICTS[figure.held]
    return (figure.what, figure.measured, figure.beside, ratio, figure.wanted, verdict)


def write(figures: Sequence[Figure], page: Path = PERFORMANCE) -> None:
    """Write the figures into a page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(_BEGIN)
    after = rest.partition(_END)[2]
    where = (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}; all in one run."
    )
    page.write_text(
        f"{before}{_BEGIN}\n\n{where}\n\n{table(figures)}\n\n{_END}{after}", encoding="utf-8"
    )
