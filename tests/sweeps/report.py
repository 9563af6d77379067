"""Puts a sweep's last result where an operator reads it: between two marks in a page of the
documentation."""

from __future__ import annotations

from pathlib import Path


def write_section(page: Path, name: str, text: str) -> None:
    """Replace what stands between the marks of that name. Raises ValueError if the page does not
    have them."""
    begins, ends = f"<!-- {name}: written by the sweep -->", f"<!-- {name}: end -->"
    before, rest = page.read_text(encoding="utf-8").split(begins)
    page.write_text(f"{before}{begins}\n{text}\n{ends}{rest.split(ends)[1]}", encoding="utf-8")
