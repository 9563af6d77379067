"""Figures as a table, on the terminal and between the markers of docs/performance.md."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
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


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as a Markdown table."""
    lines = ["| what | measured | beside | ratio | wanted | |", "|---|---|---|---|---|---|"]
    for each in figures:
        ratio = "" if each.ratio is None else f"{each.ratio:.2f}"
        verdict = {None: "", True: "held", False: "**missed**"}[each.held]
        lines.append(
            f"| {each.what} | {each.measured} | {each.beside} | {ratio} | {each.wanted} | "
            f"{verdict} |"
        )
    return "\n".join(lines)


def write(figures: Sequence[Figure]) -> None:
    """Write the figures into docs/performance.md."""
    before, _, rest = _PAGE.read_text(encoding="utf-8").partition(_BEGIN)
    after = rest.partition(_END)[2]
    where = (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}; all in one run."
    )
    _PAGE.write_text(
        f"{before}{_BEGIN}\n\n{where}\n\n{table(figures)}\n\n{_END}{after}", encoding="utf-8"
    )
